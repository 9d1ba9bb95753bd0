"""HTTP/1.1 over a blocking socket: what the interface needs of it and no more.

A thread serves a connection, because the engine's calls block: there is no event loop that a call could hold up, and a chunk goes from
the engine's pipe to the socket without a hop between tasks (twice the throughput of an ASGI server on the same loop, measured).
"""

from __future__ import annotations

import socket
from dataclasses import dataclass, field
from typing import Protocol

# A URL may hold a whole query: a server's limit (http_max_uri_size) is 1 MiB as well.
LINE_MAX_BYTES = 1 << 20
HEADERS_MAX = 1000
CHUNK_BYTES = 1 << 20
# What is left of a refused body is read away up to this size so that the connection can go on; beyond it the connection is closed.
DRAIN_MAX_BYTES = 4 << 20

_REASONS = {
    100: "Continue", 200: "OK", 204: "No Content", 400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found",
    405: "Method Not Allowed", 408: "Request Timeout", 411: "Length Required", 413: "Request Entity Too Large",
    414: "Request-URI Too Long", 415: "Unsupported Media Type", 500: "Internal Server Error", 501: "Not Implemented",
    503: "Service Unavailable",
}  # fmt: skip


class HttpProtocolError(Exception):
    """The other side does not speak HTTP.

    Attributes:
        status: What to answer before the connection is closed.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class ClientDisconnectedError(Exception):
    """The other side has gone."""


class ByteSource(Protocol):
    """Bytes that are read once, in order."""

    def read(self, size: int) -> bytes:
        """At most ``size`` bytes; empty at the end, and only there."""


class BufferedStream(Protocol):
    """A buffered connection."""

    def read(self, size: int, /) -> bytes:
        """So many bytes, or fewer at the end."""

    def readline(self, size: int, /) -> bytes:
        """A line with its break, or a part of one that is longer."""


class RequestBody:
    """The body of a request, by length or in chunks.

    Args:
        stream: The connection.
        length: Bytes in it; ``None`` when it comes in chunks.
        before: Sent before the first byte is read (``100 Continue``).
    """

    def __init__(
        self, stream: BufferedStream, length: int | None, before: tuple[socket.socket, bytes] | None = None
    ) -> None:
        self._stream = stream
        self._chunked = length is None
        self._left = length or 0
        self._done = length == 0
        self._before = before

    def read(self, size: int) -> bytes:
        """Read some bytes; empty at the end.

        Raises:
            ClientDisconnectedError: The connection ended inside the body.
            HttpProtocolError: A chunk's size is not one.
        """
        if self._done:
            return b""
        if self._before is not None:
            self._before[0].sendall(self._before[1])
            self._before = None
        if self._chunked and self._left == 0:
            self._left = self._next_chunk()
            if self._left == 0:
                self._done = True
                return b""
        data = self._stream.read(min(size, self._left))
        if not data:
            raise ClientDisconnectedError("the connection ended inside the request's body")
        self._left -= len(data)
        if self._left == 0:
            if self._chunked:
                self._stream.readline(8)
            else:
                self._done = True
        return data

    def _next_chunk(self) -> int:
        line = self._stream.readline(LINE_MAX_BYTES)
        try:
            size = int(line.split(b";", 1)[0].strip(), 16)
        except ValueError:
            if not line:
                raise ClientDisconnectedError("the connection ended inside the request's body") from None
            raise HttpProtocolError(400, f"chunk size {line[:20]!r}") from None
        while size == 0 and self._stream.readline(LINE_MAX_BYTES) not in (b"\r\n", b"\n", b""):
            pass  # trailers
        return size

    def drain(self) -> bool:
        """Read away what is left; ``False`` when that is too much to be worth it."""
        read = 0
        if self._before is not None:
            return self._done  # the client waits for our word and will not send the body
        while read < DRAIN_MAX_BYTES:
            data = self.read(CHUNK_BYTES)
            if not data:
                return True
            read += len(data)
        return False


@dataclass(frozen=True)
class HttpRequest:
    """A request's head, and its body unread. Header names are in lower case."""

    method: str
    target: str
    version: str
    headers: dict[str, str]
    body: RequestBody

    @property
    def keep_alive(self) -> bool:
        """Whether the client wants to go on with this connection."""
        wish = self.headers.get("connection", "").lower()
        return wish != "close" if self.version == "HTTP/1.1" else wish == "keep-alive"

    @property
    def has_body(self) -> bool:
        """Whether it says how long its body is."""
        return "content-length" in self.headers or "transfer-encoding" in self.headers


