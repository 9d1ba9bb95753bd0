"""Compressed bodies, in both directions."""

from __future__ import annotations

import gzip
import random
import zlib
from pathlib import Path
from typing import Any

import chdb.session
import lz4.frame
import pytest
import zstandard

from clickreel.local.clickhouse.native_compression import BlockCompressor, BlockReader
from tests.clickhouse.http import Http

PACK = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "zstd": zstandard.compress,
    "lz4": lz4.frame.compress,
}
UNPACK = {
    "gzip": gzip.decompress,
    "deflate": zlib.decompress,
    "zstd": lambda data: zstandard.ZstdDecompressor().decompressobj().decompress(data),
    "lz4": lz4.frame.decompress,
}


class _Pieces:
    """Bytes that arrive in pieces of odd sizes."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.random = random.Random(1)

    def read(self, size: int) -> bytes:
        size = min(size, self.random.randint(1, 100_000))
        piece, self.data = self.data[:size], self.data[size:]
        return piece


@pytest.mark.parametrize("name", PACK)
def test_request_bodies(http: Http, name: str) -> None:
    """A body may be compressed, also as several members joined; a broken or unfinished one is refused."""
    http.text("CREATE TABLE t (a UInt64) ENGINE = MergeTree ORDER BY a")
    data = b"".join(b"%d\n" % n for n in range(100_000))
    sql, headers = "INSERT INTO t FORMAT TSV", {"Content-Encoding": name}
    assert http.post(sql, PACK[name](data), headers=headers).status_code == 200
    assert http.post(sql, PACK[name](data[:30]) + PACK[name](data[30:]), headers=headers).status_code == 200
    assert http.text("SELECT count(), sum(a) FROM t") == "200000\t9999900000"
    assert http.post(sql, PACK[name](data)[:-9], headers=headers).headers["x-clickhouse-exception-code"] == "271"
    assert http.post(sql, b"no such thing", headers=headers).headers["x-clickhouse-exception-code"] == "271"
    assert http.text("SELECT count() FROM t") == "200000"
    assert http.client.post("/", content=PACK[name](b"SELECT 7"), headers=headers).text == "7\n"


def test_unknown_encodings_are_refused(http: Http) -> None:
    """An encoding that nobody knows is said to be unknown."""
    answer = http.post("SELECT 1", b"x", headers={"Content-Encoding": "rot13"})
    assert answer.headers["x-clickhouse-exception-code"] == "89"


@pytest.mark.parametrize("name", PACK)
@pytest.mark.parametrize("rows", [1, 1_000_000])
def test_answers(http: Http, name: str, rows: int) -> None:
    """A small answer and one that is streamed come compressed when the client takes it."""
    sql = f"SELECT number FROM numbers({rows})"
    with http.client.stream("POST", "/", content=sql, headers={"Accept-Encoding": name}) as answer:
        body = b"".join(answer.iter_raw())
    assert answer.headers["content-encoding"] == name
    assert UNPACK[name](body).count(b"\n") == rows


def test_what_a_client_does_not_take_is_not_sent(http: Http) -> None:
    """The order of preference, ``q=0``, and the setting that turns it off."""
    for accepts, expected in (
        ("gzip, deflate, br, zstd", "zstd"),
        ("gzip;q=0, deflate", "deflate"),
        ("br", None),
        ("", None),
    ):
        assert http.get("SELECT 1", headers={"Accept-Encoding": accepts}).headers.get("content-encoding") == expected
    off = http.get("SELECT 1", headers={"Accept-Encoding": "gzip"}, enable_http_compression=0)
    assert "content-encoding" not in off.headers


def test_blocks_of_clickhouse(http: Http) -> None:
    """``decompress=1`` reads, and ``compress=1`` writes, ClickHouse's own blocks; a wrong checksum is refused."""
    http.text("CREATE TABLE t (a UInt64) ENGINE = MergeTree ORDER BY a")
    data = b"".join(b"%d\n" % n for n in range(400_000))
    compressor = BlockCompressor()
    packed = compressor.compress(data) + compressor.flush()
    assert len(packed) < len(data)
    assert http.post("INSERT INTO t FORMAT TSV", packed, decompress=1).status_code == 200
    assert http.text("SELECT count(), sum(a) FROM t") == "400000\t79999800000"
    broken = packed[:40] + bytes([packed[40] ^ 1]) + packed[41:]
    assert http.post("INSERT INTO t FORMAT TSV", broken, decompress=1).headers["x-clickhouse-exception-code"] == "40"
    assert (
        http.post("INSERT INTO t FORMAT TSV", packed[:-1], decompress=1).headers["x-clickhouse-exception-code"] == "271"
    )
    assert _plain(http.post("SELECT a FROM t ORDER BY a", compress=1).content) == data


def _plain(packed: bytes) -> bytes:
    source, plain = BlockReader(_Pieces(packed)), b""
    while piece := source.read(1):
        plain += piece
    return plain


def test_blocks_have_the_engines_checksum(tmp_path: Path) -> None:
    """The blocks that the engine writes to its own files are read here, checksum and all."""
    make: Any = chdb.session.Session
    session = make(str(tmp_path))
    session.query("CREATE TABLE default.l (a UInt64) ENGINE = StripeLog")
    session.query("INSERT INTO default.l SELECT number FROM numbers(1000)")
    session.close()
    (file,) = tmp_path.rglob("data.bin")
    assert _plain(file.read_bytes()).endswith(b"".join(n.to_bytes(8, "little") for n in range(990, 1000)))
