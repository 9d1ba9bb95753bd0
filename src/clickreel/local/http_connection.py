"""HTTP/1.1 over a blocking socket: h11 parses and frames, this module moves the bytes and holds the limits.

A thread serves a connection, because the engine's calls block: there is no event loop that a call could hold up, and a chunk goes from
the engine's pipe to the socket without a hop between tasks. h11 refuses what is not HTTP (lengths, chunk sizes, header values with a line
break); whatever it refuses is answered, and the connection is closed.
"""

from __future__ import annotations

import contextlib
import re
import socket
import time
from dataclasses import dataclass, field
from email.utils import formatdate
from http import HTTPStatus
from typing import Protocol
from urllib.parse import quote_from_bytes

import h11

# A URL may hold a whole query: a server's limit (http_max_uri_size) is 1 MiB as well. Beside it there are headers.
HEAD_MAX_BYTES = (1 << 20) + (1 << 17)
CHUNK_BYTES = 1 << 20
_RECEIVE_BYTES = 1 << 18
# The rest of a body that nobody reads is received up to this size so that the connection can go on; beyond it the connection is closed.
DRAIN_MAX_BYTES = 4 << 20
# An idle connection is closed after this time. clickhouse-connect and the JavaScript client keep theirs for less (the latter closes
# its own after 2.5 s, or just before the time announced here).
IDLE_S = 30
# A head must be complete, and the next piece of a body must come, within this time (a server's http_receive_timeout).
RECEIVE_S = 30.0
# A client that takes nothing of a result for so long has gone.
SEND_S = 300.0
# How long, and how much, is received after the last answer so that the client reads it before the connection is reset.
_LINGER_S, _LINGER_MAX_BYTES = 1.0, 16 << 20

_HEAD_END = re.compile(rb"\n\r?\n")
_HOST = re.compile(rb"\nhost[ \t]*:", re.IGNORECASE)
PLAIN_TEXT = "text/plain; charset=UTF-8"


