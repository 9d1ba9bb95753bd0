"""The schema registry: the contract's versions as services and consumers find them.

:class:`Registry` is the seam, :class:`HttpRegistry` the real one (Confluent's API, which Confluent Cloud, Apicurio under
``/apis/ccompat/v7`` and Karapace speak), :class:`MemoryRegistry` its twin in memory, for runs without a registry. Both pass the same
tests.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Protocol, Self

import httpx
import jsonschema_rs

from clickreel.contract.diff import Change, compare
from clickreel.contract.rules import schema_fault
from clickreel.contract.schema import Schema, as_object
from clickreel.errors import ContractError, UnreachableError, UsageError
from clickreel.profile import split_login

if TYPE_CHECKING:
    from clickreel.profile import Profile

MODES = ("NONE", "BACKWARD", "BACKWARD_TRANSITIVE", "FORWARD", "FORWARD_TRANSITIVE", "FULL", "FULL_TRANSITIVE")
"""Compatibility modes. BACKWARD: the new version reads old messages; FORWARD: the old one reads new messages; FULL: both. Checked
against the latest version, or against all (TRANSITIVE)."""

_TIMEOUT_S = 10.0
_JSON = "application/vnd.schemaregistry.v1+json"
_REFERENCES_MAX = 100
_ABSENT = 404
_CONFLICT = 409
_UNPROCESSABLE = 422


class Registry(Protocol):
    """What the contract needs of a schema registry."""

    url: str

    def subjects(self) -> list[str]:
        """The names of all subjects, sorted."""

    def versions(self, subject: str) -> list[int]:
        """The version numbers of a subject, ascending; empty when there is no such subject."""

    def schema(self, subject: str, version: int | None = None) -> Schema | None:
        """One version (by default the latest) with its id, or None when there is none.

        Raises:
            ContractError: It is a schema of another type (Avro, Protobuf).
        """

    def by_id(self, id_: int | str) -> str | None:
        """The text of the JSON Schema with this id, or with this GUID where the registry has such; or None."""

    def find(self, schema: Schema) -> Schema | None:
        """The version of the schema's subject that says the same, or None; the schema's own number plays no part."""

    def register(self, schema: Schema) -> Schema:
        """Add a schema to its subject; what is already there is found, not added again.

        Returns:
            The schema with the registry's version and id.

        Raises:
            ContractError: It is no JSON Schema, or the subject's compatibility mode forbids it.
        """

    def check_compatibility(self, schema: Schema) -> list[str]:
        """Why the subject's mode forbids the schema, in the registry's words; empty when it may be registered."""

    def mode(self, subject: str) -> str:
        """The compatibility mode under which the subject is: its own or the registry's default."""

    def set_mode(self, subject: str, mode: str) -> None:
        """Give a subject a mode of its own."""


def breaking(changes: tuple[Change, ...], mode: str) -> tuple[Change, ...]:
    """The changes that a mode forbids between two versions."""
    direction = mode.removesuffix("_TRANSITIVE")
    assert direction in {"NONE", "BACKWARD", "FORWARD", "FULL"}, f"{mode} is no compatibility mode"
    return tuple(
        change
        for change in changes
        if (change.narrows and direction in {"BACKWARD", "FULL"})
        or (change.widens and direction in {"FORWARD", "FULL"})
    )


