r"""Exports of schemas: the files that Confluent Cloud hands out, read and written.

``schema-dvd_clicks-value-v4.json`` holds the JSON Schema and nothing else. ``data-contract-dvd_clicks-value-v4.json`` holds an object
around it, in which the schema stands as text::

    {"subject": "dvd_clicks-value", "version": 4, "id": 100024, "schemaType": "JSON",
     "metadata": {"properties": {"confluent:version": "4"}}, "schema": "{\"type\": ...}"}

An object in which the schema is no text is read as well.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from clickreel.contract.rules import schema_fault
from clickreel.contract.schema import Schema, as_object
from clickreel.errors import ContractError, UsageError

KINDS = ("data-contract", "schema")
"""How the names of an export's files begin."""

_NAME = re.compile(rf"(?:(?:{'|'.join(KINDS)})-)?(?P<subject>.+?)(?:-v(?P<version>[0-9]+))?\.json\Z")


def read(path: Path) -> Schema:
    """Read one export.

    Args:
        path: The file. Where it does not say subject and version, its name does (``schema-dvd_clicks-value-v4.json``).

    Raises:
        UsageError: There is no such file, or it is no JSON.
        ContractError: It holds no JSON Schema.
    """
    held = _json(path)
    name = _NAME.fullmatch(path.name)
    subject = str(held.get("subject") or (name["subject"] if name else path.stem))
    version = held.get("version") or int((name and name["version"]) or 1)
    if "schema" not in held:
        return _checked(path, Schema(subject, version, json.dumps(held)))
    kind = held.get("schemaType", "JSON")
    if kind != "JSON":
        raise ContractError(
            f"{path} holds a schema of type {kind}, not JSON", hint="export the JSON Schema of the subject"
        )
    if not isinstance(version, int) or not isinstance(held.get("id"), int | None):
        raise ContractError(f"{path}: version and id must be whole numbers", hint="export the schema again")
    text = held["schema"] if isinstance(held["schema"], str) else json.dumps(held["schema"])
    return _checked(path, Schema(subject, version, text, id=held.get("id")))


def export(schema: Schema) -> dict[str, Any]:
    """A schema as the object that an export holds; ``id`` is there when a registry gave one."""
    return {
        "subject": schema.subject,
        "version": schema.version,
        **({} if schema.id is None else {"id": schema.id}),
        "schemaType": "JSON",
        "metadata": {"properties": {"confluent:version": str(schema.version)}},
        "schema": schema.canonical,
    }


def write(schema: Schema, folder: Path) -> list[Path]:
    """Write a schema's two exports into a folder, which is made; existing files are replaced.

    Raises:
        UsageError: The folder cannot be written.
    """
    held = {"data-contract": export(schema), "schema": schema.rules}
    paths = [folder / f"{kind}-{schema.subject}-v{schema.version}.json" for kind in KINDS]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, kind in zip(paths, KINDS, strict=True):
            path.write_text(json.dumps(held[kind], indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    except OSError as exc:
        raise UsageError(f"{folder} cannot be written: {exc.strerror}", hint="name another folder") from exc
    return paths


def _json(path: Path) -> dict[str, Any]:
    try:
        held = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as exc:
        raise UsageError(f"{path} cannot be read: {exc.strerror}", hint="name an exported schema file") from exc
    except (ValueError, RecursionError) as exc:
        raise UsageError(f"{path} is not JSON: {exc}", hint="export the schema again") from exc
    if not isinstance(held, dict):
        raise ContractError(f"{path} holds no schema, but {type(held).__name__}", hint="export the schema again")
    return held


def _checked(path: Path, schema: Schema) -> Schema:
    try:
        body = json.loads(schema.text)
    except (ValueError, RecursionError) as exc:
        raise ContractError(f"{path}: the schema in it is not JSON: {exc}", hint="export the schema again") from exc
    if as_object(body) is None:
        raise ContractError(f"{path} holds no schema with rules", hint="export the schema again")
    fault = schema_fault(body)
    if fault:
        raise ContractError(f"{path} holds no JSON Schema: {fault}", hint="export the schema again")
    return schema
