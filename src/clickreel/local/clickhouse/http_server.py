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
from typing import cast
from urllib.parse import parse_qsl, urlsplit

from clickreel.errors import MissingError
from clickreel.local.clickhouse.authentication import DatabaseUser, authenticate
from clickreel.local.clickhouse.content_coding import decode_body
from clickreel.local.clickhouse.database_errors import DatabaseError, ErrorCode, database_error
from clickreel.local.clickhouse.engine import ClickHouseEngine
from clickreel.local.clickhouse.form_data import parse_boundary, read_form
from clickreel.local.clickhouse.http_connection import (
    IDLE_S,
    ClientDisconnectedError,
    HttpProtocolError,
    HttpRequest,
    HttpResponse,
    read_request,
)
from clickreel.local.clickhouse.query_handler import QueryHandler
from clickreel.local.clickhouse.query_request import parse_request
from clickreel.local.clickhouse.query_sessions import QuerySessions

LOG = logging.getLogger(__name__)
HOST = "127.0.0.1"
# How long a stopping server waits for statements under way before it stops them, and then for them to stop.
GRACE_S = 3.0
SWEEP_S = 10.0
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


class _ConnectionThread(socketserver.StreamRequestHandler):
    """The thread of one connection."""

    timeout = IDLE_S
    disable_nagle_algorithm = True
    rbufsize = 1 << 16

    def handle(self) -> None:
        server = cast("ClickHouseServer", self.server)
        sock: socket.socket = self.connection
        with contextlib.suppress(ConnectionError, TimeoutError, ClientDisconnectedError):
            while not server.stopping.is_set():
                try:
                    request = read_request(self.rfile, sock)
                except HttpProtocolError as exc:
                    self._refuse(sock, exc)
                    return
                if request is None:
                    return
                response = HttpResponse(sock, request)
                _serve(server, request, response)
                if response.closes or not request.body.drain():
                    return

    def _refuse(self, sock: socket.socket, exc: HttpProtocolError) -> None:
        body = f"{exc}\n".encode()
        head = f"HTTP/1.1 {exc.status} Error\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        sock.sendall(head.encode() + body)


def _serve(server: ClickHouseServer, request: HttpRequest, response: HttpResponse) -> None:
    """Answer one request; a failure that can still be told is told."""
    parts = urlsplit(request.target)
    response.headers["Content-Type"] = "text/plain; charset=UTF-8"
    try:
        params = dict(parse_qsl(parts.query, keep_blank_values=True))
        if parts.path in _PAGES:
            response.whole(200, _PAGES[parts.path])
        elif parts.path != "/":
            response.whole(404, f"There is no handle {parts.path}\n\nUse / or /ping for health checks.\n".encode())
        elif request.method not in ("GET", "HEAD", "POST"):
            response.whole(405, f"method {request.method} is not served\n".encode())
        elif request.method != "POST" and "query" not in params:
            response.whole(200, b"Ok.\n")
        else:
            _run(server, params, request, response)
    except HttpProtocolError as exc:
        if not response.started:
            response.closes = True
            response.whole(exc.status, f"{exc}\n".encode())
    except DatabaseError as exc:
        if response.started:
            response.broken()
            return
        body = exc.body(server.engine.version)
        response.headers["X-ClickHouse-Exception-Code"] = str(exc.code)
        response.headers["Content-Type"] = "text/plain; charset=UTF-8"
        response.headers.pop("Content-Encoding", None)
        response.whole(exc.status, body)


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
    # An idle connection is dropped soon; a statement may take its time.
    response.sock.settimeout(None)
    try:
        QueryHandler(
            server.engine, server.sessions, user=user, query=query, request=request, response=response, form=form
        ).serve()
    finally:
        with contextlib.suppress(OSError):
            response.sock.settimeout(IDLE_S)