class HttpProtocolError(Exception):
    """The request is not HTTP, or its body does not come.

    Attributes:
        status: The status of the answer after which the connection is closed.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class ClientDisconnectedError(Exception):
    """The client has closed the connection."""


class ByteSource(Protocol):
    """Bytes that are read once, in order."""

    def read(self, size: int) -> bytes:
        """About ``size`` bytes (a decompressor may give more); empty at the end, and only there."""


@dataclass(frozen=True)
class HttpRequest:
    """The head of a request. Header names are in lower case; values of equal names are joined with a comma."""

    method: str
    target: str
    version: str
    headers: dict[str, str]
    body: ByteSource

    @property
    def has_body(self) -> bool:
        """Whether the head announces a body."""
        return "content-length" in self.headers or "transfer-encoding" in self.headers


class HttpConnection:
    """One client's connection: its requests one after the other.

    Args:
        sock: The connected socket.
    """

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.protocol = _new_protocol()
        self._pending = b""

    def next_request(self) -> HttpRequest | None:
        """Read the head of the next request.

        Returns:
            ``None`` when the client has closed the connection, or sent nothing for :data:`IDLE_S`.

        Raises:
            HttpProtocolError: It is not HTTP, too long, or not complete in time.
        """
        event = self._read_head()
        if not isinstance(event, h11.Request):
            return None
        headers: dict[str, str] = {}
        for raw_name, raw_value in event.headers:
            name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        version = f"HTTP/{event.http_version.decode()}"
        return HttpRequest(event.method.decode(), event.target.decode("latin-1"), version, headers, RequestBody(self))

    def _read_head(self) -> object:
        head = self._receive_head()
        if not head:
            return None
        self.protocol.receive_data(_complete_head(head))
        deadline = time.monotonic() + RECEIVE_S
        while (event := self.next_event()) is h11.NEED_DATA:
            self.receive(deadline)
        return event

    def _receive_head(self) -> bytes:
        """Receive to the end of a head, and perhaps beyond; empty when the client has gone or stays silent."""
        head, self._pending = self._pending.lstrip(b"\r\n"), b""
        deadline = time.monotonic() + (RECEIVE_S if head else IDLE_S)
        with contextlib.suppress(TimeoutError):
            # What does not begin with a letter (TLS), or is too long, is h11's to refuse.
            while len(head) < HEAD_MAX_BYTES and (not head or (head[:1].isalpha() and not _HEAD_END.search(head))):
                data = self._receive(deadline)
                if not data:
                    break
                deadline = deadline if head else time.monotonic() + RECEIVE_S
                head = head + data if head else data.lstrip(b"\r\n")
        return head

    def next_event(self) -> type[h11.NEED_DATA | h11.PAUSED] | h11.Event:
        """The next event among the bytes received so far.

        Raises:
            HttpProtocolError: They are not HTTP.
        """
        try:
            return self.protocol.next_event()
        except h11.RemoteProtocolError as exc:
            raise HttpProtocolError(exc.error_status_hint, str(exc)) from None

    def receive(self, deadline: float) -> bool:
        """Wait for further bytes and hand them to h11; ``False`` when the client has closed its side.

        Raises:
            HttpProtocolError: None came in time.
        """
        try:
            data = self._receive(deadline)
        except TimeoutError:
            raise HttpProtocolError(408, "the rest of the request did not come in time") from None
        self.protocol.receive_data(data)
        return bool(data)

    def _receive(self, deadline: float) -> bytes:
        self.sock.settimeout(max(deadline - time.monotonic(), 0.001))
        return self.sock.recv(_RECEIVE_BYTES)

    def send(self, event: h11.Event) -> None:
        """Send an event."""
        self.sock.settimeout(SEND_S)
        pieces = self.protocol.send_with_data_passthrough(event) or []
        if sum(map(len, pieces)) < 1 << 16:
            pieces = [b"".join(pieces)]
        for piece in pieces:
            self.sock.sendall(piece)

    def refuse(self, error: HttpProtocolError) -> None:
        """Answer what is not HTTP, where nothing has been answered yet."""
        if self.protocol.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            HttpResponse(self, None, closes=True).send_whole(error.status, f"{error}\n".encode())

    def may_continue(self) -> bool:
        """Read away the rest of the request; ``False`` when the connection has to be closed."""
        received = 0
        if self.protocol.they_are_waiting_for_100_continue or self.protocol.our_state is not h11.DONE:
            return False
        while self.protocol.their_state is h11.SEND_BODY and received < DRAIN_MAX_BYTES:
            event = self.next_event()
            if event is h11.NEED_DATA:
                self.receive(time.monotonic() + RECEIVE_S)
            elif isinstance(event, h11.Data):
                received += len(event.data)
        if self.protocol.their_state is not h11.DONE:
            return False
        self._pending = bytes(self.protocol.trailing_data[0])
        self.protocol = _new_protocol()
        return True

    def linger(self) -> None:
        """Half-close and receive for a moment: a reset would take the last answer away from a client that still sends."""
        received, deadline = 0, time.monotonic() + _LINGER_S
        self.sock.shutdown(socket.SHUT_WR)
        while received < _LINGER_MAX_BYTES and time.monotonic() < deadline and (data := self._receive(deadline)):
            received += len(data)


def _new_protocol() -> h11.Connection:
    return h11.Connection(h11.SERVER, max_incomplete_event_size=HEAD_MAX_BYTES)


def _complete_head(head: bytes) -> bytes:
    """Make up for what a server takes and h11 refuses.

    `curl` sends a URL as it was typed, in UTF-8, where h11 wants it percent-encoded; programs that write HTTP by hand leave out ``Host``.
    """
    line, newline, rest = head.partition(b"\n")
    if not line.isascii():
        line = quote_from_bytes(line, safe=bytes(range(0x80))).encode()
    end = _HEAD_END.search(head)
    if end is not None and not _HOST.search(head, 0, end.end()):
        newline += b"Host: localhost\r\n"
    return line + newline + rest


class RequestBody:
    """The body of the request under way.

    Args:
        connection: Its connection.
    """

    def __init__(self, connection: HttpConnection) -> None:
        self._connection = connection
        self._rest = b""
        self._ended = False

    def read(self, size: int) -> bytes:
        """Read some bytes; empty at the end.

        Raises:
            ClientDisconnectedError: The connection ended inside the body.
            HttpProtocolError: The body is not framed as its head says, or nothing of it came for :data:`RECEIVE_S`.
        """
        data = self._rest or self._next_data()
        self._rest = data[size:]
        return data[:size]

    def _next_data(self) -> bytes:
        connection = self._connection
        if connection.protocol.they_are_waiting_for_100_continue:
            connection.send(h11.InformationalResponse(status_code=100, headers=[], reason=b"Continue"))
        while not self._ended:
            event = connection.next_event()
            if isinstance(event, h11.Data):
                return bytes(event.data)
            if event is not h11.NEED_DATA:
                self._ended = True
            elif not connection.receive(time.monotonic() + RECEIVE_S):
                raise ClientDisconnectedError("the connection ended inside the request's body")
        return b""


@dataclass
class HttpResponse:
    """The answer to one request. The head goes out with the first byte, so that an early failure still has its own status.

    Args:
        connection: The connection.
        request: The request; ``None`` when its head could not be read.
    """

    connection: HttpConnection
    request: HttpRequest | None
    headers: dict[str, str] = field(default_factory=dict)
    started: bool = False
    closes: bool = False

    def send_whole(self, status: int, body: bytes) -> None:
        """Send a complete answer."""
        # An answer without a body (204) has no length either.
        length = {} if status == HTTPStatus.NO_CONTENT else {"Content-Length": str(len(body))}
        self._send_head(status, length)
        self.send(body)
        self.end()

    def begin(self, status: int) -> None:
        """Send the head of an answer whose length is not known yet."""
        self._send_head(status, {})

    def send(self, data: bytes) -> None:
        """Send a piece of the body; the answer to HEAD has none."""
        if data and not self._is_head:
            self.connection.send(h11.Data(data=data))

    def end(self) -> None:
        """Finish the answer."""
        self.connection.send(h11.EndOfMessage())

    def abort(self) -> None:
        """Leave a body unfinished: the client sees that it is not whole."""
        self.closes = True

    @property
    def _is_head(self) -> bool:
        return self.request is not None and self.request.method == "HEAD"

    def _send_head(self, status: int, extra: dict[str, str]) -> None:
        self.started = True
        fields = {"Date": formatdate(usegmt=True), "Content-Type": PLAIN_TEXT, **self.headers, **extra}
        if self.closes:
            fields["Connection"] = "close"
        else:
            fields |= {"Connection": "keep-alive", "Keep-Alive": f"timeout={IDLE_S}"}
        headers = [(name.encode("latin-1"), _field_value(value)) for name, value in fields.items()]
        reason = HTTPStatus(status).phrase.encode()
        self.connection.send(h11.Response(status_code=status, reason=reason, headers=headers))


def _field_value(text: str) -> bytes:
    """A header's value in which nothing can end the header."""
    raw = text.encode("utf-8", "surrogateescape")
    return bytes(byte if byte >= 0x20 and byte != 0x7F else ord("?") for byte in raw).strip()
