"""A reverse proxy before a local service that cannot tell our own clients from strangers: Apicurio Registry, Flink's SQL gateway.

It admits requests with the home's token (as the password of user ``clickreel``, or as a bearer token) that are no foreign web page's, and
lets the service's part refuse what a statement may not do. The service itself listens where nobody is told to look: see :func:`hidden_host`.

``python -m clickreel.local.service_guard --port P --upstream HOST:PORT --token-file F --ready PATH -- COMMAND...`` runs the service's
process under the guard and ends with it.
"""

from __future__ import annotations

import argparse
import base64
import binascii
import contextlib
import ctypes
import hmac
import http.client
import secrets
import signal
import socket
import socketserver
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import cast
from urllib.parse import urlsplit

from clickreel.local import ports
from clickreel.local.http_connection import (
    ClientDisconnectedError,
    HttpConnection,
    HttpProtocolError,
    HttpRequest,
    HttpResponse,
)
from clickreel.local.web_origin import find_foreign_origin

USER = "clickreel"
# Answered without a token: whether the service behind the guard does its work, and nothing else.
READY_PATH = "/ready"
BODY_MAX_BYTES = 64 << 20
_UPSTREAM_S, _READY_S = 300.0, 2.0
_CHUNK_BYTES = 1 << 18
# Of one connection, or replaced by the guard's own; permissions for foreign pages are never passed on.
_NOT_FORWARDED = frozenset(
    [
        "connection",
        "keep-alive",
        "transfer-encoding",
        "content-length",
        "upgrade",
        "te",
        "trailer",
        "expect",
        "host",
        "authorization",
        "origin",
        "date",
        "server",
    ]
)
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class GuardOptions:
    """What a guard stands before.

    Attributes:
        upstream: Host and port of the service.
        token: Who knows it is let in.
        ready: The service's path that answers once it does its work.
        check: Says why a body may not be sent to a path; ``None`` when it may.
    """

    upstream: tuple[str, int]
    token: str
    ready: str
    check: Callable[[str, bytes], str | None] = lambda _path, _body: None


class ServiceGuard(socketserver.ThreadingTCPServer):
    """The listening proxy; :meth:`start` serves in threads of its own.

    Args:
        port: Its port on this machine.
        options: What it stands before.
    """

    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, port: int, options: GuardOptions) -> None:
        self.options = options
        super().__init__((ports.HOST, port), _GuardedConnection)

    def start(self) -> None:
        """Serve from now on."""
        threading.Thread(target=self.serve_forever, name="guard", daemon=True).start()

    def handle_request_of(self, request: HttpRequest, response: HttpResponse) -> None:
        """Answer one request."""
        options = self.options
        if request.target == READY_PATH:
            response.send_whole(200 if _is_ready(options) else 503, b"")
            return
        reason = find_foreign_origin(request.headers)
        if reason is not None:
            response.send_whole(403, f"{reason}\n".encode())
            return
        if not _is_admitted(request.headers.get("authorization", ""), options.token):
            response.headers["WWW-Authenticate"] = 'Basic realm="clickreel"'
            response.send_whole(401, b"the token of this clickreel home is missing: clickreel status\n")
            return
        body = _read_body(request)
        refusal = options.check(urlsplit(request.target).path, body)
        if refusal is not None:
            response.headers["Content-Type"] = "application/json"
            response.send_whole(400, refusal.encode())
            return
        self._forward(request, body, response)

    def _forward(self, request: HttpRequest, body: bytes, response: HttpResponse) -> None:
        headers = {name: value for name, value in request.headers.items() if _is_forwarded(name)}
        upstream = http.client.HTTPConnection(*self.options.upstream, timeout=_UPSTREAM_S)
        try:
            upstream.request(request.method, request.target, body if request.has_body else None, headers)
            answer = upstream.getresponse()
            response.headers |= {name: value for name, value in answer.getheaders() if _is_forwarded(name.lower())}
            if answer.length is not None:
                response.send_whole(answer.status, answer.read())
                return
            response.begin(answer.status)
            while data := answer.read(_CHUNK_BYTES):
                response.send(data)
            response.end()
        except (OSError, http.client.HTTPException) as exc:
            response.closes = True
            if not response.started:
                response.send_whole(502, f"the service behind the guard does not answer: {exc}\n".encode())
        finally:
            upstream.close()


