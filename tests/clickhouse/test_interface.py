"""The HTTP interface itself: what a server's documentation promises, seen with plain requests."""

from __future__ import annotations

import json
import socket

import httpx
import pytest

from tests.clickhouse.http import Http
from tests.clickhouse.process import ClickHouse


def test_fixed_pages(clickhouse: ClickHouse) -> None:
    """Health checks answer without a password or a statement; unknown paths are 404."""
    for path in ("/ping", "/", "/replicas_status"):
        answer = httpx.get(clickhouse.url + path)
        assert (answer.status_code, answer.text) == (200, "Ok.\n")
    assert httpx.get(f"{clickhouse.url}/nope").status_code == 404


def test_query_in_url_and_body_are_one_text(http: Http) -> None:
    """A statement may begin in the URL and go on in the body."""
    assert http.post("SELECT", "1 + 1").text == "2\n"
    assert http.client.post("/", content="SELECT 3").text == "3\n"
    assert http.get("SELECT 4").text == "4\n"


@pytest.mark.parametrize(
    ("output", "kind", "text"),
    [
        ("TabSeparated", "text/tab-separated-values; charset=UTF-8", "0\ta\n1\ta\n"),
        ("CSVWithNames", "text/csv; charset=UTF-8; header=present", '"number","s"\n0,"a"\n1,"a"\n'),
        ("JSONEachRow", "application/x-ndjson; charset=UTF-8", '{"number":0,"s":"a"}\n{"number":1,"s":"a"}\n'),
        ("Values", "text/plain; charset=UTF-8", "(0,'a'),(1,'a')"),
    ],
)
def test_formats(http: Http, output: str, kind: str, text: str) -> None:
    """A result comes in the format of its FORMAT clause, of ``default_format`` or of the header, with that format's type."""
    sql = "SELECT number, 'a' AS s FROM numbers(2)"
    for answer in (
        http.post(f"{sql} FORMAT {output}"),
        http.post(sql, default_format=output),
        http.post(sql, headers={"X-ClickHouse-Format": output}),
    ):
        assert answer.text == text
        assert answer.headers["content-type"] == kind
        assert answer.headers["x-clickhouse-format"] == output


def test_every_output_format_of_the_engine_is_served(http: Http) -> None:
    """Each format that the engine can write is answered, without an error of this front."""
    names = http.text(
        "SELECT name FROM system.formats WHERE is_output AND name NOT LIKE '%Schema%' AND name NOT LIKE 'Protobuf%'"
        " AND name NOT IN ('CapnProto', 'Template', 'CustomSeparated', 'DataFrame', 'ArrowTable', 'RawBLOB', 'LineAsString')"
    ).split()
    failed = {
        name
        for name in names
        if http.post("SELECT number AS n, toString(number) AS s FROM numbers(3)", default_format=name).status_code
        != 200
    }
    # What these want of a result is not in this one: a single column, certain columns, a registry's address, an image's.
    assert failed <= {"Npy", "GeoJSON", "PNG", "AvroConfluent", "Prometheus"}


def test_clauses_behind_and_before_format(http: Http) -> None:
    """SETTINGS may stand on either side of FORMAT; comments and a semicolon may end the statement."""
    for sql in (
        "SELECT getSetting('max_threads') SETTINGS max_threads = 1 FORMAT TSV",
        "SELECT getSetting('max_threads') FORMAT TSV SETTINGS max_threads = 1",
        "SELECT getSetting('max_threads') SETTINGS max_threads = 1; -- the end",
        "/* FORMAT JSON */ SELECT getSetting('max_threads') # why\n SETTINGS max_threads = 1 ;\n\n",
        "(SELECT getSetting('max_threads') SETTINGS max_threads = 1)",
    ):
        assert http.post(sql).text == "1\n", sql
    assert http.post("SELECT 1 AS format FORMAT JSONEachRow").text == '{"format":1}\n'
    assert http.post("SELECT ' FORMAT JSON' AS x").text == " FORMAT JSON\n"


def test_statements_that_are_no_select_have_results(http: Http) -> None:
    """SHOW, DESCRIBE, EXISTS, EXPLAIN and WITH answer in any format."""
    http.text("CREATE TABLE t (a UInt8) ENGINE = MergeTree ORDER BY a")
    assert http.text("SHOW TABLES") == "t"
    assert json.loads(http.text("EXISTS t FORMAT JSONEachRow")) == {"result": 1}
    assert http.text("DESCRIBE TABLE t").startswith("a\tUInt8")
    assert "ReadFromSystemNumbers" in http.text("EXPLAIN SELECT number FROM numbers(3)")
    assert http.text("WITH 2 AS x SELECT x UNION ALL SELECT 3 ORDER BY 1") == "2\n3"