class HttpRegistry:
    """A registry behind Confluent's HTTP API; a context manager, which closes its connection.

    Args:
        url: Its address, as clients take it for ``schema.registry.url``; of several, separated by commas, the first that answers is
            used, and :attr:`url` names it.
        auth: ``user:password``, or empty; a login in the address is used otherwise.
    """

    def __init__(self, url: str, auth: str = "") -> None:
        split = [split_login(address.strip()) for address in url.split(",") if address.strip()]
        self._urls = [address.rstrip("/") for address, _ in split]
        self.url = self._urls[0]
        auth = auth or next((login for _, login in split if login), "")
        user, _, password = auth.partition(":")
        self._http = httpx.Client(
            auth=(user, password) if auth else None,
            timeout=_TIMEOUT_S,
            headers={"accept": _JSON, "content-type": _JSON},
        )

    def __enter__(self) -> Self:
        """Return self."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connection."""
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    def subjects(self) -> list[str]:
        """See :meth:`Registry.subjects`."""
        return sorted(self._ask("GET", "subjects"))

    def versions(self, subject: str) -> list[int]:
        """See :meth:`Registry.versions`."""
        return sorted(self._ask("GET", f"subjects/{_quoted(subject)}/versions", absent=[]))

    def schema(self, subject: str, version: int | None = None) -> Schema | None:
        """See :meth:`Registry.schema`."""
        answer = self._ask("GET", f"subjects/{_quoted(subject)}/versions/{version or 'latest'}", absent=None)
        return _schema(self._with_references(answer)) if answer else None

    def by_id(self, id_: int | str) -> str | None:
        """See :meth:`Registry.by_id`."""
        kind = "ids" if isinstance(id_, int) else "guids"
        answer = self._ask("GET", f"schemas/{kind}/{_quoted(str(id_))}", absent=None)
        return str(self._with_references(answer)["schema"]) if answer and answer.get("schemaType") == "JSON" else None

    def _with_references(self, answer: dict[str, Any]) -> dict[str, Any]:
        """A registry's answer with the schemas of other subjects that its schema refers to put into it.

        Nothing else is fetched: a reference that the registry does not know stays unresolved.
        """
        resources: dict[str, Any] = {}
        self._collect(answer.get("references") or (), resources)
        if not resources:
            return answer
        try:
            body = json.loads(answer["schema"])
            registry = jsonschema_rs.Registry(list(resources.items()))
            return {**answer, "schema": json.dumps(jsonschema_rs.bundle(body, registry=registry, offline=True))}
        except (ValueError, jsonschema_rs.ReferencingError):  # it refers to more than the registry knows
            return answer

    def _collect(self, references: Iterable[dict[str, Any]], into: dict[str, Any]) -> None:
        for reference in references:
            name = str(reference["name"])
            if name in into or len(into) >= _REFERENCES_MAX:
                continue
            path = f"subjects/{_quoted(str(reference['subject']))}/versions/{int(reference['version'])}"
            found = self._ask("GET", path, absent=None)
            if found and found.get("schemaType") == "JSON":
                into[name] = as_object(json.loads(found["schema"])) or {}
                self._collect(found.get("references") or (), into)

    def find(self, schema: Schema) -> Schema | None:
        """See :meth:`Registry.find`."""
        answer = self._ask("POST", f"subjects/{_quoted(schema.subject)}", _body(schema), absent=None)
        # Asked for a JSON Schema, Apicurio does not say again that it is one.
        return _schema({"schemaType": "JSON", **answer}) if answer else None

    def register(self, schema: Schema) -> Schema:
        """See :meth:`Registry.register`."""
        self._ask("POST", f"subjects/{_quoted(schema.subject)}/versions", _body(schema), subject=schema.subject)
        found = self.find(schema)
        if found is None:
            raise ContractError(
                f"{self.url} took a schema for {schema.subject} and does not find it again",
                hint="clickreel contract list",
            )
        return found

    def check_compatibility(self, schema: Schema) -> list[str]:
        """See :meth:`Registry.check_compatibility`."""
        # Apicurio answers by its own idea of compatibility when the mode is NONE, where nothing is forbidden.
        if self.mode(schema.subject) == "NONE" or not self.versions(schema.subject):
            return []
        path = f"compatibility/subjects/{_quoted(schema.subject)}/versions/latest"
        answer = self._ask("POST", path, _body(schema), params={"verbose": "true"})
        if answer["is_compatible"]:
            return []
        return [str(message) for message in answer.get("messages") or ["it gives no reason"]]

    def mode(self, subject: str) -> str:
        """See :meth:`Registry.mode`."""
        own = self._ask("GET", f"config/{_quoted(subject)}", params={"defaultToGlobal": "true"}, absent=None)
        return str((own or self._ask("GET", "config"))["compatibilityLevel"])

    def set_mode(self, subject: str, mode: str) -> None:
        """See :meth:`Registry.set_mode`."""
        check_mode(mode)
        self._ask("PUT", f"config/{_quoted(subject)}", {"compatibility": mode})

    def _ask(self, method: str, path: str, body: Any = None, *, subject: str = "", **options: Any) -> Any:
        """One request; ``absent`` is what a 404 gives where that is an answer."""
        try:
            response = self._send(method, path, body, options.get("params"))
        except httpx.InvalidURL as exc:
            raise UsageError(f"{self.url} is no address: {exc}", hint="fix schema.registry.url in the profile") from exc
        except httpx.TransportError as exc:
            raise UnreachableError(
                f"the schema registry {', '.join(self._urls)} does not answer: {exc or type(exc).__name__}",
                hint="clickreel status, or fix schema.registry.url in the profile",
            ) from exc
        if response.status_code == _ABSENT and "absent" in options:
            return options["absent"]
        if response.is_error:
            raise _refusal(self.url, response, subject)
        try:
            return response.json()
        except ValueError as exc:
            raise UnreachableError(
                f"{self.url} answers, but not as a schema registry does", hint="fix schema.registry.url in the profile"
            ) from exc

    def _send(self, method: str, path: str, body: Any, params: Mapping[str, str] | None) -> httpx.Response:
        """One request to the address that answered last, else to the next one that does."""
        at = self._urls.index(self.url)
        for url in self._urls[at:] + self._urls[:at]:
            try:
                response = self._http.request(method, f"{url}/{path}", json=body, params=params)
            except httpx.TransportError as exc:
                failed = exc
            else:
                self.url = url
                return response
        raise failed


def connect(profile: Profile) -> HttpRegistry:
    """The registry of a profile.

    Raises:
        UsageError: The profile names none.
    """
    if not profile.registry_url:
        raise UsageError(
            f"the profile {profile.source or 'of the local stack'} names no schema registry",
            hint="clickreel up, or add schema.registry.url to the profile",
        )
    return HttpRegistry(profile.registry_url, profile.registry_auth)


