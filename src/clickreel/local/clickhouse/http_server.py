"""The server: sockets, threads, the fixed pages, and errors as answers."""

from __future__ import annotations

import contextlib
import logging
import signal
import socket
import socketserver
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from urllib.parse import parse_qsl

from clickreel.errors import MissingError
from clickreel.local.clickhouse.authentication import DatabaseUser, authenticate, refuse_foreign_pages
from clickreel.local.clickhouse.content_coding import decode_body
from clickreel.local.clickhouse.database_errors import DatabaseError, ErrorCode, database_error
from clickreel.local.clickhouse.engine import ClickHouseEngine
from clickreel.local.clickhouse.form_data import parse_boundary, read_form
from clickreel.local.clickhouse.query_handler import QueryHandler
from clickreel.local.clickhouse.query_request import parse_request
from clickreel.local.clickhouse.query_sessions import QuerySessions
from clickreel.local.http_connection import (
    PLAIN_TEXT,
    ClientDisconnectedError,
    HttpConnection,
    HttpProtocolError,
    HttpRequest,
    HttpResponse,
)

LOG = logging.getLogger(__name__)
HOST = "127.0.0.1"
# How long a stopping server waits for statements under way before it stops them, and then for them to stop.
GRACE_S = 3.0
SWEEP_S = 10.0
# Each takes a thread, and 2 MiB when it holds a body.
CONNECTIONS_MAX = 256
_TOO_MANY = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 21\r\nConnection: close\r\n\r\ntoo many connections\n"
# What a server answers before a page of another port may ask.
_PREFLIGHT = {
    "Access-Control-Allow-Headers": (
        "Origin, Content-Type, Authorization, X-Requested-With, X-ClickHouse-Format, X-ClickHouse-User, X-ClickHouse-Key, "
        "X-ClickHouse-Database, X-ClickHouse-Query-Id"
    ),
    "Access-Control-Allow-Methods": "POST, GET, OPTIONS",
    "Access-Control-Max-Age": "86400",
}
_PAGES = {"/ping": b"Ok.\n", "/replicas_status": b"Ok.\n"}


@dataclass(frozen=True)
class ServerOptions:
    """What a server is started with.

    Attributes:
        data: The data folder.
        port: The port on 127.0.0.1; 0 for any free one.
        memory_bytes: What all statements together may take.
        users: Who may come in, by name.
    """

    data: Path
    port: int
    memory_bytes: int
    users: Mapping[str, DatabaseUser]


class ClickHouseServer(socketserver.ThreadingMixIn, socketserver.TCPServer):
    """ClickHouse's HTTP interface over one data folder, listening from construction on.

    Raises:
        MissingError: The port is taken.
        ClickreelError: The folder is served by another process.
    """

    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    # A dashboard opens a dozen connections at once; the default of 5 makes some wait a second for a repeated SYN.
    request_queue_size = 128

    def __init__(self, options: ServerOptions) -> None:
        self.options = options
        self.engine = ClickHouseEngine(options.data, options.memory_bytes)
        self.sessions = QuerySessions(self.engine)
        try:
            super().__init__((HOST, options.port), _ConnectionThread)
        except OSError as exc:
            self.engine.close()
            raise MissingError(
                f"port {options.port} on {HOST} is taken: {exc.strerror}", hint="name another --port"
            ) from exc
        self.stopping = threading.Event()
        self._slots = threading.BoundedSemaphore(CONNECTIONS_MAX)

    @property
    def url(self) -> str:
        """The address for clients."""
        return f"http://{HOST}:{self.server_address[1]}"

    def run(self) -> None:
        """Serve until SIGTERM or SIGINT, then stop in order."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self.stopping.set())
        serving = threading.Thread(target=self.serve_forever, name="accept", daemon=True)
        serving.start()
        while not self.stopping.wait(SWEEP_S):
            self.sessions.sweep()
        self.shutdown()
        self.stop()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Give a connection its thread; what is too many is answered and closed."""
        if self._slots.acquire(blocking=False):
            super().process_request(request, client_address)
            return
        with contextlib.suppress(OSError):
            request.sendall(_TOO_MANY)
        self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve a connection in its thread."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._slots.release()

    def stop(self) -> None:
        """Wait for the statements under way, stop those that last too long, and close the folder."""
        self.stopping.set()
        self.server_close()
        deadline = time.monotonic() + GRACE_S
        while self.engine.count_running() and time.monotonic() < deadline:
            time.sleep(0.02)
        self.engine.kill_all()
        deadline = time.monotonic() + GRACE_S
        while self.engine.count_running() and time.monotonic() < deadline:
            time.sleep(0.02)
        if self.engine.count_running():
            LOG.warning("%d statements did not stop; the folder is left as after a crash", self.engine.count_running())
            return
        self.sessions.close()
        self.engine.close()


