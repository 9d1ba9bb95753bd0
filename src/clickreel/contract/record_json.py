r"""A Kafka record as one line of JSON, and back: what ``clickreel messages --json`` prints and ``clickreel contract validate`` reads.

A key or value that is JSON stands in the line as it is, so an integer of any length, ``331.0`` and a field that stands twice survive.
Everything else is named, so that the record's own bytes can be made of the line again:

=====================  ==========================================================================================================
``key``, ``value``     the JSON itself; a text or ``base64:...`` where the bytes are no JSON; ``null``
``value_encoding``     ``text`` or ``base64`` where ``value`` is not the JSON itself, ``json`` where it could be mistaken; ``key_encoding`` likewise
``value_schema_id``    the id out of the five bytes that stood in front of the payload; ``key_schema_id`` likewise
``headers``            ``[{"name": ..., "value": ...}]`` in their order, duplicates included; ``encoding`` where it is base64
=====================  ==========================================================================================================
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import orjson

from clickreel.contract import framing

Headers = Sequence[tuple[str, bytes | None]]

_BASE64 = "base64:"
_BLANK = re.compile(r"[ \t\r\n]*")
_DECODER = json.JSONDecoder()


class PrintedRecord(NamedTuple):
    """What a line of :func:`format_record` says of a record: its bytes, as they were, and what was wrong with it."""

    key: bytes | None
    value: bytes | None
    headers: Headers = ()
    errors: Sequence[Mapping[str, str]] = ()


def format_record(
    place: dict[str, Any], key: bytes | None, value: bytes | None, headers: Headers, errors: Sequence[Mapping[str, str]]
) -> bytes:
    """One line of NDJSON, without its line feed.

    Args:
        place: What stands in front: partition, offset and timestamp.
        key: The key's bytes, with any framing.
        value: The value's bytes, with any framing.
        headers: The headers.
        errors: What is wrong with the record by the contract: field, rule and text of each violation.
    """
    header_ids = framing.schema_headers([(name, data) for name, data in headers if data is not None])
    names: dict[str, Any] = {}
    parts = [orjson.dumps(place)[:-1]]
    for part, data, header in (("key", key, header_ids[0]), ("value", value, header_ids[1])):
        shown, extra = _shown(data, header)
        parts.append(b'"%s":%s' % (part.encode(), shown))
        names |= {f"{part}_{name}": found for name, found in extra.items()}
    rest = {
        "headers": [_header(name, data) for name, data in headers],
        "valid": not errors,
        "errors": list(errors),
        **names,
    }
    parts.append(orjson.dumps(rest)[1:])
    return b",".join(parts)


def payload_json(data: bytes | None, header: bytes | None = None) -> Any:
    """The parsed payload of a key or value, whatever its framing; integers of any length stay integers.

    Args:
        data: The bytes.
        header: The value of its schema-id header, where there is one.

    Returns:
        The parsed JSON, a text where the bytes are none, ``base64:...`` where they are no text either.
    """
    if data is None:
        return None
    unframed = framing.unframe(data, header)
    payload = unframed.payload if unframed else data
    try:
        # orjson reads an integer of more than 64 bits as a float.
        return json.loads(payload) if _has_long_integer(payload) else orjson.loads(payload)
    except (ValueError, RecursionError):
        return _text(data)[0]


def parse_record(line: bytes) -> PrintedRecord | None:
    """The record that a line of :func:`format_record` shows; None when it is no such line."""
    try:
        members = _members(line.decode())
    except (ValueError, RecursionError):
        return None
    if members is None or not members.keys() >= {"partition", "offset", "key", "value"}:
        return None
    try:
        key, value = (_bytes(members, part) for part in ("key", "value"))
        headers = json.loads(members.get("headers", "[]"))
        if isinstance(headers, dict):  # as jq users write them
            headers = [{"name": name, "value": text} for name, text in headers.items()]
        errors = json.loads(members.get("errors", "[]"))
        said = [{name: str(error[name]) for name in ("field", "rule", "text")} for error in errors or ()]
        return PrintedRecord(key, value, [_parsed_header(one) for one in headers], said)
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError):
        return None


def _shown(data: bytes | None, header: bytes | None) -> tuple[bytes, dict[str, Any]]:
    """A key or value as JSON, and what has to be known to make its bytes of it again."""
    if data is None:
        return b"null", {}
    unframed = framing.unframe(data, header)
    if unframed is not None and _is_json(unframed.payload):
        shown = _one_line(unframed.payload)
        extra: dict[str, Any] = {"encoding": "json"} if _is_ambiguous(shown) else {}
        if unframed.framing == "prefix":
            extra["schema_id"] = unframed.schema
        return shown, extra
    text, encoding = _text(data)
    return orjson.dumps(text), {"encoding": encoding}


def _is_json(payload: bytes) -> bool:
    try:
        orjson.loads(payload)
    except orjson.JSONDecodeError:
        return False
    return True


def _is_ambiguous(shown: bytes) -> bool:
    """Whether a reader would take the JSON for something else: for no bytes at all, or for the text of other bytes."""
    if shown == b"null":
        return True
    return shown[:1] == b'"' and str(orjson.loads(shown)).startswith(("{", '"', _BASE64))


def _one_line(payload: bytes) -> bytes:
    """JSON on one line: line feeds stand between its tokens only, where a blank says the same."""
    return payload.translate(bytes.maketrans(b"\r\n\t", b"   ")).strip()


def _text(data: bytes) -> tuple[str, str]:
    try:
        return data.decode(), "text"
    except UnicodeDecodeError:
        return _BASE64 + base64.b64encode(data).decode(), "base64"


def _has_long_integer(payload: bytes) -> bool:
    return re.search(rb"\d{19}", payload) is not None


def _header(name: str, data: bytes | None) -> dict[str, Any]:
    if data is None:
        return {"name": name, "value": None}
    text, encoding = _text(data)
    return {"name": name, "value": text, **({"encoding": encoding} if encoding == "base64" else {})}


def _parsed_header(header: dict[str, Any]) -> tuple[str, bytes | None]:
    text = header["value"]
    if text is None:
        return header["name"], None
    if header.get("encoding") == "base64":
        return header["name"], base64.b64decode(text.removeprefix(_BASE64))
    return header["name"], text.encode()


def _members(text: str) -> dict[str, str] | None:
    """The members of a JSON object, each value as the text that stands there; None when it is no object."""
    at = _blank(text, 0)
    if text[at : at + 1] != "{":
        return None
    found: dict[str, str] = {}
    at = _blank(text, at + 1)
    while text[at : at + 1] == '"':
        name, at = _DECODER.raw_decode(text, at)
        at = _blank(text, at)
        if text[at : at + 1] != ":":
            return None
        start = _blank(text, at + 1)
        _, end = _DECODER.raw_decode(text, start)
        found[name] = text[start:end]
        at = _blank(text, end)
        if text[at : at + 1] == "}":
            return found if _blank(text, at + 1) == len(text) else None
        if text[at : at + 1] != ",":
            return None
        at = _blank(text, at + 1)
    return None


def _blank(text: str, at: int) -> int:
    match = _BLANK.match(text, at)
    return match.end() if match else at


def _bytes(members: dict[str, str], part: str) -> bytes | None:
    """The bytes of a key or value."""
    shown = members[part]
    encoding = json.loads(members.get(f"{part}_encoding", "null"))
    if shown == "null" and encoding is None:
        return None
    if encoding == "base64":
        return base64.b64decode(json.loads(shown).removeprefix(_BASE64))
    if encoding == "text":
        return str(json.loads(shown)).encode()
    payload = shown.encode()
    if encoding is None and shown[:1] == '"':  # lines that others write say less
        text = str(json.loads(shown))
        if text.startswith(_BASE64):
            return base64.b64decode(text.removeprefix(_BASE64), validate=True)
        payload = text.encode() if text.startswith(("{", '"')) else payload
    schema_id = json.loads(members.get(f"{part}_schema_id", "null"))
    return payload if schema_id is None else framing.prefix(payload, schema_id)
