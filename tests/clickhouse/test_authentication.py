"""Who may come in, and what a reader may do."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from tests.clickhouse.http import Http
from tests.clickhouse.process import ClickHouse, running

USERS = {
    "CLICKREEL_LOCAL_CLICKHOUSE_USER": "boss",
    "CLICKREEL_LOCAL_CLICKHOUSE_PASSWORD": "s3cret:x",
    "CLICKREEL_LOCAL_CLICKHOUSE_READER": "guest",
    "CLICKREEL_LOCAL_CLICKHOUSE_READER_PASSWORD": "look",
}


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouse]:
    """A server with two users."""
    with running(tmp_path_factory.mktemp("locked") / "data", environ=USERS) as server:
        boss = Http(server.url, user="boss", password="s3cret:x")  # noqa: S106
        boss.text("CREATE TABLE t (a UInt8) ENGINE = Memory")
        boss.client.close()
        yield server


@pytest.fixture
def guest(locked: ClickHouse) -> Iterator[Http]:
    """The reader."""
    guest = Http(locked.url, user="guest", password="look")  # noqa: S106
    yield guest
    guest.client.close()


def test_three_ways_to_say_who_one_is(locked: ClickHouse) -> None:
    """Basic authentication, headers and URL parameters let in with the right password, and only with it."""
    url, sql = locked.url, {"query": "SELECT 1"}
    key = {"X-ClickHouse-User": "boss", "X-ClickHouse-Key": "s3cret:x"}
    good = (
        httpx.get(url, params=sql, auth=("boss", "s3cret:x")),
        httpx.get(url, params=sql, headers=key),
        httpx.get(url, params={**sql, "user": "boss", "password": "s3cret:x"}),
    )
    assert [answer.text for answer in good] == ["1\n"] * 3
    bad = (
        httpx.get(url, params=sql),
        httpx.get(url, params=sql, auth=("boss", "wrong")),
        httpx.get(url, params=sql, headers={**key, "X-ClickHouse-Key": ""}),
        httpx.get(url, params={**sql, "user": "nobody"}),
        httpx.get(url, params=sql, headers={"Authorization": "Basic !"}),
        httpx.get(url, params=sql, headers={"Authorization": "Bearer x"}),
    )
    assert [(answer.status_code, answer.headers["x-clickhouse-exception-code"]) for answer in bad] == [(403, "516")] * 6
    assert all("s3cret" not in answer.text for answer in bad)
    assert httpx.get(f"{url}/ping").text == "Ok.\n"


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE TABLE x (a UInt8) ENGINE = Memory",
        "CREATE TEMPORARY TABLE x (a UInt8)",
        "INSERT INTO t FORMAT CSV 1",
        "INSERT INTO t VALUES (1)",
        "DROP DATABASE default",
        "SET max_threads = 1",
        "SET readonly = 0",
        "SELECT 1 SETTINGS readonly = 0",
        "SELECT 1 SETTINGS max_threads = 1",
        "KILL QUERY WHERE 1",
        "SYSTEM RELOAD CONFIG",
        "SELECT * FROM file('/etc/hostname', 'LineAsString', 's String')",
        "SELECT file('/etc/hostname')",
        "SELECT `file`/**/('/etc/hostname')",
        "SELECT * FROM url('http://127.0.0.1:1/', 'CSV', 's String')",
    ],
)
def test_a_reader_changes_nothing(guest: Http, sql: str) -> None:
    """Writes, settings, kills and files are refused with 164."""
    assert guest.post(sql).headers.get("x-clickhouse-exception-code") == "164"


def test_a_reader_reads(guest: Http) -> None:
    """Queries with parameters and a database of choice work; settings in the URL do not, in a session neither."""
    assert guest.text("SELECT {x:UInt8} + 1", param_x=1, database="system") == "2"
    assert guest.text("SELECT 1", session_id="s") == "1"
    assert guest.post("SELECT 1", max_threads=1).headers["x-clickhouse-exception-code"] == "164"
    assert guest.post("SELECT 1", readonly=0, session_id="s").headers["x-clickhouse-exception-code"] == "164"
    assert guest.post("SET max_threads = 1", session_id="s").headers["x-clickhouse-exception-code"] == "164"


def test_foreign_web_pages_are_not_let_in(clickhouse: ClickHouse) -> None:
    """A page from elsewhere that a person has open cannot use a port without password; one from this machine can."""
    sql = {"query": "SELECT 1"}
    assert httpx.get(clickhouse.url, params=sql, headers={"Host": "rebound.example:8123"}).status_code == 403
    assert httpx.get(clickhouse.url, params=sql, headers={"Host": f"localhost:{clickhouse.port}"}).status_code == 200
    assert httpx.get(clickhouse.url, params=sql, headers={"Origin": "https://evil.example"}).status_code == 403
    assert httpx.get(clickhouse.url, params=sql, headers={"Origin": "null"}).status_code == 403
    assert httpx.get(clickhouse.url, params=sql, headers={"Origin": "http://localhost:3000"}).status_code == 200
