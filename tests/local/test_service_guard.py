"""The guard before services that cannot tell our own clients from strangers."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest

from clickreel.local.flink_guard import find_forbidden_option, find_in_statement
from clickreel.local.service_guard import GuardOptions, ServiceGuard, Upstream, free_port

TOKEN = "0123456789abcdef"  # noqa: S105 - nobody's
LOGIN = ("clickreel", TOKEN)


class _Service(BaseHTTPRequestHandler):
    """Stands for a service that trusts everybody and lets every page read."""

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        said = b" ".join(
            [self.command.encode(), self.path.encode(), body, str(self.headers.get("Authorization")).encode()]
        )
        self.send_response(200)
        self.send_header("Access-Control-Allow-Origin", "*")
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    do_GET = do_POST = do_DELETE = _answer  # noqa: N815 - the base class finds them by these names

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
        del format, args


@pytest.fixture
def guarded() -> Iterator[str]:
    """Address of a guard before a service."""
    service = ThreadingHTTPServer(("127.0.0.1", 0), _Service)
    threading.Thread(target=service.serve_forever, daemon=True).start()
    port = free_port("127.0.0.1")
    upstream = Upstream("127.0.0.1", int(service.server_address[1]))
    guard = ServiceGuard(port, GuardOptions(upstream, TOKEN, "/health", find_forbidden_option))
    guard.start()
    yield f"http://127.0.0.1:{port}"
    guard.shutdown()
    guard.server_close()
    service.shutdown()
    service.server_close()


def test_the_token_lets_in_and_nothing_else_does(guarded: str) -> None:
    """By basic authentication, as Kafka's registry clients send it, or as a bearer token."""
    assert httpx.get(f"{guarded}/a?b=c", auth=LOGIN).text == "GET /a?b=c  None"
    assert httpx.get(f"{guarded}/a", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200
    for authorization in ("", "Basic", "Basic ###", "Bearer x", "Bearer", f"Digest {TOKEN}", "Basic Y2xpY2tyZWVsOg=="):
        assert httpx.get(f"{guarded}/a", headers={"Authorization": authorization}).status_code == 401
    assert httpx.get(f"{guarded}/a", auth=("other", TOKEN)).status_code == 401


def test_readiness_is_told_without_a_token(guarded: str) -> None:
    """The stack polls it; it says nothing but whether the service answers."""
    answer = httpx.get(f"{guarded}/ready")
    assert (answer.status_code, answer.content) == (200, b"")


def test_bodies_pass_and_permissions_for_pages_do_not(guarded: str) -> None:
    """A request is the service's as it came; no page of another origin may read the answer."""
    answer = httpx.post(f"{guarded}/v3/sessions", json={"properties": {}}, auth=LOGIN)
    assert answer.text == 'POST /v3/sessions {"properties":{}} None'
    assert "access-control-allow-origin" not in answer.headers
    assert httpx.delete(f"{guarded}/v3/sessions/1", auth=LOGIN).text == "DELETE /v3/sessions/1  None"


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "http://other.example"},
        {"Origin": "null"},
        {"Host": "other.example"},
        {"Host": "other.example:8083"},
    ],
    ids=str,
)
def test_foreign_pages_are_refused_even_with_the_token(guarded: str, headers: dict[str, str]) -> None:
    """A browser may have learnt the password; the page is foreign all the same."""
    assert httpx.get(f"{guarded}/a", auth=LOGIN, headers=headers).status_code == 403
    assert httpx.post(f"{guarded}/a", auth=LOGIN, headers=headers, content="{}").status_code == 403


@pytest.mark.parametrize(
    "sql",
    [
        "SET 'pipeline.jars' = 'file:///tmp/x.jar'",
        "SET 'Pipeline.Classpaths' = 'http://other.example/x.jar'",
        "SET pipeline.classpaths = 'http://other.example/x.jar'",
        "SET U&'pipeline\\002ejars' = 'file:///tmp/x.jar'",
        "SET U&'pipeline!002ejars' UESCAPE '!' = 'file:///tmp/x.jar'",
        "ADD JAR '/tmp/x.jar'",
        "CREATE FUNCTION f AS 'x.Y' LANGUAGE JAVA USING JAR '/tmp/x.jar'",
        "CREATE TABLE t (x INT) WITH ('connector' = 'kafka', 'properties.metric.reporters' = 'x.Y')",
        "CREATE TABLE t (x INT) WITH ('properties.interceptor.classes' = 'x.Y')",
        "CREATE TABLE t (x INT) WITH ('properties.sasl.login.callback.handler.class' = 'x.Y')",
        "CREATE TABLE t (x INT) WITH ('properties.ssl.engine.factory.class' = 'x.Y')",
        "CREATE TABLE t (x INT) WITH ('properties.config.providers' = 'file')",
        "CREATE TABLE t (x INT) WITH ('properties.sasl.jaas.config' = 'com.sun.security.auth.module.JndiLoginModule required;')",
        "SELECT * FROM t /*+ OPTIONS('properties.metric.reporters'='x.Y') */",
        "SELECT * FROM t /*+ OPTIONS/* */('properties.metric.reporters'='x.Y') */",
    ],
)  # fmt: skip
def test_statements_that_load_code_are_refused(guarded: str, sql: str) -> None:
    """In any spelling, in a statement and in its hints."""
    answer = httpx.post(f"{guarded}/v3/sessions/1/statements", json={"statement": sql}, auth=LOGIN)
    assert answer.status_code == 400
    assert "guard" in answer.json()["errors"][-1]


def test_sessions_cannot_begin_with_foreign_code(guarded: str) -> None:
    """A session's properties are the same options."""
    answer = httpx.post(f"{guarded}/v3/sessions", json={"properties": {"pipeline.jars": "x"}}, auth=LOGIN)
    assert answer.status_code == 400
    assert httpx.post(f"{guarded}/v3/sessions", content=b"not json", auth=LOGIN).status_code == 400


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 'add jar', `class`, deserializer FROM t -- pipeline.jars",
        "SELECT 'the pipeline.jars option' FROM dvd_clicks",
        "SET 'execution.runtime-mode' = 'streaming'",
        "CREATE TABLE t (k INT) WITH ('connector'='kafka', 'topic'='t', 'properties.bootstrap.servers'='localhost:9092', 'key.format'='raw')",
        "CREATE TABLE t (k INT) WITH ('properties.sasl.jaas.config' = 'org.apache.kafka.common.security.plain.PlainLoginModule required username=\"a\" password=\"b;c''d\";')",
    ],
)  # fmt: skip
def test_everything_else_passes(sql: str) -> None:
    """Names and texts that only look like it are nobody's concern."""
    assert find_in_statement(sql) is None