def _refusal(url: str, response: httpx.Response, subject: str) -> ContractError | UnreachableError:
    """An error answer in our words."""
    try:
        said = str(response.json().get("message", ""))
    except (ValueError, AttributeError):
        said = ""
    said = said or f"HTTP {response.status_code}"
    if response.status_code == _CONFLICT:
        return ContractError(
            f"{url} refuses the schema of {subject} as incompatible: {said}",
            hint="clickreel contract diff --registered",
        )
    if response.status_code == _UNPROCESSABLE:
        return ContractError(f"{url} refuses it: {said}", hint="clickreel contract show --schema")
    if response.status_code in {401, 403}:
        return UnreachableError(
            f"{url} does not let us in (HTTP {response.status_code})", hint="fix basic.auth.user.info in the profile"
        )
    if response.status_code == _ABSENT:
        return UnreachableError(f"{url} is no schema registry: {said}", hint="fix schema.registry.url in the profile")
    return UnreachableError(f"{url} fails: {said}", hint="clickreel logs registry")


def _quoted(subject: str) -> str:
    from urllib.parse import quote

    return quote(subject, safe="")


def _body(schema: Schema) -> dict[str, Any]:
    # Confluent keeps the metadata, Apicurio takes and drops it.
    metadata = {"properties": {"confluent:version": str(schema.version)}}
    return {"schemaType": "JSON", "schema": schema.canonical, "metadata": metadata}


def _schema(answer: dict[str, Any]) -> Schema:
    kind = answer.get("schemaType", "AVRO")  # the API leaves out its first type
    if kind != "JSON":
        raise ContractError(
            f"version {answer['version']} of {answer['subject']} is of type {kind}, not JSON Schema",
            hint="name another topic, or delete the subject",
        )
    return Schema(answer["subject"], int(answer["version"]), answer["schema"], id=int(answer["id"]))


def check_mode(mode: str) -> None:
    """Refuse what is no compatibility mode.

    Raises:
        UsageError: It is none of :data:`MODES`.
    """
    if mode not in MODES:
        raise UsageError(f"{mode} is no compatibility mode", hint=f"one of: {', '.join(MODES)}")


class MemoryRegistry:
    """A registry in memory, with the rules of the real one.

    Args:
        mode: The mode of subjects that have none of their own.
    """

    def __init__(self, mode: str = "NONE") -> None:
        check_mode(mode)
        self.url = "memory:"
        self._default = mode
        self._subjects: dict[str, list[Schema]] = {}
        self._modes: dict[str, str] = {}
        self._ids: list[str] = []

    def subjects(self) -> list[str]:
        """See :meth:`Registry.subjects`."""
        return sorted(self._subjects)

    def versions(self, subject: str) -> list[int]:
        """See :meth:`Registry.versions`."""
        return [schema.version for schema in self._subjects.get(subject, [])]

    def schema(self, subject: str, version: int | None = None) -> Schema | None:
        """See :meth:`Registry.schema`."""
        held = [schema for schema in self._subjects.get(subject, []) if version in {None, schema.version}]
        return held[-1] if held else None

    def by_id(self, id_: int | str) -> str | None:
        """See :meth:`Registry.by_id`."""
        return self._ids[id_ - 1] if isinstance(id_, int) and 0 < id_ <= len(self._ids) else None

    def find(self, schema: Schema) -> Schema | None:
        """See :meth:`Registry.find`."""
        return next((held for held in self._subjects.get(schema.subject, []) if held.body == schema.body), None)

    def register(self, schema: Schema) -> Schema:
        """See :meth:`Registry.register`."""
        _check_schema(schema)
        found = self.find(schema)
        if found:
            return found
        objections = self.check_compatibility(schema)
        if objections:
            raise ContractError(
                f"{self.url} refuses the schema of {schema.subject} as incompatible: {'; '.join(objections)}",
                hint="clickreel contract diff --registered",
            )
        if schema.canonical not in self._ids:
            self._ids.append(schema.canonical)
        held = self._subjects.setdefault(schema.subject, [])
        number = self._ids.index(schema.canonical) + 1
        held.append(dataclasses.replace(schema, version=len(held) + 1, text=schema.canonical, id=number))
        return held[-1]

    def check_compatibility(self, schema: Schema) -> list[str]:
        """See :meth:`Registry.check_compatibility`."""
        mode, held = self.mode(schema.subject), self._subjects.get(schema.subject, [])
        against = held if mode.endswith("_TRANSITIVE") else held[-1:]
        forbidden = (change for old in against for change in breaking(compare(old, schema), mode))
        return list(dict.fromkeys(f"{change.field}: {change.text}" for change in forbidden))

    def mode(self, subject: str) -> str:
        """See :meth:`Registry.mode`."""
        return self._modes.get(subject, self._default)

    def set_mode(self, subject: str, mode: str) -> None:
        """See :meth:`Registry.set_mode`."""
        check_mode(mode)
        self._modes[subject] = mode


def _check_schema(schema: Schema) -> None:
    fault = schema_fault(schema.rules)
    if fault:
        raise ContractError(
            f"memory: refuses it: the schema of {schema.subject} is no JSON Schema: {fault}",
            hint="clickreel contract show --schema",
        )
