"""Inserts: every way that data comes in, whole or not at all."""

from __future__ import annotations

import io
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import chdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.clickhouse.http import Http
from tests.clickhouse.process import ClickHouse

ROWS = 1000


def _table(http: Http, settings: str = "") -> None:
    http.text(f"CREATE TABLE t (a UInt64, s String) ENGINE = MergeTree ORDER BY a {settings}")


def _encoded(output: str, rows: int = ROWS) -> bytes:
    """Rows in one block of a format, written by the engine itself."""
    sql = (
        f"SELECT number AS a, concat('s', toString(number)) AS s FROM numbers({rows}) SETTINGS max_block_size = {rows}"
    )
    query: Any = chdb.query
    data: bytes = query(sql, output).bytes()
    return data


def _content(http: Http) -> tuple[int, int]:
    count, total = http.text("SELECT count(), sum(a + length(s)) FROM t").split("\t")
    return int(count), int(total)


EXPECTED = (ROWS, sum(n + len(f"s{n}") for n in range(ROWS)))


@pytest.mark.parametrize(
    "data_format",
    ["Native", "RowBinary", "RowBinaryWithNamesAndTypes", "JSONEachRow", "CSV", "CSVWithNames", "TabSeparated", "Values",
     "ArrowStream", "Arrow", "Parquet", "MsgPack", "Avro", "JSONCompactEachRow", "BSONEachRow"],
)  # fmt: skip
def test_formats(http: Http, data_format: str) -> None:
    """Data in any format is stored, and the summary says how many rows."""
    _table(http)
    answer = http.post(f"INSERT INTO t (a, s) FORMAT {data_format}", _encoded(data_format))
    assert answer.status_code == 200, answer.text
    assert f'"written_rows": "{ROWS}"' in answer.headers["x-clickhouse-summary"]
    assert _content(http) == EXPECTED


def test_pyarrow_writes_what_the_engine_reads(http: Http) -> None:
    """An Arrow stream and a Parquet file made by pyarrow are stored."""
    _table(http)
    table = pa.table({"a": pa.array(range(ROWS), pa.uint64()), "s": pa.array([f"s{n}" for n in range(ROWS)])})
    stream, parquet = io.BytesIO(), io.BytesIO()
    with pa.ipc.new_stream(stream, table.schema) as writer:
        writer.write_table(table)
    pq.write_table(table, parquet)
    assert http.post("INSERT INTO t FORMAT ArrowStream", stream.getvalue()).status_code == 200
    assert _content(http) == EXPECTED
    assert http.post("INSERT INTO t FORMAT Parquet", parquet.getvalue()).status_code == 200
    assert _content(http) == (EXPECTED[0] * 2, EXPECTED[1] * 2)


def test_statement_and_data_in_one_body(http: Http) -> None:
    """The statement may stand before its data in the body, binary data included, with chunked transfer or without."""
    _table(http)
    for head, data in (
        (b"INSERT INTO t FORMAT Native\n", _encoded("Native", 2)),
        (b"INSERT INTO t (a, s)\nVALUES\n", b"(0, 's0'), (1, concat('s', '1'))"),
        (b"INSERT INTO t FORMAT JSONEachRow ", b'{"a":0,"s":"s0"}{"a":1,"s":"s1"}'),
        (b"insert into t(a,s) settings max_threads=1 format CSV\r\n", b'0,"s0"\n1,s1\n'),
    ):
        for body in (head + data, iter((head[:5], head[5:] + data[:1], data[1:]))):
            http.text("TRUNCATE TABLE t")
            assert http.client.post("/", params=http.params, content=body).status_code == 200, head
            assert _content(http) == (2, 5), head


def test_small_inserts_written_as_text(http: Http) -> None:
    """Values in the statement, a SELECT as the source, and no rows at all."""
    _table(http)
    http.text("INSERT INTO t VALUES (1, 'x'), (2, 'it\\'s (VALUES) FORMAT')")
    http.text("INSERT INTO t SELECT number, 'y' FROM numbers(3)")
    assert http.post("INSERT INTO t FORMAT JSONEachRow").status_code == 200
    assert http.text("SELECT count(), max(s) FROM t") == "5\ty"


