"""The forms of requests that drivers, browsers and BI tools send."""

from __future__ import annotations

import httpx
import pytest

from tests.clickhouse.http import Http
from tests.clickhouse.process import ClickHouse

_BLOCK = "0101 0178 0555496e7438"


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("0", f"{_BLOCK} 01"),
        ("54405", f"010002ffffffff00 {_BLOCK} 01"),
        ("54460", f"010002ffffffff00 {_BLOCK} 00 01"),
    ],
)
def test_native_blocks_are_of_the_version_asked(http: Http, version: str, expected: str) -> None:
    """Block info from the first version on, the serialization byte from 54454 on."""
    answer = http.get("SELECT toUInt8(1) AS x", default_format="Native", client_protocol_version=version)
    assert answer.content == bytes.fromhex(expected)
    assert answer.headers["X-ClickHouse-Format"] == "Native"


def test_versioned_blocks_hold_the_same_data(http: Http) -> None:
    """Of any type and in several blocks: what is put in stands between the columns, and the data is the engine's."""
    sql = (
        "SELECT number AS a, toString(number) AS b, toLowCardinality(toString(number % 3)) AS c, [number] AS d, "
        "map('k', number) AS e, (1, 'x') AS f, if(number % 2, NULL, number) AS g FROM numbers(100000)"
    )
    plain = http.get(sql, default_format="Native").content
    versioned = http.get(sql, default_format="Native", client_protocol_version="54405").content
    info = bytes.fromhex("010002ffffffff00")
    assert versioned.startswith(info)
    assert versioned.replace(info, b"") == plain
    assert versioned.count(info) > 1


@pytest.mark.parametrize(
    "sql", ["SHOW DATABASES LIKE 'system'", "EXISTS TABLE system.one", "EXPLAIN SELECT 1", "DESCRIBE system.one"]
)
def test_statements_that_are_no_queries_have_versions_too(http: Http, sql: str) -> None:
    """Their results are read by the same drivers."""
    plain = http.get(sql, default_format="Native").content
    versioned = http.get(sql, default_format="Native", client_protocol_version="54405").content
    assert versioned == bytes.fromhex("010002ffffffff00") + plain


def test_an_empty_or_wrong_query_in_a_version(http: Http) -> None:
    """No rows, no block; a wrong query fails with its own words."""
    empty = http.get("SELECT 1 WHERE 0", default_format="Native", client_protocol_version="54460")
    assert (empty.status_code, empty.content) == (200, b"")
    wrong = http.get("SELECT nothing_of_this_name", default_format="Native", client_protocol_version="54460")
    assert (wrong.status_code, wrong.headers["X-ClickHouse-Exception-Code"]) == (404, "47")
    assert "DESCRIBE" not in wrong.text


def test_every_path_takes_a_query(clickhouse: ClickHouse) -> None:
    """Drivers put a path of their own in front of the parameters."""
    assert httpx.post(f"{clickhouse.url}/query", content="SELECT 1").text == "1\n"
    assert httpx.get(f"{clickhouse.url}/any?query=SELECT%201").text == "1\n"
    assert httpx.get(f"{clickhouse.url}/any").status_code == 404


def test_pages_of_this_machine_may_read_answers(clickhouse: ClickHouse) -> None:
    """A preflight is answered, and the answer is readable where the client asks for it; for no other origin."""
    ours = {"Origin": "http://localhost:3000"}
    preflight = httpx.options(clickhouse.url, headers=ours)
    assert (preflight.status_code, preflight.content) == (204, b"")
    assert preflight.headers["Access-Control-Allow-Origin"] == "http://localhost:3000"
    assert "content-length" not in preflight.headers
    params = {"query": "SELECT 1", "add_http_cors_header": "1"}
    assert (
        httpx.get(clickhouse.url, params=params, headers=ours).headers["Access-Control-Allow-Origin"] == ours["Origin"]
    )
    assert "Access-Control-Allow-Origin" not in httpx.get(clickhouse.url, params=params).headers
    foreign = httpx.get(clickhouse.url, params=params, headers={"Origin": "http://other.example"})
    assert foreign.status_code == 403
    assert "Access-Control-Allow-Origin" not in foreign.headers


def test_the_sessions_time_zone_stands_in_the_answer(http: Http) -> None:
    """Drivers read times by it."""
    answer = http.get("SELECT 1", session_timezone="Asia/Tokyo")
    assert answer.headers["X-ClickHouse-Timezone"] == "Asia/Tokyo"
    http.text("SET session_timezone = 'Asia/Tokyo'", session_id="zone")
    assert http.post("SELECT 1", session_id="zone").headers["X-ClickHouse-Timezone"] == "Asia/Tokyo"
    assert http.get("SELECT 1").headers["X-ClickHouse-Timezone"] != "Asia/Tokyo"


def test_headers_say_format_database_and_id(http: Http) -> None:
    """The header's format wins over the URL's and over the statement's own."""
    headers = {
        "X-ClickHouse-Format": "JSONEachRow",
        "X-ClickHouse-Database": "system",
        "X-ClickHouse-Query-Id": "mine-1",
    }
    for sql in ("SELECT 1 AS x", "SELECT 1 AS x FORMAT CSV"):
        answer = http.get(sql, headers=headers, default_format="CSV")
        assert answer.text == '{"x":1}\n'
        assert answer.headers["X-ClickHouse-Format"] == "JSONEachRow"
        assert answer.headers["X-ClickHouse-Query-Id"] == "mine-1"
    named = httpx.get(http.client.base_url, params={"query": "SELECT currentDatabase()"}, headers=headers)
    assert named.text == '{"currentDatabase()":"system"}\n'


def test_tables_and_columns_may_have_the_names_of_keywords(http: Http) -> None:
    """A keyword is one at its place in the grammar alone."""
    for name in ("infile", "outfile", "values", "format", "input", "settings"):
        http.text(f"CREATE TABLE {name} (format Int32) ENGINE = MergeTree ORDER BY ()")
        http.text(f"INSERT INTO {name} VALUES (1)")
        http.text(f"INSERT INTO {name} (format) SELECT 2")
        http.text(f"INSERT INTO {name} (format) FORMAT CSV 3")
        assert http.text(f"SELECT count() FROM {name}") == "3"
        assert http.text(f"SELECT sum(format) AS values FROM {name} FORMAT CSV") == "6"
        assert http.text(f"SELECT sum(x.format) FROM {name} x") == "6"


def test_parameters_are_bytes(clickhouse: ClickHouse) -> None:
    """A parameter in another coding than UTF-8 reaches the engine as it is."""
    answer = httpx.get(f"{clickhouse.url}/?param_x=caf%E9&query=SELECT%20hex(%7Bx:String%7D)")
    assert answer.text == "636166E9\n"
