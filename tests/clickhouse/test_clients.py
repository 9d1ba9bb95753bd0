"""clickhouse-connect and curl, unmodified, against the front."""

from __future__ import annotations

import datetime as dt
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import clickhouse_connect
import httpx
import pyarrow as pa
import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError
from clickhouse_connect.driver.external import ExternalData

from tests.clickhouse.process import ClickHouse


@pytest.fixture
def client(clickhouse: ClickHouse) -> Iterator[Client]:
    """clickhouse-connect in a database of the test's own."""
    name = f"t_{uuid.uuid4().hex}"
    httpx.post(clickhouse.url, content=f"CREATE DATABASE {name}")
    client = clickhouse_connect.get_client(host="127.0.0.1", port=clickhouse.port, database=name)
    yield client
    client.close()


def _rows(client: Client, sql: str, **options: Any) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in client.query(sql, **options).result_rows]


def test_select_gives_typed_rows(client: Client, clickhouse: ClickHouse) -> None:
    """Values come back as the types they have."""
    assert client.server_version == clickhouse.version
    rows = _rows(
        client,
        "SELECT number, toString(number), toDateTime64('2026-01-02 03:04:05.678', 3, 'UTC'), [1, 2], NULL FROM numbers(2)",
    )
    instant = dt.datetime(2026, 1, 2, 3, 4, 5, 678000, dt.UTC)
    assert [(row[0], row[1], row[2].replace(tzinfo=dt.UTC), list(row[3]), row[4]) for row in rows] == [
        (0, "0", instant, [1, 2], None),
        (1, "1", instant, [1, 2], None),
    ]


@pytest.mark.parametrize("compress", [False, "lz4", "zstd", "gzip"])
def test_rows_inserted_in_native_come_back(client: Client, clickhouse: ClickHouse, compress: str | bool) -> None:
    """DDL, a Native insert and a read, with each compression that the client offers."""
    other = clickhouse_connect.get_client(
        host="127.0.0.1", port=clickhouse.port, database=client.database or "", compress=compress
    )
    other.command("CREATE TABLE t (a UInt64, s LowCardinality(String), u UUID) ENGINE = MergeTree ORDER BY a")
    ids = [uuid.uuid4() for _ in range(1000)]
    summary = other.insert("t", [[n, f"s{n % 3}", ids[n]] for n in range(1000)], column_names=["a", "s", "u"])
    assert summary.written_rows == 1000
    assert _rows(other, "SELECT a, s, u FROM t ORDER BY a") == [(n, f"s{n % 3}", ids[n]) for n in range(1000)]
    other.close()


def test_arrow_goes_in_and_comes_out(client: Client) -> None:
    """An Arrow table is inserted and read back whole, and as a stream."""
    table = pa.table({"a": pa.array(range(5000), pa.uint64()), "s": pa.array([f"s{n}" for n in range(5000)])})
    client.command("CREATE TABLE t (a UInt64, s String) ENGINE = MergeTree ORDER BY a")
    client.insert_arrow("t", table)
    back = client.query_arrow("SELECT * FROM t ORDER BY a")
    assert back.column("a").to_pylist() == list(range(5000))
    with client.query_arrow_stream("SELECT * FROM t ORDER BY a") as stream:
        assert sum(batch.num_rows for batch in stream) == 5000


def test_streams_and_raw_bytes(client: Client) -> None:
    """Rows in blocks, bytes in a format of choice, and a raw insert."""
    with client.query_row_block_stream("SELECT number FROM numbers(200000)") as stream:
        assert sum(len(block) for block in stream) == 200_000
    assert client.raw_query("SELECT 1 AS x", fmt="JSONEachRow") == b'{"x":1}\n'
    client.command("CREATE TABLE t (a UInt64) ENGINE = MergeTree ORDER BY a")
    client.raw_insert("t", column_names=["a"], insert_block=b"1\n2\n", fmt="CSV")
    assert client.command("SELECT sum(a) FROM t") == 3