def test_data_through_a_select(http: Http) -> None:
    """``input()`` lets a SELECT change rows on their way in; a failure in it is told."""
    _table(http)
    sql = "INSERT INTO t (a, s) SELECT n * 2, upper(w) FROM input('n UInt64, w String') WHERE n > 0 FORMAT CSV"
    assert http.post(sql, "0,x\n1,y\n2,z\n").status_code == 200
    assert http.text("SELECT a, s FROM t ORDER BY a") == "2\tY\n4\tZ"
    failed = http.post(sql, "1,y\nnot a number,z\n")
    assert failed.headers["x-clickhouse-exception-code"] == "27"
    assert http.text("SELECT count() FROM t") == "2"


def test_one_block_is_one_part(http: Http) -> None:
    """A request whose data is one block becomes one part: it is visible whole or not at all."""
    _table(http)
    rows = 1_500_000  # more than min_insert_block_size_rows
    assert http.post("INSERT INTO t FORMAT Native", _encoded("Native", rows)).status_code == 200
    assert http.text(
        f"SELECT count(), sum(rows) FROM system.parts WHERE active AND table = 't' AND database = '{http.params['database']}'"
    ) == (f"1\t{rows}")


@pytest.mark.parametrize(
    ("data_format", "broken"), [("Native", b"\x01\x02\x03"), ("CSV", b"5,x\nnope,y\n"), ("JSONEachRow", b"{]")]
)
def test_broken_data_stores_nothing(http: Http, data_format: str, broken: bytes) -> None:
    """A row that cannot be read fails the request; rows before it are not stored either."""
    _table(http)
    answer = http.post(f"INSERT INTO t FORMAT {data_format}", _encoded(data_format) + broken)
    assert answer.status_code >= 400
    assert answer.text.startswith("Code: ")
    assert _content(http)[0] == 0


@pytest.mark.parametrize("data_format", ["Native", "CSV", "JSONEachRow"])
def test_upload_cut_off_stores_nothing(http: Http, clickhouse: ClickHouse, data_format: str) -> None:
    """A client that goes in the middle leaves nothing behind, cut between rows or inside one."""
    _table(http)
    data = _encoded(data_format, 50_000)
    whole = data.rfind(b"\n", 0, len(data) // 2) + 1 or len(data) // 2
    for sent, header in ((data[:whole], f"Content-Length: {len(data)}"), (data, "Transfer-Encoding: chunked")):
        with socket.create_connection(("127.0.0.1", clickhouse.port)) as sock:
            query = f"INSERT+INTO+t+FORMAT+{data_format}&database={http.params['database']}"
            sock.sendall(f"POST /?query={query} HTTP/1.1\r\n{header}\r\n\r\n".encode())
            sock.sendall(sent if "Length" in header else b"%x\r\n%b\r\n" % (len(sent), sent))
        _until(lambda: http.text("SELECT count() FROM system.processes") == "1")
        assert _content(http)[0] == 0


def test_expect_continue(http: Http, clickhouse: ClickHouse) -> None:
    """A client that asks before it sends (curl, from 1 MiB on) is told to go on; a refused statement is told at once."""
    _table(http)
    for table, code in (("t", b"HTTP/1.1 100 Continue"), ("nope", b"HTTP/1.1 ")):
        with socket.create_connection(("127.0.0.1", clickhouse.port), timeout=10) as sock:
            query = f"INSERT+INTO+{table}+FORMAT+CSV&database={http.params['database']}"
            sock.sendall(f"POST /?query={query} HTTP/1.1\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n".encode())
            assert sock.recv(100).startswith(code)
            sock.sendall(b"1,x\n")
    _until(lambda: _content(http)[0] == 1)


def test_durability_settings_are_kept(http: Http) -> None:
    """``fsync_after_insert`` can be set on a table, and inserts into it go through."""
    _table(http, "SETTINGS fsync_after_insert = 1, fsync_part_directory = 1")
    assert http.post("INSERT INTO t FORMAT Native", _encoded("Native"), async_insert=0).status_code == 200
    assert "fsync_after_insert = 1" in http.text("SHOW CREATE TABLE t FORMAT RawBLOB")


def test_readers_beside_a_writer(http: Http) -> None:
    """While one client inserts, others see whole inserts only, and do not wait for it."""
    _table(http)
    data, stop, seen = _encoded("Native"), threading.Event(), set[int]()

    def read() -> None:
        reader = Http(str(http.client.base_url), **http.params)
        while not stop.is_set():
            seen.add(int(reader.text("SELECT count() FROM t")))
        reader.client.close()

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(30):
        assert http.post("INSERT INTO t FORMAT Native", data).status_code == 200
    stop.set()
    for thread in threads:
        thread.join()
    assert all(count % ROWS == 0 for count in seen)
    assert len(seen) > 2


def _until(condition: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true"
        time.sleep(0.02)
