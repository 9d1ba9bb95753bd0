"""``multipart/form-data``: parameters too long for a URL, and external tables."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import Message

from clickreel.local.clickhouse.database_errors import ErrorCode, database_error
from clickreel.local.http_connection import CHUNK_BYTES, ByteSource

MAX_BYTES = 64 << 20
_FIELD = re.compile(rb'\b(filename|name)="((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True)
class ExternalTable:
    """A table that lives as long as its request.

    Attributes:
        name: Its name in the query.
        structure: Its columns, as in CREATE TABLE.
        format: The format of its data.
        data: The data.
    """

    name: str
    structure: str
    format: str
    data: bytes


def parse_boundary(content_type: str) -> bytes | None:
    """The boundary between the parts; ``None`` when the body is not a form."""
    header = Message()
    header["Content-Type"] = content_type
    if header.get_content_type() != "multipart/form-data":
        return None
    return str(header.get_param("boundary", "")).encode("utf-8", "replace") or None


def read_form(body: ByteSource, mark: bytes, params: Mapping[str, str]) -> tuple[dict[str, str], list[ExternalTable]]:
    """Read a form.

    Args:
        body: The request's body.
        mark: The boundary.
        params: The parameters in the URL; what stands in both is taken from the form.

    Returns:
        All parameters, and the external tables; the parameters that describe these (``name_format``, ``name_structure``,
        ``name_types``) are used up.

    Raises:
        DatabaseError: The form is too large, or a table has no structure.
    """
    pieces, size = [], 0
    while piece := body.read(CHUNK_BYTES):
        pieces.append(piece)
        size += len(piece)
        if size > MAX_BYTES:
            raise database_error(ErrorCode.QUERY_IS_TOO_LARGE, f"The form is larger than {MAX_BYTES} bytes")
    content = b"\r\n" + b"".join(pieces)
    merged, files = dict(params), {}
    for part in content.split(b"\r\n--" + mark)[1:]:
        if part.startswith(b"--"):
            break
        head, _, data = part.partition(b"\r\n\r\n")
        fields = {key.decode(): value.decode("utf-8", "replace") for key, value in _FIELD.findall(head)}
        if "filename" in fields:
            files[fields.get("name", "")] = data
        else:
            merged[fields.get("name", "")] = data.decode("utf-8", "surrogateescape")
    tables = [_table(name, data, merged) for name, data in files.items()]
    return merged, tables


def _table(name: str, data: bytes, params: dict[str, str]) -> ExternalTable:
    output = params.pop(f"{name}_format", "TabSeparated")
    structure, types = params.pop(f"{name}_structure", ""), params.pop(f"{name}_types", "")
    if not structure and types:
        structure = ", ".join(f"_{number} {kind}" for number, kind in enumerate(_split(types), 1))
    if not structure:
        raise database_error(
            ErrorCode.BAD_ARGUMENTS, f"Neither {name}_structure nor {name}_types describes the external table {name}"
        )
    return ExternalTable(name, structure, output, data)


def _split(types: str) -> list[str]:
    """Types at commas, those inside parentheses left alone."""
    parts, depth = [""], 0
    for letter in types:
        depth += (letter == "(") - (letter == ")")
        if letter == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return [part.strip() for part in parts]
