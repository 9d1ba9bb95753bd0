"""A reverse proxy before a local service that cannot tell our own clients from strangers: Apicurio Registry, Flink's SQL gateway.

It admits requests with the home's token (as the password of user ``clickreel``, or as a bearer token) that are no foreign web page's, and
lets the service's part refuse what a statement may not do. The service itself listens where nobody is told to look
(:func:`hidden_host`), and answers nobody but the guard: what an :class:`Upstream` asks for, a certificate or a header, only the guard has.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import ctypes
import hmac
import secrets
import signal
import socket
import socketserver
import ssl
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import cast
from urllib.parse import urlsplit

import httpx

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


class Upstream:
    """A service behind a guard, and how the guard proves that it is the guard.

    Connections are kept for the next request: a handshake with certificates on both sides costs more than an answer.

    Args:
        host: The address on which it listens.
        port: Its port.
        tls: The certificates of both sides; None where it speaks plain HTTP.
        headers: Added to each request.
    """

    def __init__(
        self, host: str, port: int, *, tls: ssl.SSLContext | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        self.host, self.port = host, port
        self._headers = {name.lower(): value for name, value in (headers or {}).items()}
        self._url = httpx.URL(scheme="http" if tls is None else "https", host=host, port=port)
        # The transport alone: a client would add headers of its own, and follow what the answer says.
        self._transport = httpx.HTTPTransport(verify=tls or False, trust_env=False, retries=0)

    def ask(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes | None, timeout_s: float
    ) -> httpx.Response:
        """Send a request; the answer's body is yet to be read, and the answer to be closed.

        Args:
            method: Its method.
            target: Path and query, sent as they are.
            headers: The request's headers, names in lower case, of which this service's own replace those of the same name.
            body: Its body, None for none.
            timeout_s: How long the service may be silent.

        Raises:
            httpx.TransportError: It does not answer, or not in HTTP.
        """
        asked = httpx.Request(
            method,
            self._url,
            headers={**headers, **self._headers},
            content=body,
            extensions={
                "target": target.encode("latin-1"),
                "timeout": dict.fromkeys(("connect", "read", "write", "pool"), timeout_s),
            },
        )
        return self._transport.handle_request(asked)

    def close(self) -> None:
        """Close the connections that are kept."""
        self._transport.close()


@dataclass(frozen=True)
class GuardOptions:
    """What a guard stands before.

    Attributes:
        upstream: The service.
        token: Who knows it is let in.
        ready: The service's path that answers once it does its work.
        check: Says why a body may not be sent to a path; ``None`` when it may.
        below: Further services by the beginning of the paths that are theirs, such as ``/cluster``; they see the rest of the path.
    """

    upstream: Upstream
    token: str
    ready: str
    check: Callable[[str, bytes], str | None] = lambda _path, _body: None
    below: Mapping[str, Upstream] = field(default_factory=dict)

    def route(self, target: str) -> tuple[Upstream, str]:
        """The service that a request is for, and the path and query that it sees."""
        for start, service in self.below.items():
            if target.startswith(f"{start}/"):
                return service, target.removeprefix(start)
        return self.upstream, target


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
        service, target = self.options.route(request.target)
        headers = {name: value for name, value in request.headers.items() if _is_forwarded(name)}
        try:
            answer = service.ask(request.method, target, headers, body if request.has_body else None, _UPSTREAM_S)
            with contextlib.closing(answer):
                response.headers |= {name: value for name, value in answer.headers.items() if _is_forwarded(name)}
                if "content-length" in answer.headers:
                    response.send_whole(answer.status_code, b"".join(_pieces(answer)))
                    return
                response.begin(answer.status_code)
                for piece in _pieces(answer):
                    response.send(piece)
                response.end()
        except httpx.TransportError as exc:
            response.closes = True
            if not response.started:
                response.send_whole(502, f"the service behind the guard does not answer: {exc}\n".encode())

    def server_close(self) -> None:
        """Stop listening, and close what is kept open to the services."""
        super().server_close()
        for service in (self.options.upstream, *self.options.below.values()):
            service.close()


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
    try:
        with contextlib.closing(options.upstream.ask("GET", options.ready, {}, None, _READY_S)) as answer:
            for _ in _pieces(answer):  # to the end, so that the connection can be kept
                pass
            return 200 <= answer.status_code < 300
    except httpx.TransportError:
        return False


def _pieces(answer: httpx.Response) -> Iterator[bytes]:
    """The body as it came, compressed or not."""
    return iter(cast("httpx.SyncByteStream", answer.stream))


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
