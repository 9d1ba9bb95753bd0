"""INSERTs whose data arrives in pieces: pushed, then committed or cancelled."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable
from typing import Any, Protocol

from clickreel.local.clickhouse.database_errors import DatabaseError
from clickreel.local.clickhouse.engine import EngineConnection, QueryStats, query_stats, translate_errors
from clickreel.local.clickhouse.statement_parts import InsertStatement, quote_string


class InsertStream(Protocol):
    """An INSERT under way.

    Rows become visible with :meth:`commit` as long as they fit one block (``min_insert_block_size_rows``, about a million rows, or the
    caller's own block in Native and Arrow, whatever its size); a larger insert becomes visible block by block, as in a server.
    """

    def push(self, data: bytes) -> None:
        """Push a piece of data, cut anywhere. Blocks while the engine is behind."""

    def commit(self) -> QueryStats:
        """Say that the data is complete; returns when it is stored."""

    def cancel(self) -> None:
        """Drop what is not stored yet."""


def begin_insert(connection: EngineConnection, parsed: InsertStatement, kill: Callable[[], None]) -> InsertStream:
    """Begin an INSERT.

    Args:
        connection: Its connection.
        parsed: Its seams.
        kill: Stops the connection's statement.

    Raises:
        DatabaseError: The engine refuses it.
    """
    if parsed.source is not None:
        return _SelectingInsert(connection, parsed, kill)
    with translate_errors():
        return _PushedInsert(connection.raw, connection.raw.send_insert(parsed.head, parsed.format))


class _PushedInsert:
    """Through the engine's own pushing interface."""

    def __init__(self, raw: Any, handle: Any) -> None:
        self._raw = raw
        self._handle = handle

    def push(self, data: bytes) -> None:
        with translate_errors():
            self._raw.insert_append(self._handle, data)

    def commit(self) -> QueryStats:
        with translate_errors():
            result = self._raw.insert_done(self._handle)
        rows, size = result.rows_written(), result.bytes_written()
        return QueryStats(read_rows=rows, read_bytes=size, written_rows=rows, written_bytes=size)

    def cancel(self) -> None:
        with translate_errors():
            self._raw.insert_cancel(self._handle)


class _SelectingInsert:
    """``INSERT ... SELECT ... FROM input('structure')``, which the pushing interface refuses.

    The data goes through a pipe that the statement reads as a file. Formats that are read from their end (Parquet, Arrow) cannot
    take this way; the engine says so.
    """

    def __init__(self, connection: EngineConnection, parsed: InsertStatement, kill: Callable[[], None]) -> None:
        assert parsed.source is not None
        start, end, structure = parsed.source
        self._kill = kill
        self._reader, self._writer = os.pipe()
        file = f"file('/dev/fd/{self._reader}', {quote_string(parsed.format)}, {structure.decode('utf-8', 'surrogateescape')}, 'none')"
        self._sql = parsed.head[:start] + file.encode("utf-8", "surrogateescape") + parsed.head[end:]
        self._connection = connection
        self._stats = QueryStats()
        self._error: DatabaseError | None = None
        self._thread = threading.Thread(target=self._run, name="insert", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            with translate_errors():
                self._stats = query_stats(self._connection.raw.query(self._sql, "TabSeparated"))
        except DatabaseError as exc:
            self._error = exc
        finally:
            os.close(self._reader)

    def push(self, data: bytes) -> None:
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._writer, view) :]
        except BrokenPipeError:
            self._end()
            if self._error is not None:
                raise self._error from None

    def commit(self) -> QueryStats:
        self._end()
        if self._error is not None:
            raise self._error
        return self._stats

    def cancel(self) -> None:
        # Killed first: a closed pipe would look like the end of the data.
        self._kill()
        self._end()

    def _end(self) -> None:
        if self._writer >= 0:
            with contextlib.suppress(OSError):
                os.close(self._writer)
            self._writer = -1
        self._thread.join()
