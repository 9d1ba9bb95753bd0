"""What is not HTTP, too large or never complete: it is answered, the connection is closed, and the server goes on."""

from __future__ import annotations

import socket
import zlib

import httpx
import psutil
import pytest
import zstandard

from clickreel.local import http_connection
from tests.clickhouse.http import Http
from tests.clickhouse.process import ClickHouse


def _exchange(clickhouse: ClickHouse, sent: bytes) -> bytes:
    """Everything that comes back until the server closes."""
    with socket.create_connection(("127.0.0.1", clickhouse.port), timeout=60) as sock:
        sock.sendall(sent)
        with sock.makefile("rb") as file:
            return file.read()


@pytest.mark.parametrize(
    "head",
    [
        b"Content-Length: -1\r\n\r\nSELECT 1",
        b"Content-Length: 1_0\r\n\r\nSELECT 1  ",
        b"Content-Length: 0_8\r\n\r\nSELECT 1",
        b"Content-Length: 8\r\nContent-Length: 9\r\n\r\nSELECT 1",
        b"Content-Length: 99999999999999999999999999\r\n\r\nSELECT 1",
        b"Transfer-Encoding: chunked\r\n\r\n-5\r\nSELECT 1\r\n0\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n0x8\r\nSELECT 1\r\n0\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n8\r\nSELECT 1XX0\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffffffffffff\r\nSELECT 1",
        b"X-Header: a\rb\r\nContent-Length: 8\r\n\r\nSELECT 1",
        b"X-Header: a\0b\r\nContent-Length: 8\r\n\r\nSELECT 1",
    ],
)
def test_wrong_lengths_chunks_and_headers_are_refused(clickhouse: ClickHouse, head: bytes) -> None:
    """A length that is no number, two lengths, a negative chunk: 400, and the connection ends."""
    answer = _exchange(clickhouse, b"POST / HTTP/1.1\r\nHost: localhost\r\n" + head)
    assert answer.startswith(b"HTTP/1.1 400 "), answer
    assert b"onnection: close\r\n" in answer
    assert answer.count(b"HTTP/1.1") == 1
    assert httpx.get(f"{clickhouse.url}/ping").text == "Ok.\n"


def test_an_unknown_transfer_coding_is_refused(clickhouse: ClickHouse) -> None:
    """What is neither a length nor chunks cannot be read."""
    head = b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"
    assert _exchange(clickhouse, head).startswith(b"HTTP/1.1 501 ")