def test_parameters_settings_and_external_data(client: Client) -> None:
    """What a query takes along: values, settings, tables."""
    assert _rows(client, "SELECT {s:String}, {a:Array(Int32)}", parameters={"s": "it's\n\\", "a": [1, -2]}) == [
        ("it's\n\\", [1, -2])
    ]
    assert client.command("SELECT getSetting('max_block_size')", settings={"max_block_size": 77}) == 77
    data = ExternalData(file_name="ext", data=b"1,x\n2,y\n", fmt="CSV", structure=["a UInt8", "b String"])
    assert _rows(client, "SELECT sum(a), max(b) FROM ext", external_data=data) == [(3, "y")]


def test_the_clients_session_keeps_temporary_tables(client: Client) -> None:
    """A client has a session of its own by default."""
    client.command("CREATE TEMPORARY TABLE x (a UInt8)")
    client.insert("x", [[1], [2]], column_names=["a"])
    assert client.command("SELECT sum(a) FROM x") == 3


def test_error_carries_code_and_words(client: Client) -> None:
    """A missing table is ClickHouse's error 60; a query that fails on its way is told as well."""
    with pytest.raises(DatabaseError, match=r"UNKNOWN_TABLE") as caught:
        client.query("SELECT * FROM nope")
    assert "code: 60" in str(caught.value)
    late = "SELECT number, throwIf(number = 1900000) FROM numbers(2000000) SETTINGS max_block_size = 10000"
    with pytest.raises(Exception, match=r"Code: 395"), client.query_row_block_stream(late) as stream:
        for _ in stream:
            pass
    assert client.command("SELECT 1") == 1


def test_many_clients_at_once(clickhouse: ClickHouse) -> None:
    """A dozen clients with a query under way each."""

    def ask(number: int) -> Any:
        client = clickhouse_connect.get_client(host="127.0.0.1", port=clickhouse.port)
        answer = client.command(f"SELECT sum(number) + {number} FROM numbers(1000000)")
        client.close()
        return answer

    with ThreadPoolExecutor(12) as pool:
        assert list(pool.map(ask, range(12))) == [499999500000 + number for number in range(12)]


def test_curl(clickhouse: ClickHouse, tmp_path: Path) -> None:
    """The examples of ClickHouse's own documentation, by curl: a query by pipe, a large file (with Expect), compression."""
    curl = shutil.which("curl")
    if curl is None:
        pytest.skip("curl is not on this machine")

    def run(*arguments: str, given: str = "") -> str:
        done = subprocess.run(
            [curl, "-sS", "--fail-with-body", *arguments], input=given, capture_output=True, text=True, check=True
        )
        return done.stdout

    url, table = clickhouse.url, f"default.t_{uuid.uuid4().hex}"
    assert run(f"{url}/?query=SELECT%201") == "1\n"
    assert run(f"{url}/?query=SELECT", "--data-binary", "@-", given=" 2") == "2\n"
    run(url, "-d", f"CREATE TABLE {table} (a UInt64) ENGINE = MergeTree ORDER BY a")
    rows = 500_000
    (tmp_path / "data.csv").write_text("\n".join(map(str, range(rows))))
    run(
        f"{url}/?query=INSERT%20INTO%20{table}%20FORMAT%20CSV",
        "-X",
        "POST",
        "-T",
        "-",
        given=(tmp_path / "data.csv").read_text(),
    )
    run(
        f"{url}/?query=INSERT%20INTO%20{table}%20FORMAT%20CSV",
        "-H",
        "Expect: 100-continue",
        "--data-binary",
        f"@{tmp_path / 'data.csv'}",
    )
    assert (
        run(url, "--compressed", "-d", f"SELECT count(), sum(a) FROM {table}") == f"{2 * rows}\t{rows * (rows - 1)}\n"
    )
    assert run(f"{url}/", "-H", "X-ClickHouse-Format: JSONEachRow", "-d", "SELECT 1 AS x") == '{"x":1}\n'
