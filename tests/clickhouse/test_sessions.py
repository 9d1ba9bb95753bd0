"""Sessions: what is kept between requests, and what is not."""

from __future__ import annotations

import threading
import time
import uuid
from typing import Any

from tests.clickhouse.http import Http


def test_temporary_tables_settings_and_database_are_kept(http: Http) -> None:
    """A session keeps its temporary tables, its SETs and its database; another session has none of them."""
    one: dict[str, Any] = {"session_id": uuid.uuid4().hex}
    plain = Http(str(http.client.base_url))
    for sql in (
        "CREATE TEMPORARY TABLE x (a UInt8)",
        "INSERT INTO x VALUES (1), (2)",
        "SET max_threads = 1",
        "USE system",
    ):
        plain.text(sql, **one)
    assert plain.text("SELECT sum(a), getSetting('max_threads'), currentDatabase() FROM x", **one) == "3\t1\tsystem"
    for name in ("", uuid.uuid4().hex):
        assert plain.post("SELECT * FROM x", session_id=name).headers["x-clickhouse-exception-code"] == "60"
    plain.client.close()


def test_settings_of_one_request_do_not_stay(http: Http) -> None:
    """What a request brings in its URL ends with it; what the session has set comes back."""
    one: dict[str, Any] = {"session_id": uuid.uuid4().hex}
    http.text("SET max_threads = 3", **one)
    assert (
        http.text(
            "SELECT getSetting('max_threads'), getSetting('max_block_size')", max_threads=1, max_block_size=7, **one
        )
        == "1\t7"
    )
    assert http.text("SELECT getSetting('max_threads'), getSetting('max_block_size') != 7", **one) == "3\t1"
    assert http.text("SELECT currentDatabase()", database="system", **one) == "system"
    http.text("SELECT 1", **one)


def test_a_session_serves_one_request_at_a_time(http: Http) -> None:
    """A second request while the first is under way is refused with 373."""
    one: dict[str, Any] = {"session_id": uuid.uuid4().hex}
    other = Http(str(http.client.base_url))
    slow = threading.Thread(target=lambda: http.text("SELECT sleep(2)", **one))
    slow.start()
    deadline = time.monotonic() + 10
    while other.text("SELECT count() FROM system.processes WHERE query LIKE 'SELECT sleep(2)%'") == "0":
        assert time.monotonic() < deadline
    assert other.post("SELECT 1", **one).headers["x-clickhouse-exception-code"] == "373"
    slow.join()
    assert other.text("SELECT 1", **one) == "1"
    other.client.close()


def test_sessions_end(http: Http) -> None:
    """A session ends when it is closed or its time is over; one that must exist and does not is refused with 372."""
    name = uuid.uuid4().hex
    assert http.post("SELECT 1", session_id=name, session_check=1).headers["x-clickhouse-exception-code"] == "372"
    http.text("SELECT 1", session_id=name)
    http.text("SELECT 1", session_id=name, session_check=1, close_session=1)
    assert http.post("SELECT 1", session_id=name, session_check=1).headers["x-clickhouse-exception-code"] == "372"
    http.text("SELECT 1", session_id=name, session_timeout=0)
    assert http.post("SELECT 1", session_id=name, session_check=1).headers["x-clickhouse-exception-code"] == "372"
    assert http.post("SELECT 1", session_id=name, session_timeout=99999).headers["x-clickhouse-exception-code"] == "374"
