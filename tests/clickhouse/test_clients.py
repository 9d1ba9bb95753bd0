"""Unmodified clients against the front."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import clickhouse_connect
import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError

from tests.clickhouse.process import ClickHouse


@pytest.fixture
def client(clickhouse: ClickHouse) -> Iterator[Client]:
    """clickhouse-connect in a database of the test's own."""
    name = f"t_{uuid.uuid4().hex}"
    root = clickhouse_connect.get_client(host="127.0.0.1", port=clickhouse.port)
    root.command(f"CREATE DATABASE {name}")
    root.close()
    client = clickhouse_connect.get_client(host="127.0.0.1", port=clickhouse.port, database=name)
    yield client
    client.close()


def test_select_gives_typed_rows(client: Client) -> None:
    """Values come back as the types they have."""
    rows = client.query("SELECT number, toString(number), number / 2 FROM numbers(3)").result_rows
    assert [tuple(row) for row in rows] == [(0, "0", 0.0), (1, "1", 0.5), (2, "2", 1.0)]


def test_rows_inserted_in_native_come_back(client: Client) -> None:
    """DDL, a Native insert and a count in the client's database."""
    client.command("CREATE TABLE t (a UInt64, s LowCardinality(String)) ENGINE = MergeTree ORDER BY a")
    summary = client.insert("t", [[n, f"s{n % 3}"] for n in range(1000)], column_names=["a", "s"])
    assert summary.written_rows == 1000
    assert client.command("SELECT count(), uniqExact(s) FROM t") == ["1000", "3"]


def test_error_carries_code_and_words(client: Client) -> None:
    """A missing table is ClickHouse's error 60."""
    with pytest.raises(DatabaseError, match=r"UNKNOWN_TABLE") as caught:
        client.query("SELECT * FROM nope")
    assert "code: 60" in str(caught.value)
