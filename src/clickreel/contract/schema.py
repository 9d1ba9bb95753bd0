"""The schemas of the contract, as they lie in this package: one file a version, the current one last.

Versions 6 (key) and 4 (value) are the open schemas that the topic's first users have in Confluent Cloud; 7 and 5 are the strict ones
that clickreel writes and checks. A schema file is never edited once it was released: a change is a new file.
"""

from __future__ import annotations

import functools
import importlib.resources
import json
import re
from dataclasses import dataclass
from typing import Any, Literal

from clickreel.errors import ContractError, UsageError

Part = Literal["key", "value"]

TOPIC = "dvd_clicks"
_FILE = re.compile(r"(?P<subject>.+)-v(?P<version>[0-9]+)\.json\Z")


@dataclass(frozen=True)
class Schema:
    """One version of one subject.

    Attributes:
        subject: Its name in a registry: the topic's name, then ``-key`` or ``-value``.
        version: Its number in the subject.
        text: The JSON Schema (draft-07) as a registry holds it.
        id: The registry's number of the schema, where it came from a registry.
    """

    subject: str
    version: int
    text: str
    id: int | None = None

    @functools.cached_property
    def rules(self) -> Any:
        """The parsed schema, whatever it is: an object, true or false, or nonsense; None when the text is no JSON."""
        try:
            return json.loads(self.text)
        except (ValueError, RecursionError):
            return None

    @property
    def body(self) -> dict[str, Any]:
        """The schema as a mapping, ``true`` as ``{}`` and ``false`` as ``{"not": {}}``; do not change it.

        Raises:
            ContractError: The text is no JSON Schema.
        """
        body = as_object(self.rules)
        if body is None:
            raise ContractError(
                f"version {self.version} of {self.subject} is no JSON Schema with rules", hint="clickreel contract list"
            )
        return body

    @property
    def canonical(self) -> str:
        """The schema without insignificant white space: equal texts, equal schemas."""
        return json.dumps(self.rules, separators=(",", ":"), ensure_ascii=False)

    @functools.cached_property
    def fields(self) -> dict[str, dict[str, Any]]:
        """The properties by name, in the schema's order, ``true`` and ``false`` as :attr:`body` has them; empty for what is no object."""
        properties = self.rules.get("properties") if isinstance(self.rules, dict) else None
        held = properties if isinstance(properties, dict) else {}
        return {name: as_object(rules) or {} for name, rules in held.items()}


def as_object(rules: Any) -> dict[str, Any] | None:
    """A schema as an object: ``true`` takes everything, ``false`` nothing; None for what is no schema."""
    if isinstance(rules, bool):
        return {} if rules else {"not": {}}
    return rules if isinstance(rules, dict) else None


def subject(part: Part, topic: str = TOPIC) -> str:
    """The subject of the key's or value's schema under the topic-name strategy."""
    return f"{topic}-{part}"


@functools.cache
def versions(part: Part) -> tuple[Schema, ...]:
    """All versions that this package knows, oldest first."""
    found = []
    for file in importlib.resources.files(__package__).joinpath("schemas").iterdir():
        match = _FILE.fullmatch(file.name)
        if match and match["subject"] == subject(part):
            found.append(Schema(match["subject"], int(match["version"]), file.read_text(encoding="utf-8")))
    return tuple(sorted(found, key=lambda schema: schema.version))


def current(part: Part) -> Schema:
    """The version that clickreel writes and checks."""
    return versions(part)[-1]


def version(part: Part, number: int) -> Schema:
    """One version.

    Raises:
        UsageError: This package has no such version.
    """
    for schema in versions(part):
        if schema.version == number:
            return schema
    known = ", ".join(str(schema.version) for schema in versions(part))
    raise UsageError(f"no version {number} of {subject(part)} (has {known})", hint="clickreel contract list")