class _ConnectionThread(socketserver.BaseRequestHandler):
    """The thread of one connection."""

    def handle(self) -> None:
        server = cast("ClickHouseServer", self.server)
        sock: socket.socket = self.request
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection = HttpConnection(sock)
        with contextlib.suppress(OSError, ClientDisconnectedError):
            try:
                _serve_requests(server, connection)
            except HttpProtocolError as exc:
                connection.refuse(exc)
            connection.linger()


def _serve_requests(server: ClickHouseServer, connection: HttpConnection) -> None:
    while not server.stopping.is_set():
        request = connection.next_request()
        if request is None:
            return
        response = HttpResponse(connection, request)
        _serve(server, request, response)
        if response.closes or not connection.may_continue():
            return


def _serve(server: ClickHouseServer, request: HttpRequest, response: HttpResponse) -> None:
    """Answer one request; a failure that can still be reported is reported."""
    try:
        _route(server, request, response)
    except HttpProtocolError as exc:
        response.closes = True
        if not response.started:
            response.send_whole(exc.status, f"{exc}\n".encode())
    except DatabaseError as exc:
        if response.started:
            response.abort()
            return
        response.headers |= {"X-ClickHouse-Exception-Code": str(exc.code), "Content-Type": PLAIN_TEXT}
        response.headers.pop("Content-Encoding", None)
        response.send_whole(exc.status, exc.body(server.engine.version))
    except (OSError, ClientDisconnectedError):
        raise
    except Exception:
        # A fault of this front: the client hears of it, and the log says where it is.
        LOG.exception("cannot answer %s", request.method)
        response.closes = True
        if not response.started:
            response.send_whole(500, b"Internal error of the local ClickHouse: clickreel logs clickhouse\n")


def _route(server: ClickHouseServer, request: HttpRequest, response: HttpResponse) -> None:
    path, _, query_string = request.target.partition("?")
    refuse_foreign_pages(request.headers)
    params = dict(parse_qsl(query_string, keep_blank_values=True, errors="surrogateescape"))
    if params.get("add_http_cors_header") == "1":
        _allow_origin(request, response)
    if request.method == "OPTIONS":
        _allow_origin(request, response)
        response.headers |= _PREFLIGHT
        response.send_whole(204, b"")
    elif path in _PAGES:
        response.send_whole(200, _PAGES[path])
    elif request.method not in ("GET", "HEAD", "POST"):
        response.send_whole(405, f"method {request.method} is not served\n".encode())
    elif request.method == "POST" or "query" in params:
        _run(server, params, request, response)
    elif path == "/":
        response.send_whole(200, b"Ok.\n")
    else:
        response.send_whole(404, f"There is no handle {path}\n\nUse / or /ping for health checks.\n".encode())


def _allow_origin(request: HttpRequest, response: HttpResponse) -> None:
    """Let the page that asks, which is one of this machine, read the answer."""
    if "origin" in request.headers:
        response.headers |= {"Access-Control-Allow-Origin": request.headers["origin"], "Vary": "Origin"}


def _run(server: ClickHouseServer, params: dict[str, str], request: HttpRequest, response: HttpResponse) -> None:
    user = authenticate(server.options.users, request.headers, params)
    if request.method == "POST" and not request.has_body:
        raise database_error(
            ErrorCode.HTTP_LENGTH_REQUIRED,
            "The Transfer-Encoding is not chunked and there is no Content-Length header for POST",
        )
    form = None
    mark = parse_boundary(request.headers.get("content-type", ""))
    if mark is not None:
        body = decode_body(request.body, request.headers.get("content-encoding", ""))
        params, form = read_form(body, mark, params)
    query = parse_request(params, request.headers)
    QueryHandler(
        server.engine, server.sessions, user=user, query=query, request=request, response=response, form=form
    ).serve()
