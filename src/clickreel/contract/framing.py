"""How a JSON message says which schema it was written with: not at all, in a header, or in five bytes in front.

========  =========================================================================================================
plain     the bytes are JSON; the contract's current version is meant (what clickreel writes)
header    the bytes are JSON; a header ``__value_schema_id`` or ``__key_schema_id`` holds the schema's id or GUID
prefix    one zero byte, the schema's id as four big-endian bytes, then JSON (Confluent's wire format)
========  =========================================================================================================

JSON never starts with a zero byte, so the three cannot be mistaken for one another.
"""

from __future__ import annotations

import struct
import uuid
from collections.abc import Iterable, Mapping
from typing import Literal, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

Framing = Literal["plain", "header", "prefix"]
Part = Literal["key", "value"]

PREFIX_BYTES = 5
_ID_HEADER_BYTES = 5
_GUID_HEADER_BYTES = 17


class Unframed(NamedTuple):
    """A payload without its frame.

    Attributes:
        payload: The JSON bytes.
        framing: How the message was framed.
        schema: The registry's id of the schema, or its GUID as text, or None where the message does not say.
    """

    payload: bytes
    framing: Framing
    schema: int | str | None


def unframe(data: bytes, header: bytes | None = None) -> Unframed | None:
    """Take the frame off one key or value.

    Args:
        data: The message's bytes.
        header: The value of the schema-id header, where the message has one.

    Returns:
        The payload and its schema; None when the frame is damaged (shorter than itself, or a header of an unknown form).
    """
    if header is not None:
        named = _header_schema(header)
        return None if named is None else Unframed(data, "header", named)
    if data[:1] == b"\0":
        if len(data) < PREFIX_BYTES:
            return None
        return Unframed(data[PREFIX_BYTES:], "prefix", struct.unpack_from(">I", data, 1)[0])
    return Unframed(data, "plain", None)


def header_name(part: Part) -> str:
    """The name of the header that holds the schema of a message's key or value."""
    return f"__{part}_schema_id"


def schema_headers(
    headers: Mapping[str, bytes] | Iterable[tuple[str, bytes | None]] | None,
) -> tuple[bytes | None, bytes | None]:
    """The key's and the value's schema-id header out of a message's headers, as confluent-kafka gives them."""
    found: dict[str, bytes | None] = dict(headers or ())
    return found.get(header_name("key")), found.get(header_name("value"))


def prefix(payload: bytes, schema_id: int) -> bytes:
    """Put the five-byte prefix in front of a payload."""
    return struct.pack(">bI", 0, schema_id) + payload


def prefixed(column: pa.BinaryArray, schema_id: int) -> pa.BinaryArray:
    """A whole column with the five-byte prefix in front of each payload."""
    return pc.binary_join_element_wise(
        pa.scalar(prefix(b"", schema_id), pa.binary()), column, pa.scalar(b"", pa.binary())
    )


def header(schema: int | str) -> bytes:
    """What the schema-id header holds for an id, or for a GUID."""
    if isinstance(schema, int):
        return prefix(b"", schema)
    return b"\1" + uuid.UUID(schema).bytes


def _header_schema(header: bytes) -> int | str | None:
    """The id (magic 0) or the GUID (magic 1) that a schema-id header holds."""
    if header[:1] == b"\0" and len(header) == _ID_HEADER_BYTES:
        return int(struct.unpack_from(">I", header, 1)[0])
    if header[:1] == b"\1" and len(header) >= _GUID_HEADER_BYTES:
        return str(uuid.UUID(bytes=header[1:_GUID_HEADER_BYTES]))
    return None