def test_parameters_settings_and_database(http: Http) -> None:
    """``param_x`` fills placeholders, other parameters are settings, both for one request alone."""
    assert http.text(
        "SELECT {n:UInt8} + 1, {s:String}, {a:Array(String)}", param_n=1, param_s="it's\\ta", param_a="['x']"
    ) == ("2\tit\\'s\\ta\t['x']")
    assert http.text("SELECT getSetting('max_threads')", max_threads=1) == "1"
    assert http.text("SELECT getSetting('max_threads') != 1") == "1"
    assert http.text("SELECT currentDatabase()") == http.params["database"]
    header = http.client.post("/", content="SELECT currentDatabase()", headers={"X-ClickHouse-Database": "system"})
    assert header.text == "system\n"


def test_headers_tell_about_the_statement(http: Http, clickhouse: ClickHouse) -> None:
    """Id, time zone, name and figures come with each answer."""
    answer = http.post("SELECT number FROM numbers(10)", query_id="my-id")
    assert answer.headers["x-clickhouse-query-id"] == "my-id"
    assert answer.headers["x-clickhouse-server-display-name"]
    assert answer.headers["x-clickhouse-timezone"] == http.text("SELECT timezone()")
    summary = json.loads(answer.headers["x-clickhouse-summary"])
    assert (summary["read_rows"], summary["result_rows"], summary["written_rows"]) == ("10", "10", "0")
    assert http.text("SELECT version()") == clickhouse.version


@pytest.mark.parametrize(
    ("sql", "status", "code", "name"),
    [
        ("SELEC 1", 400, 62, "SYNTAX_ERROR"),
        ("SELECT * FROM nope", 404, 60, "UNKNOWN_TABLE"),
        ("SELECT nope(1)", 404, 46, "UNKNOWN_FUNCTION"),
        ("SELECT toUInt8('x')", 400, 6, "CANNOT_PARSE_TEXT"),
        ("SELECT throwIf(1)", 500, 395, "FUNCTION_THROW_IF_VALUE_IS_NON_ZERO"),
        ("SELECT 1; SELECT 2", 400, 62, "Multi-statements are not allowed"),
        ("SELECT 1 INTO OUTFILE '/tmp/x'", 500, 1, "UNSUPPORTED_METHOD"),
        ("INSERT INTO t FROM INFILE '/tmp/x' FORMAT CSV", 500, 1, "UNSUPPORTED_METHOD"),
        ("SELECT 1 FORMAT Nope", 404, 73, "UNKNOWN_FORMAT"),
        ("INSERT INTO nope FORMAT CSV 1", 404, 60, "UNKNOWN_TABLE"),
        ("", 400, 62, "SYNTAX_ERROR"),
    ],
)
def test_failures_have_a_servers_status_code_and_words(http: Http, sql: str, status: int, code: int, name: str) -> None:
    """A failure is told by status, header and text."""
    answer = http.post(sql)
    assert (answer.status_code, answer.headers["x-clickhouse-exception-code"]) == (status, str(code)), answer.text
    assert answer.text.startswith(f"Code: {code}. DB::Exception: ")
    assert name in answer.text


