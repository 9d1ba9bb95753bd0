"""Content types of the formats, and the compression of bodies."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any, Protocol

from clickreel.local.clickhouse.database_errors import ErrorCode, database_error
from clickreel.local.http_connection import CHUNK_BYTES, ByteSource

_TEXT = "text/plain; charset=UTF-8"
_JSON = "application/json; charset=UTF-8"
_BINARY = "application/octet-stream"


def content_type(name: str) -> str:
    """The media type a server announces for a format."""
    lower = name.lower()
    if "eachrow" in lower and lower.startswith("json"):
        return "application/x-ndjson; charset=UTF-8"
    for start, kind in (
        ("json", _JSON),
        ("csv", f"text/csv; charset=UTF-8; header={'present' if 'names' in lower else 'absent'}"),
        ("tabseparated", "text/tab-separated-values; charset=UTF-8"),
        ("tsv", "text/tab-separated-values; charset=UTF-8"),
        ("xml", "application/xml; charset=UTF-8"),
        ("markdown", "text/markdown; charset=UTF-8"),
        ("pretty", _TEXT),
        ("vertical", _TEXT),
        ("values", _TEXT),
        ("template", _TEXT),
        ("customseparated", _TEXT),
        ("sqlinsert", _TEXT),
    ):
        if lower.startswith(start):
            return kind
    return _BINARY


class Compressor(Protocol):
    """A compressing stream."""

    def compress(self, data: bytes) -> bytes:
        """Take some bytes, give what is ready."""

    def flush(self) -> bytes:
        """Give the rest."""


_SLICE_BYTES = 1 << 12

# In the order of preference when a client takes several: on loopback the cheap ones win.
_PREFERRED = ("zstd", "lz4", "gzip", "deflate")


def negotiate_encoding(header: str) -> str | None:
    """Choose a compression from an Accept-Encoding header; ``None`` for none."""
    names = {}
    for part in header.lower().split(","):
        name, _, parameters = part.strip().partition(";")
        names[name.strip()] = parameters.replace(" ", "") not in ("q=0", "q=0.0")
    return next((name for name in _PREFERRED if names.get(name)), None)


class _Lz4Compressor:
    def __init__(self) -> None:
        import lz4.frame

        self._frame = lz4.frame.LZ4FrameCompressor()
        self._head: bytes = self._frame.begin()

    def compress(self, data: bytes) -> bytes:
        head, self._head = self._head, b""
        return head + bytes(self._frame.compress(data))

    def flush(self) -> bytes:
        return self._head + bytes(self._frame.flush())


def create_compressor(name: str, level: int) -> Compressor:
    """A compressing stream of this name, which :func:`accepted` gave."""
    if name == "zstd":
        import zstandard

        return zstandard.ZstdCompressor(level=level).compressobj()
    if name == "lz4":
        return _Lz4Compressor()
    return zlib.compressobj(min(level, 9), zlib.DEFLATED, 31 if name == "gzip" else 15)


def decode_body(body: ByteSource, encoding: str) -> ByteSource:
    """A body's plain bytes.

    Args:
        body: The body as it came.
        encoding: Its Content-Encoding header; several are undone from the right.

    Raises:
        DatabaseError: The encoding is unknown.
    """
    for name in reversed([part.strip().lower() for part in encoding.split(",")]):
        if name not in ("", "identity"):
            body = _Decoder(body, name)
    return body


def _decompressor_factory(name: str) -> Callable[[], Any]:
    if name in ("gzip", "x-gzip"):
        return lambda: zlib.decompressobj(31)
    if name == "deflate":
        return lambda: zlib.decompressobj(15)
    if name == "zstd":
        import zstandard

        return lambda: zstandard.ZstdDecompressor().decompressobj()
    if name == "lz4":
        import lz4.frame

        frame: Callable[[], Any] = lz4.frame.LZ4FrameDecompressor
        return frame
    raise database_error(
        ErrorCode.UNKNOWN_COMPRESSION_METHOD, f"Unknown compression method {name}; zstd, lz4, gzip, deflate are known"
    )


class _Decoder:
    """Streams of several members (gzip, zstd and lz4 frames joined) are one body.

    A few compressed bytes can stand for gigabytes. So they are decompressed in small slices, and a read ends once it has enough: a slice
    of zstd may grow to 32 MiB at the worst (a block of 128 KiB from 4 bytes), of gzip and lz4 to 1 MiB.
    """

    def __init__(self, body: ByteSource, name: str) -> None:
        self._body = body
        self._name = name
        self._create = _decompressor_factory(name)
        self._decompressor = self._create()
        self._is_complete = True
        self._rest = memoryview(b"")

    def read(self, size: int) -> bytes:
        """Read about so many bytes; empty at the end."""
        pieces: list[bytes] = []
        count = 0
        while count < min(size, CHUNK_BYTES):
            data = self._rest or memoryview(self._body.read(CHUNK_BYTES // 4))
            if not data:
                if not self._is_complete and not pieces:
                    raise database_error(
                        ErrorCode.CANNOT_DECOMPRESS, f"The {self._name} stream of the request's body is not complete"
                    )
                break
            self._rest = data[_SLICE_BYTES:]
            pieces.append(self._decompress(data[:_SLICE_BYTES]))
            count += len(pieces[-1])
        return b"".join(pieces)

    def _decompress(self, data: memoryview) -> bytes:
        try:
            plain: bytes = self._decompressor.decompress(data)
        except Exception as exc:  # each library has errors of its own
            raise database_error(
                ErrorCode.CANNOT_DECOMPRESS, f"Cannot decompress the request's body as {self._name}: {exc}"
            ) from exc
        self._is_complete = self._decompressor.eof
        if self._is_complete:
            self._rest = memoryview((self._decompressor.unused_data or b"") + self._rest)
            self._decompressor = self._create()
        return plain
