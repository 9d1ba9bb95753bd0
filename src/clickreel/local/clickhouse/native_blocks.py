"""Results in ``Native`` for clients that name a protocol version (``client_protocol_version``), as clickhouse-go and clickhouse-connect do.

The engine writes Native without a version: a block is the numbers of its columns and rows, and for each column name, type and data. From
the first version on a block begins with its *block info*, and from 54454 on each column's type is followed by a byte that says how the
data is serialized (0: as usual). To put these in one must know where a column's data ends, and the form of the data depends on its type;
so the engine is asked for its format ``Buffers`` instead, which gives the same data with lengths and leaves out names and types.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Sequence

import orjson

from clickreel.local.clickhouse.database_errors import DatabaseError
from clickreel.local.clickhouse.engine import EngineConnection, QueryStats
from clickreel.local.clickhouse.statement_parts import PlainStatement, quote_string
from clickreel.local.http_connection import ByteSource

# Fields 1 (is_overflows, UInt8) and 2 (bucket_num, Int32) of the block info, and the 0 that ends it.
_BLOCK_INFO = bytes.fromhex("010002ffffffff00")
_SERIALIZATION_VERSION = 54454
_NUMBER = struct.Struct("<Q")


class NativeBlocks:
    """``Buffers`` to Native blocks of a protocol version.

    Args:
        buffers: What the engine writes in the format ``Buffers``.
        columns: Names and types of the result.
        version: The client's protocol version, above 0.
    """

    def __init__(self, buffers: ByteSource, columns: Sequence[tuple[bytes, bytes]], version: int) -> None:
        self._buffers = buffers
        marker = b"\0" if version >= _SERIALIZATION_VERSION else b""
        self._heads = [encode_text(name) + encode_text(kind) + marker for name, kind in columns]
        self._column = 0
        self._columns = 0
        self._left = 0
        self._hold = b""

    def read(self, size: int) -> bytes:
        """Read some bytes; empty at the end, which is where the engine ended, within a block as well."""
        pieces, count = [], 0
        while count < size and (piece := self._next(size - count)):
            pieces.append(piece)
            count += len(piece)
        return b"".join(pieces)

    def _next(self, size: int) -> bytes:
        if self._left:
            data = self._take(min(size, self._left))
            self._left -= len(data)
            return data
        if self._column < self._columns:
            length = self._read_number()
            if length is None:
                return b""
            self._left = length
            self._column += 1
            return self._heads[self._column - 1]
        columns, rows = self._read_number(), self._read_number()
        if columns is None or rows is None:
            return b""
        self._columns, self._column = columns, 0
        return _BLOCK_INFO + encode_number(columns) + encode_number(rows)

    def _read_number(self) -> int | None:
        raw = b""
        while len(raw) < _NUMBER.size:
            piece = self._take(_NUMBER.size - len(raw))
            if not piece:
                return None
            raw += piece
        return int(_NUMBER.unpack(raw)[0])

    def _take(self, size: int) -> bytes:
        """Some of the engine's bytes, read in large pieces."""
        data = self._hold or self._buffers.read(1 << 20)
        self._hold = data[size:]
        return data[:size]


def describe_result(
    connection: EngineConnection, sql: bytes, parsed: PlainStatement
) -> list[tuple[bytes, bytes]] | None:
    """Names and types of a query's result, without running it; ``None`` for a statement that is no query."""
    try:
        rows = connection.run(b"DESCRIBE TABLE (%b)" % _without_format(sql, parsed), "JSONCompactEachRow")[0]
    except DatabaseError:
        return None  # SHOW, EXPLAIN, ...; a query that is wrong fails again where its own words are
    return [(row[0].encode(), row[1].encode()) for row in map(orjson.loads, rows.splitlines())]


def run_described(
    connection: EngineConnection, sql: bytes, parsed: PlainStatement, version: int
) -> tuple[bytes, QueryStats]:
    """Run a statement that is no query (SHOW, EXPLAIN, ...); its result, which is small, in blocks of a version."""
    described = "TSVWithNamesAndTypes"
    rows, stats = connection.run(_without_format(sql, parsed), described)
    names, types = (line.split(b"\t") for line in rows.split(b"\n", 2)[:2])
    literal = quote_string(rows.decode("utf-8", "surrogateescape"))
    buffers, _ = connection.run(f"SELECT * FROM format({described}, {literal})", "Buffers")
    blocks = NativeBlocks(io.BytesIO(buffers), list(zip(names, types, strict=True)), version)
    return b"".join(iter(lambda: blocks.read(1 << 20), b"")), stats


def _without_format(sql: bytes, parsed: PlainStatement) -> bytes:
    return sql[: parsed.cut] + sql[parsed.resume : parsed.end]


def encode_number(value: int) -> bytes:
    """A number as Native writes counts and lengths: seven bits a byte, the lowest first."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def encode_text(text: bytes) -> bytes:
    """A text as Native writes names and types."""
    return encode_number(len(text)) + text