def test_wrong_settings_databases_and_forms_are_refused(http: Http) -> None:
    """Names that nobody knows are said to be unknown."""
    assert http.post("SELECT 1", nope=1).headers["x-clickhouse-exception-code"] == "115"
    assert http.post("SELECT 1", max_threads="many").status_code == 400
    assert http.post("SELECT 1", database="nope").headers["x-clickhouse-exception-code"] == "81"
    assert http.post("SELECT {x:UInt8}").headers["x-clickhouse-exception-code"] == "456"
    url = http.client.base_url
    with socket.create_connection((url.host, url.port or 0)) as sock:
        sock.sendall(b"POST /?query=SELECT+1 HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
        assert sock.recv(1000).startswith(b"HTTP/1.1 411 ")


def test_get_does_not_write(http: Http) -> None:
    """GET reads; a statement that changes something is refused with 164."""
    for sql in (
        "CREATE TABLE t (a Int8) ENGINE = Memory",
        "INSERT INTO t FORMAT CSV 1",
        "DROP DATABASE x",
        "SYSTEM RELOAD CONFIG",
    ):
        assert http.get(sql).headers["x-clickhouse-exception-code"] == "164", sql
    assert http.get("SELECT 1").status_code == 200


def test_failure_after_the_first_bytes_stands_in_the_body(http: Http) -> None:
    """A result that is under way ends with a tagged exception and without its last chunk."""
    sql = "SELECT number, throwIf(number = 3000000) FROM numbers(4000000) SETTINGS max_block_size = 10000"
    pieces: list[bytes] = []
    with (
        http.client.stream("POST", "/", content=sql) as answer,
        pytest.raises(httpx.RemoteProtocolError),
    ):
        pieces.extend(answer.iter_raw())
    body = b"".join(pieces)
    tag = answer.headers["x-clickhouse-exception-tag"].encode()
    assert answer.status_code == 200
    assert body.endswith(b"\r\n__exception__\r\n")
    message = body.split(b"\r\n__exception__\r\n" + tag + b"\r\n")[1].split(b"\n")[0]
    assert message.startswith(b"Code: 395. DB::Exception: ")
    assert f"{len(message)} ".encode() + tag in body


def test_waiting_for_the_end_makes_every_status_true(http: Http) -> None:
    """With ``wait_end_of_query`` a late failure is a 500, and a large result has its figures in the head."""
    sql = "SELECT number, throwIf(number = 3000000) FROM numbers({n}) SETTINGS max_block_size = 10000"
    assert http.post(sql.format(n=4000000), wait_end_of_query=1).status_code == 500
    answer = http.post(sql.format(n=2000000), wait_end_of_query=1)
    assert json.loads(answer.headers["x-clickhouse-summary"])["result_rows"] == "2000000"
    assert answer.text.count("\n") == 2000000


def test_parameters_in_a_form_and_external_tables(http: Http) -> None:
    """``multipart/form-data`` carries parameters and tables that live as long as the request."""
    answer = http.client.post(
        "/",
        params={
            "query": "SELECT sum(a), any({x:String}), groupArray(b) FROM ext",
            "ext_format": "CSV",
            "ext_structure": "a UInt8, b String",
        },
        data={"param_x": "long"},
        files={"ext": ("ext.csv", b"1,p\n2,q\n")},
    )
    assert answer.text == "3\tlong\t['p','q']\n"
    typed = http.client.post(
        "/",
        params={"query": "SELECT _2 FROM e", "e_types": "UInt8,Array(Tuple(Int8, String))"},
        files={"e": ("e", b"1\t[(1,'x')]\n")},
    )
    assert typed.text == "[(1,'x')]\n"


def test_what_is_not_http_is_refused(clickhouse: ClickHouse) -> None:
    """Garbage, an endless line and a wrong chunk size end the connection, not the server."""
    for sent in (
        b"garbage\r\n\r\n",
        b"GET /" + b"x" * (1 << 20) + b" HTTP/1.1\r\n\r\n",
        b"POST / HTTP/1.1\r\nno colon here\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: many\r\n\r\n",
    ):
        with socket.create_connection(("127.0.0.1", clickhouse.port)) as sock:
            sock.sendall(sent)
            assert sock.recv(1000).startswith(b"HTTP/1.1 4"), sent[:40]
    with socket.create_connection(("127.0.0.1", clickhouse.port)) as sock:
        sock.sendall(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nSELECT 1")
        assert sock.recv(1000).startswith(b"HTTP/1.1 400")
    assert httpx.get(f"{clickhouse.url}/ping").status_code == 200


def test_http_1_0_and_pipelined_requests(clickhouse: ClickHouse) -> None:
    """An old client gets a plain body; requests sent at once are answered in order."""
    with socket.create_connection(("127.0.0.1", clickhouse.port)) as sock:
        sock.sendall(b"GET /?query=SELECT+1 HTTP/1.0\r\n\r\n")
        with sock.makefile("rb") as file:
            answer = file.read()
        assert answer.startswith(b"HTTP/1.1 200") and answer.endswith(b"\r\n\r\n1\n")  # noqa: PT018
    with socket.create_connection(("127.0.0.1", clickhouse.port)) as sock:
        sock.sendall(b"GET /?query=SELECT+1 HTTP/1.1\r\n\r\nGET /?query=SELECT+2 HTTP/1.1\r\nConnection: close\r\n\r\n")
        with sock.makefile("rb") as file:
            answer = file.read()
        assert answer.index(b"\r\n\r\n1\n") < answer.index(b"\r\n\r\n2\n")