class _GuardedConnection(socketserver.BaseRequestHandler):
    """The thread of one connection."""

    def handle(self) -> None:
        sock: socket.socket = self.request
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection = HttpConnection(sock)
        guard = cast("ServiceGuard", self.server)
        with contextlib.suppress(OSError, ClientDisconnectedError):
            try:
                while (request := connection.next_request()) is not None:
                    response = HttpResponse(connection, request)
                    guard.handle_request_of(request, response)
                    if response.closes or not connection.may_continue():
                        break
            except HttpProtocolError as exc:
                connection.refuse(exc)
            connection.linger()


def _is_ready(options: GuardOptions) -> bool:
    upstream = http.client.HTTPConnection(*options.upstream, timeout=_READY_S)
    try:
        upstream.request("GET", options.ready)
        return 200 <= upstream.getresponse().status < 300
    except (OSError, http.client.HTTPException):
        return False
    finally:
        upstream.close()


def _is_forwarded(name: str) -> bool:
    return name not in _NOT_FORWARDED and not name.startswith(("access-control-", "sec-"))


def _is_admitted(authorization: str, token: str) -> bool:
    scheme, _, rest = authorization.partition(" ")
    given = rest.strip()
    if scheme.lower() == "basic":
        try:
            user, _, given = base64.b64decode(given, validate=True).decode("utf-8", "replace").partition(":")
        except binascii.Error:
            return False
        if user != USER:
            return False
    elif scheme.lower() != "bearer":
        return False
    return hmac.compare_digest(given.encode(), token.encode())


def _read_body(request: HttpRequest) -> bytes:
    pieces, size = [], 0
    while piece := request.body.read(_CHUNK_BYTES):
        pieces.append(piece)
        size += len(piece)
        if size > BODY_MAX_BYTES:
            raise HttpProtocolError(413, f"the body is larger than {BODY_MAX_BYTES} bytes")
    return b"".join(pieces)


def hidden_host() -> str:
    """Where the service itself listens: on Linux one of the 16 million loopback addresses, so that no web page finds it by trying.

    Elsewhere there is one loopback address, and the service is hidden by its port alone.
    """
    if sys.platform != "linux":
        return ports.HOST
    return ".".join(["127", *(str(1 + secrets.randbelow(254)) for _ in range(3))])


def free_port(host: str) -> int:
    """A port on this address that is free now."""
    with socket.create_server((host, 0)) as probe:
        return int(probe.getsockname()[1])


def die_with_parent() -> None:
    """In a child before it runs its program: ``kill -9`` of this process must not leave it behind."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a service's command under a guard; the exit code is the command's.

    Args:
        arguments: The command line; by default the process's own.
    """
    parser = argparse.ArgumentParser(prog="python -m clickreel.local.service_guard")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--upstream", required=True, help="HOST:PORT of the service")
    parser.add_argument("--token-file", type=Path, required=True)
    parser.add_argument("--ready", required=True, help="path that the service answers once it is ready")
    parser.add_argument("command", nargs="+")
    parsed = parser.parse_args(arguments)
    host, _, port = parsed.upstream.rpartition(":")
    token = parsed.token_file.read_text(encoding="utf-8")
    guard = ServiceGuard(parsed.port, GuardOptions((host, int(port)), token, parsed.ready))
    process = subprocess.Popen(parsed.command, stdin=subprocess.DEVNULL, preexec_fn=die_with_parent)  # noqa: PLW1509

    def end(number: int, _frame: FrameType | None) -> None:
        process.send_signal(number)

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    guard.start()
    return process.wait()


if __name__ == "__main__":
    sys.exit(main())
