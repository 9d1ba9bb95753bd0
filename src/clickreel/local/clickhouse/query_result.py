"""The result of a reading statement as a stream of bytes in any format, in bounded memory.

The engine writes its result into a pipe (``INTO OUTFILE '/dev/fd/N'``), with its own writer: so every format that the engine knows
comes out as a server sends it, headers and footers once, and a slow reader holds the engine back. chDB's streaming API would not do: it
hands out each chunk as a document of its own, so that only formats without a frame could be joined (seen with JSON and Parquet).
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import socket
import threading

from clickreel.local.clickhouse.database_errors import DatabaseError
from clickreel.local.clickhouse.engine import EngineConnection, QueryStats
from clickreel.local.clickhouse.statement_parts import PlainStatement

PIPE_BYTES = 1 << 20
_F_SETPIPE_SZ = 1031  # Linux only; elsewhere a pipe keeps its 64 KiB


class QueryResult:
    """A reading statement under way.

    Args:
        connection: Its connection; nobody else may use it until :meth:`read` came to an end.
        sql: The statement's text.
        parsed: Its seams.
        output: The format of the result.
        watched: The client's socket: when it ends, :attr:`gone` becomes true and reading stops.
    """

    def __init__(
        self,
        connection: EngineConnection,
        sql: bytes,
        parsed: PlainStatement,
        output: str,
        watched: socket.socket | None = None,
    ) -> None:
        self._connection = connection
        self._reader, self._writer = os.pipe()
        with contextlib.suppress(OSError):
            fcntl.fcntl(self._writer, _F_SETPIPE_SZ, PIPE_BYTES)
        redirection = f" INTO OUTFILE '/dev/fd/{self._writer}' TRUNCATE FORMAT {output} ".encode()
        self._sql = sql[: parsed.cut] + redirection + sql[parsed.resume : parsed.end]
        self._watched = watched
        self.gone = False
        self.error: DatabaseError | None = None
        self.stats: QueryStats | None = None
        self._thread = threading.Thread(target=self._run, name="statement", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            _, self.stats = self._connection.run(self._sql)
        except DatabaseError as exc:
            self.error = exc
        finally:
            os.close(self._writer)

    def read(self, size: int) -> bytes:
        """Read some bytes; empty at the end, when :attr:`error` or :attr:`stats` is set, or the client has gone."""
        while self._watched is not None:
            poll = select.poll()  # not select(): it knows no descriptor above 1023
            poll.register(self._reader, select.POLLIN)
            poll.register(self._watched, select.POLLIN)
            if any(descriptor == self._reader for descriptor, _ in poll.poll()):
                break
            if _is_closed(self._watched):
                self.gone = True
                return b""
            self._watched = None  # the client has sent its next request already: it is there
        data = os.read(self._reader, size)
        if not data:
            self._thread.join()
        return data

    def close(self) -> None:
        """End it. A statement that still writes fails at its next byte."""
        if self._reader >= 0:
            os.close(self._reader)
            self._reader = -1
        self._thread.join()


def _is_closed(sock: socket.socket) -> bool:
    try:
        return not sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return False
    except OSError:
        return True