def test_a_head_without_end_is_refused(clickhouse: ClickHouse) -> None:
    """The head is bounded; what is no head at all (TLS) is refused at its first bytes."""
    endless = b"POST / HTTP/1.1\r\nHost: localhost\r\n" + b"X: 1\r\n" * (http_connection.HEAD_MAX_BYTES // 6)
    assert _exchange(clickhouse, endless).startswith(b"HTTP/1.1 4")
    assert _exchange(clickhouse, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03").startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize(
    "query_id",
    ["a\r\nX-Injected: yes", "a\nb", "a\rb", "a\0b", "x" * 2000, "a\u2028b"],
    ids=lambda text: repr(text)[:20],
)
def test_a_query_id_cannot_add_a_header(http: Http, query_id: str) -> None:
    """An id with a line break is refused, and stands in no header of the answer."""
    answer = http.get("SELECT 1", query_id=query_id)
    assert (answer.status_code, answer.headers["X-ClickHouse-Exception-Code"]) == (400, "36")
    assert "X-Injected" not in answer.headers
    assert "X-ClickHouse-Query-Id" not in answer.headers


def test_a_query_id_of_any_letters_comes_back(http: Http) -> None:
    """Letters outside of ASCII are letters."""
    answer = http.get("SELECT 1", query_id="où-ё")
    assert answer.status_code == 200
    assert answer.headers.multi_items().count(("x-clickhouse-query-id", "où-ё")) == 1


@pytest.mark.parametrize(
    "sql", ["SELECT 1", "SELECT number FROM numbers(1000000)", "SELECT throwIf(number = 900000) FROM numbers(1000000)"]
)
def test_head_has_no_body(clickhouse: ClickHouse, sql: str) -> None:
    """HEAD is answered with a head alone, however large or broken the result."""
    request = f"HEAD /?query={sql.replace(' ', '+')} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    answer = _exchange(clickhouse, request.encode())
    assert answer.startswith(b"HTTP/1.1 200 ") or b"throwIf" in request.encode()
    assert answer.endswith(b"\r\n\r\n")
    assert answer.count(b"\r\n\r\n") == 1


@pytest.mark.parametrize(
    "sent", [b"GET /?query=SELECT+'\xe9' HTTP/1.1\r\n\r\n", b"GET /?query=SELECT+'\xc3\xa9' HTTP/1.1\r\n\r\n"]
)
def test_bytes_in_the_url_reach_the_engine(clickhouse: ClickHouse, sent: bytes) -> None:
    """A URL as `curl` sends it, in whatever coding, is the statement that the engine sees."""
    answer = _exchange(clickhouse, sent.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert answer.endswith(sent[sent.index(b"'") + 1 : sent.rindex(b"'")] + b"\n")


@pytest.mark.parametrize(
    "sql",
    [
        b"SELECT \xff",
        b"SELECT throwIf(1, '\xff')",
        b"INSERT INTO \xff VALUES (1)",
        b"\xff\xfe",
        b"KILL QUERY WHERE query_id = '\xff' SYNC",
    ],
)
def test_statements_that_are_not_utf8_are_answered(clickhouse: ClickHouse, sql: bytes) -> None:
    """Whatever the bytes, there is an answer: the engine's."""
    answer = httpx.post(clickhouse.url, content=sql, timeout=60)
    assert answer.status_code in (200, 400, 404, 500)
    assert answer.status_code == 200 or answer.text.startswith("Code: ")


def test_forms_that_are_not_utf8_are_answered(clickhouse: ClickHouse) -> None:
    """A form's parameter is bytes too."""
    form = b'--b\r\nContent-Disposition: form-data; name="param_x"\r\n\r\ncaf\xe9\r\n--b--\r\n'
    answer = httpx.post(
        f"{clickhouse.url}/?query=SELECT+hex({{x:String}})",
        content=form,
        headers={"Content-Type": "multipart/form-data; boundary=b"},
    )
    assert answer.text == "636166E9\n"


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
def test_a_small_body_cannot_fill_the_memory(http: Http, clickhouse: ClickHouse, coding: str) -> None:
    """A quarter of a gigabyte that is packed into some kilobytes is unpacked piece by piece."""
    size = 256 << 20
    if coding == "gzip":
        packer = zlib.compressobj(9, wbits=31)
        packed = b"".join(packer.compress(bytes(1 << 20)) for _ in range(size >> 20)) + packer.flush()
    else:
        stream = zstandard.ZstdCompressor(level=3).compressobj()
        packed = b"".join(stream.compress(bytes(1 << 20)) for _ in range(size >> 20)) + stream.flush()
    before = psutil.Process(clickhouse.process.pid).memory_info().rss
    # A statement of zero bytes: read up to the limit of statements, then refused.
    answer = http.client.post("/", content=packed, headers={"Content-Encoding": coding}, timeout=120)
    assert answer.status_code in (400, 413)
    assert psutil.Process(clickhouse.process.pid).memory_info().rss - before < 200 << 20


def test_a_compressed_block_cannot_claim_a_gigabyte(clickhouse: ClickHouse) -> None:
    """The size that a block claims is bounded before memory is taken for it."""
    head = bytes(16) + b"\x82" + (25).to_bytes(4, "little") + (1 << 30).to_bytes(4, "little")
    answer = httpx.post(f"{clickhouse.url}/?decompress=1", content=head + bytes(16))
    assert (answer.status_code, answer.headers["X-ClickHouse-Exception-Code"]) == (500, "271")


def test_a_body_that_does_not_come_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that announces a body and sends none hears 408 after a while and is cut off."""
    monkeypatch.setattr(http_connection, "RECEIVE_S", 0.2)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nSEL")
        connection = http_connection.HttpConnection(theirs)
        request = connection.next_request()
        assert request is not None
        assert request.body.read(100) == b"SEL"
        with pytest.raises(http_connection.HttpProtocolError) as raised:
            request.body.read(100)
        assert raised.value.status == 408
        connection.refuse(raised.value)
        assert ours.recv(1000).startswith(b"HTTP/1.1 408 Request Timeout\r\n")
