"""ClickHouse's own compressed blocks, which its Java and Go clients speak over HTTP (``compress=1``, ``decompress=1``).

A block is: checksum (CityHash128 of version 1.0.2 over what follows; 16 bytes), method (1), size of what follows the checksum (4), size of
the plain data (4), data. Numbers are little-endian.
"""

from __future__ import annotations

import struct

import lz4.block
import zstandard
from clickhouse_cityhash.cityhash import CityHash128

from clickreel.local.clickhouse.database_errors import ErrorCode, database_error
from clickreel.local.http_connection import ByteSource

_HEAD = struct.Struct("<BII")
_LZ4, _ZSTD, _NONE = 0x82, 0x90, 0x02
_CHECKSUM_BYTES = 16
PLAIN_BYTES = 1 << 20  # a server's blocks hold as much
# A client's block may be larger (clickhouse-go: 10 MiB); what claims more than this would take the memory of everybody.
_BLOCK_MAX_BYTES = 128 << 20


def _checksum(data: bytes) -> bytes:
    value: int = CityHash128(data)
    # The high half comes first: the pair is written as two numbers, first and second.
    return struct.pack("<QQ", value >> 64, value & (2**64 - 1))


class BlockCompressor:
    """Plain bytes to blocks, with LZ4."""

    def __init__(self) -> None:
        self._hold = bytearray()

    def compress(self, data: bytes) -> bytes:
        """Take some bytes, give the blocks that are full."""
        self._hold += data
        ready = []
        while len(self._hold) >= PLAIN_BYTES:
            ready.append(_compress_block(bytes(self._hold[:PLAIN_BYTES])))
            del self._hold[:PLAIN_BYTES]
        return b"".join(ready)

    def flush(self) -> bytes:
        """Give the rest."""
        rest, self._hold = bytes(self._hold), bytearray()
        return _compress_block(rest) if rest else b""


def _compress_block(plain: bytes) -> bytes:
    data: bytes = lz4.block.compress(plain, store_size=False)
    body = _HEAD.pack(_LZ4, len(data) + _HEAD.size, len(plain)) + data
    return _checksum(body) + body


class BlockReader:
    """Blocks to plain bytes."""

    def __init__(self, body: ByteSource) -> None:
        self._body = body

    def read(self, size: int) -> bytes:
        """The next block's data, whatever its size; empty at the end.

        Raises:
            DatabaseError: What came is not a block, or its checksum is wrong.
        """
        del size
        head = self._exactly(_CHECKSUM_BYTES + _HEAD.size, may_end=True)
        if not head:
            return b""
        method, packed_size, plain_size = _HEAD.unpack(head[_CHECKSUM_BYTES:])
        if max(packed_size, plain_size) > _BLOCK_MAX_BYTES or packed_size < _HEAD.size:
            raise database_error(ErrorCode.CANNOT_DECOMPRESS, "The request's body is not made of compressed blocks")
        data = self._exactly(packed_size - _HEAD.size, may_end=False)
        if _checksum(head[_CHECKSUM_BYTES:] + data) != head[:_CHECKSUM_BYTES]:
            raise database_error(
                ErrorCode.CHECKSUM_DOESNT_MATCH, "Checksum doesn't match: corrupted data in the request's body"
            )
        try:
            return _plain(method, data, plain_size)
        except (lz4.block.LZ4BlockError, zstandard.ZstdError) as exc:
            raise database_error(
                ErrorCode.CANNOT_DECOMPRESS, f"Cannot decompress a block of the request's body: {exc}"
            ) from exc

    def _exactly(self, size: int, *, may_end: bool) -> bytes:
        pieces, left = [], size
        while left and (piece := self._body.read(left)):
            pieces.append(piece)
            left -= len(piece)
        if left and (pieces or not may_end):
            raise database_error(ErrorCode.CANNOT_DECOMPRESS, "The request's body ends inside a compressed block")
        return b"".join(pieces)


def _plain(method: int, data: bytes, size: int) -> bytes:
    if method == _LZ4:
        return bytes(lz4.block.decompress(data, uncompressed_size=size))
    if method == _ZSTD:
        return zstandard.ZstdDecompressor().decompress(data, max_output_size=size)
    if method == _NONE:
        return data
    raise database_error(ErrorCode.UNKNOWN_COMPRESSION_METHOD, f"Unknown compression method {method:#x} of a block")