def read_request(stream: BufferedStream, sock: socket.socket) -> HttpRequest | None:
    """Read the next request's head.

    Returns:
        ``None`` when the other side has ended the connection.

    Raises:
        HttpProtocolError: What came is not HTTP, or its head is too long.
    """
    line = stream.readline(LINE_MAX_BYTES)
    while line in (b"\r\n", b"\n"):
        line = stream.readline(LINE_MAX_BYTES)
    if not line:
        return None
    if not line.endswith(b"\n"):
        raise HttpProtocolError(414, f"the request line is longer than {LINE_MAX_BYTES} bytes")
    try:
        method, target, version = line.decode("latin-1").split()
    except ValueError:
        raise HttpProtocolError(400, "the first line is not METHOD TARGET VERSION") from None
    headers = _read_headers(stream)
    chunked = "chunked" in headers.get("transfer-encoding", "").lower()
    try:
        length = None if chunked else int(headers.get("content-length", "0"))
    except ValueError:
        raise HttpProtocolError(400, f"Content-Length: {headers['content-length']}") from None
    waits = headers.get("expect", "").lower() == "100-continue" and version == "HTTP/1.1"
    before = (sock, b"HTTP/1.1 100 Continue\r\n\r\n") if waits else None
    return HttpRequest(method, target, version, headers, RequestBody(stream, length, before))


def _read_headers(stream: BufferedStream) -> dict[str, str]:
    headers: dict[str, str] = {}
    for _ in range(HEADERS_MAX):
        line = stream.readline(LINE_MAX_BYTES)
        if line in (b"\r\n", b"\n"):
            return headers
        name, colon, value = line.decode("latin-1").partition(":")
        if not colon:
            raise HttpProtocolError(400, f"header {line[:40]!r}")
        headers[name.strip().lower()] = value.strip()
    raise HttpProtocolError(400, f"more than {HEADERS_MAX} headers")


@dataclass
class HttpResponse:
    """One answer on a connection. Headers go out with the first byte, so that an early failure still has its status.

    Args:
        sock: The connection.
        request: What is answered.
    """

    sock: socket.socket
    request: HttpRequest
    headers: dict[str, str] = field(default_factory=dict)
    started: bool = False
    closes: bool = False
    _chunked: bool = False

    def whole(self, status: int, body: bytes) -> None:
        """Send a complete answer."""
        head = self._head(status, {"Content-Length": str(len(body))})
        self.sock.sendall(head if self.request.method == "HEAD" else head + body)

    def begin(self, status: int) -> None:
        """Send the head of an answer whose length is not known yet."""
        self._chunked = self.request.version == "HTTP/1.1"
        if not self._chunked:
            self.closes = True
        self.sock.sendall(self._head(status, {"Transfer-Encoding": "chunked"} if self._chunked else {}))

    def send(self, data: bytes) -> None:
        """Send a piece of the body."""
        if not data:
            return
        if self._chunked:
            self.sock.sendall(b"%x\r\n%b\r\n" % (len(data), data))
        else:
            self.sock.sendall(data)

    def end(self) -> None:
        """Finish a body sent in pieces."""
        if self._chunked:
            self.sock.sendall(b"0\r\n\r\n")

    def broken(self) -> None:
        """Leave a body unfinished: the client sees that it is not whole."""
        self.closes = True

    def _head(self, status: int, extra: dict[str, str]) -> bytes:
        self.started = True
        if not self.request.keep_alive:
            self.closes = True
        fields = {**self.headers, **extra, "Connection": "close" if self.closes else "keep-alive"}
        if not self.closes:
            fields["Keep-Alive"] = f"timeout={IDLE_S}"
        lines = [
            f"HTTP/1.1 {status} {_REASONS.get(status, 'Error')}",
            *(f"{name}: {value}" for name, value in fields.items()),
        ]
        return "\r\n".join([*lines, "", ""]).encode("latin-1", "replace")


# An idle connection is closed after this time. clickhouse-connect and the JavaScript client keep theirs for less (the latter closes
# its own after 2.5 s, or just before the time announced here).
IDLE_S = 30
