"""Statements that are stopped: by KILL, by their client's going, by their own limits."""

from __future__ import annotations

import socket
import threading
import time
import uuid
from collections.abc import Callable

import httpx
import pytest

from tests.clickhouse.http import Http
from tests.clickhouse.process import ClickHouse

ENDLESS = "SELECT sum(sipHash64(number)) FROM numbers(100000000000)"


class _Slow:
    """A statement under way on a thread."""

    def __init__(self, http: Http, send: Callable[[Http, str], httpx.Response]) -> None:
        self.id = uuid.uuid4().hex
        self.answer: httpx.Response | None = None
        client = Http(str(http.client.base_url), **http.params, query_id=self.id)

        def run() -> None:
            self.answer = send(client, self.id)
            client.client.close()

        self.thread = threading.Thread(target=run)
        self.thread.start()

    def code(self) -> str:
        self.thread.join(10)
        assert self.answer is not None
        return str(self.answer.headers.get("x-clickhouse-exception-code", ""))


def _count(http: Http, condition: str) -> int:
    """Statements under way that fit, the question itself not counted."""
    return int(http.text(f"SELECT count() FROM system.processes WHERE {condition} AND query NOT LIKE '%processes%'"))


def _wait_for(http: Http, condition: str) -> None:
    deadline = time.monotonic() + 10
    while _count(http, condition) == 0:
        assert time.monotonic() < deadline, condition
        time.sleep(0.01)


@pytest.mark.parametrize("sync", ["SYNC", "ASYNC", ""])
def test_a_query_is_killed_by_its_callers_id(http: Http, sync: str) -> None:
    """KILL QUERY with the id that the client gave stops the statement with 394."""
    slow = _Slow(http, lambda client, _: client.post(ENDLESS))
    _wait_for(http, "query LIKE '%sipHash64%'")
    http.text(f"KILL QUERY WHERE query_id = '{slow.id}' {sync}")
    assert slow.code() == "394"


def test_a_query_is_killed_by_an_id_in_a_parameter(http: Http) -> None:
    """As clients with server-side parameters write it; another statement goes on."""
    slow, other = (_Slow(http, lambda client, _: client.post(ENDLESS)) for _ in range(2))
    _wait_for(http, "query LIKE '%sipHash64%'")
    http.text("KILL QUERY WHERE query_id = {id:String}", param_id=slow.id)
    assert slow.code() == "394"
    assert other.thread.is_alive()
    http.text(f"KILL QUERY WHERE query_id = '{other.id}'")
    assert other.code() == "394"


def test_an_insert_is_killed_while_its_data_is_on_the_way(http: Http) -> None:
    """A killed INSERT stores nothing."""
    http.text("CREATE TABLE t (a UInt64) ENGINE = MergeTree ORDER BY a")
    killed = threading.Event()

    def data() -> object:
        yield b"1\n"
        killed.wait(10)
        yield b"2\n"

    slow = _Slow(http, lambda client, _: client.post("INSERT INTO t FORMAT CSV", data()))  # type: ignore[arg-type]
    _wait_for(http, f"query LIKE 'INSERT INTO t%' AND current_database = '{http.params['database']}'")
    http.text(f"KILL QUERY WHERE query_id = '{slow.id}'")
    killed.set()
    assert slow.code() == "394"
    assert http.text("SELECT count() FROM t") == "0"


def test_an_id_serves_one_statement_at_a_time(http: Http) -> None:
    """A second statement of the same id is refused with 216 while the first is under way."""
    slow = _Slow(http, lambda client, _: client.post("SELECT sleep(1)"))
    _wait_for(http, "query LIKE 'SELECT sleep(1)%'")
    assert http.post("SELECT 1", query_id=slow.id).headers["x-clickhouse-exception-code"] == "216"
    assert slow.code() == ""


def test_a_reading_statement_ends_with_its_client(http: Http, clickhouse: ClickHouse) -> None:
    """A client that goes takes its query with it: before the first byte, and in the middle of the result."""
    mark = uuid.uuid4().hex
    for sql in (ENDLESS, "SELECT number FROM numbers(100000000000)"):
        with socket.create_connection(("127.0.0.1", clickhouse.port)) as sock:
            body = f"{sql} /* {mark} */ SETTINGS max_threads = 1"
            sock.sendall(f"POST / HTTP/1.1\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
            _wait_for(http, f"query LIKE '%{mark}%'")
        deadline = time.monotonic() + 10
        while _count(http, f"query LIKE '%{mark}%'"):
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_limits_stop_a_statement(http: Http) -> None:
    """Time, rows and memory can be bounded by settings."""
    assert http.post(ENDLESS, max_execution_time="0.2").status_code == 408
    assert (
        http.post("SELECT number FROM numbers(1000)", max_result_rows=10).headers["x-clickhouse-exception-code"]
        == "396"
    )
    memory = http.post("SELECT groupArray(number) FROM numbers(100000000)", max_memory_usage=50_000_000)
    assert memory.headers["x-clickhouse-exception-code"] == "241"
