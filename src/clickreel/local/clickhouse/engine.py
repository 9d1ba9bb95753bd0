"""The ClickHouse engine over one data folder: connections, and the statements that run on them.

Measured with chDB 4.4.0: any number of connections may be open on one folder in one process; statements on different connections run
side by side, statements on one connection one after the other. Opening one costs 0.2 ms. So a request has a connection of its own,
and what a request sets (database, settings, parameters) dies with it; a session (``session_id``) is a connection that is kept.
"""

from __future__ import annotations

import fcntl
import logging
import os
import threading
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from clickreel.errors import ClickreelError, MissingError
from clickreel.local.clickhouse.database_errors import DatabaseError, ErrorCode, database_error
from clickreel.local.clickhouse.file_confinement import confine_files
from clickreel.local.clickhouse.statement_parts import quote_string

LOG = logging.getLogger(__name__)
# The engine gives every statement an id of its own and takes none. A setting travels with a statement into system.processes, so a
# connection's statement is found there by a setting: this one is read by the PromQL dialect alone, which HTTP clients do not speak.
_MARKER_SETTING = "promql_database"
# A reader's statement ends by itself and leaves memory for ingest: it is a person, or a page, that looks.
_READER_LIMITS = "max_execution_time=60&max_memory_usage=1000000000&max_result_rows=1000000&max_result_bytes=500000000"


@dataclass(frozen=True)
class QueryStats:
    """What a statement read and wrote."""

    read_rows: int = 0
    read_bytes: int = 0
    written_rows: int = 0
    written_bytes: int = 0
    result_rows: int = 0
    result_bytes: int = 0


@dataclass
class RunningQuery:
    """A statement that is under way."""

    query_id: str
    mark: str
    cancelled: bool = False

    def check(self) -> None:
        """Raise when somebody has killed it."""
        if self.cancelled:
            raise database_error(ErrorCode.QUERY_WAS_CANCELLED, "Query was cancelled")


class ClickHouseEngine:
    """The engine over a folder that no other process uses.

    Args:
        path: The data folder; made if it is absent.
        memory_bytes: What all statements together may take.

    Raises:
        ClickreelError: Another process serves the folder, or the engine does not start on it.
    """

    def __init__(self, path: Path, memory_bytes: int) -> None:
        self.path = path
        self._lock = _lock(path)
        if not confine_files(path):
            LOG.warning(
                "this system has no Landlock: file() of user default reads and writes whatever this process may"
            )
        import chdb

        # The native module has what a front needs (classification, pushed inserts) without the wrappers' conversions.
        native: Any = chdb._chdb  # noqa: SLF001
        # The engine's handlers would print a trace and go on; ours end the process in order.
        native.set_signal_handlers_enabled(0)
        self._open = native.connect
        try:
            self._root = self._open(f"{path}?max_server_memory_usage={memory_bytes}")
        except RuntimeError as exc:
            raise ClickreelError(
                f"the ClickHouse engine does not start on {path}: {exc}", hint=f"look into {path}, or move it away"
            ) from exc
        self._running: dict[str, RunningQuery] = {}
        self._guard = threading.Lock()
        self.version, self.timezone, self.display_name = self._evaluate("version()", "timezone()", "hostName()")

    def _evaluate(self, *expressions: str) -> list[str]:
        row: bytes = self._root.query(f"SELECT {', '.join(expressions)}", "TSV").bytes()
        return row.decode().rstrip("\n").split("\t")

    def connection(self, *, readonly: bool = False) -> EngineConnection:
        """Open a connection.

        Args:
            readonly: Whether it may neither write nor change settings, ever.
        """
        # Two of the engine's defaults differ from a server's: without `implicit_select` a typing error is not taken for an
        # expression; `async_insert` is a server's default too, but needs a queue that an insert here must not wait in.
        mark = uuid.uuid4().hex
        limits = f"&readonly=1&{_READER_LIMITS}" if readonly else ""
        raw = self._open(f"{self.path}?implicit_select=0&async_insert=0&{_MARKER_SETTING}={mark}{limits}")
        return EngineConnection(raw, mark)

    @contextmanager
    def running(self, query_id: str, connection: EngineConnection) -> Iterator[RunningQuery]:
        """Enter a statement into the list of those under way.

        Raises:
            DatabaseError: A statement with this id is under way.
        """
        entry = RunningQuery(query_id, connection.mark)
        with self._guard:
            if query_id in self._running:
                raise database_error(
                    ErrorCode.QUERY_WITH_SAME_ID_IS_ALREADY_RUNNING, f"Query with id = {query_id} is already running"
                )
            self._running[query_id] = entry
        try:
            yield entry
        finally:
            with self._guard:
                del self._running[query_id]

    def count_running(self) -> int:
        """How many statements are under way."""
        with self._guard:
            return len(self._running)

    def kill(self, query_id: str) -> None:
        """Stop a statement by its caller's id; nothing happens when there is none."""
        with self._guard:
            entry = self._running.get(query_id)
            if entry is None:
                return
            entry.cancelled = True
        connection = self.connection()
        try:
            connection.run(f"KILL QUERY WHERE Settings['{_MARKER_SETTING}'] = '{entry.mark}' ASYNC")
        finally:
            connection.close()

    def kill_all(self) -> None:
        """Stop everything that is under way."""
        with self._guard:
            ids = list(self._running)
        for query_id in ids:
            self.kill(query_id)

    def mark_killed(self, query_ids: Iterable[str] = ()) -> None:
        """Take over what KILL statements have marked: an INSERT that waits for its client's data does not see it by itself.

        Args:
            query_ids: Callers' ids that are killed in any case; by default those that the engine has marked.
        """
        named = set(query_ids) or {query_id for query_id, (_, killed) in self._processes().items() if killed}
        with self._guard:
            for query_id in named & set(self._running):
                self._running[query_id].cancelled = True

    def engine_ids(self) -> dict[str, str]:
        """The engine's own id of each statement under way, by its caller's id."""
        return {query_id: engine_id for query_id, (engine_id, _) in self._processes().items()}

    def _processes(self) -> dict[str, tuple[str, bool]]:
        """By caller's id: the engine's id, and whether it is marked as killed."""
        connection = self.connection()
        try:
            rows = connection.run(
                f"SELECT Settings['{_MARKER_SETTING}'], query_id, is_cancelled FROM system.processes"
            )[0]
        finally:
            connection.close()
        by_mark = {
            mark: (own, killed == "1")
            for mark, own, killed in (line.split("\t") for line in rows.decode().splitlines())
        }
        with self._guard:
            return {query_id: by_mark[entry.mark] for query_id, entry in self._running.items() if entry.mark in by_mark}

    def close(self) -> None:
        """Close the folder. No statement may be under way."""
        self._root.close()
        self._lock.close()


class EngineConnection:
    """One connection of the engine; used by one thread at a time.

    Args:
        raw: chDB's connection.
        mark: By which its statement is found among all that are under way.
    """

    def __init__(self, raw: Any, mark: str) -> None:
        self.raw = raw
        self.mark = mark

    def set(self, values: Mapping[str, str]) -> None:
        """Change settings (and parameters, ``param_x``) of this connection.

        Raises:
            DatabaseError: A setting is unknown, its value is wrong, or it may not be changed.
        """
        if values:
            self.run("SET " + ", ".join(f"{name} = {quote_string(value)}" for name, value in values.items()))

    def reset(self, names: list[str]) -> None:
        """Put settings back to their defaults."""
        if names:
            self.run("SET " + ", ".join(f"{name} = DEFAULT" for name in names))

    def classify(self, sql: bytes) -> tuple[bool, bool, int]:
        """What a statement is, by the engine's parser.

        Returns:
            Whether it only reads; whether it was understood; how many statements it is.
        """
        answer = self.raw.classify_query(sql)
        kind = answer["query_class"].name
        return kind == "READ_ONLY", kind != "UNKNOWN", int(answer["statement_count"])

    def run(self, sql: str | bytes, output: str = "TabSeparated") -> tuple[bytes, QueryStats]:
        """Run a statement to its end and return its whole answer.

        Raises:
            DatabaseError: It failed.
        """
        with translate_errors():
            text = sql if isinstance(sql, bytes) else sql.encode("utf-8", "surrogateescape")
            result = self.raw.query(text, output)
        return result.bytes(), query_stats(result)

    def close(self) -> None:
        """Close it; temporary tables go with it."""
        self.raw.close()


@contextmanager
def translate_errors() -> Iterator[None]:
    """Turn the engine's exceptions into ours."""
    try:
        yield
    except RuntimeError as exc:
        raise DatabaseError(str(exc)) from exc
    except UnicodeDecodeError as exc:
        # The engine's message quotes the statement, and the statement is not UTF-8.
        raise DatabaseError(exc.object.decode("utf-8", "backslashreplace")) from exc


def query_stats(result: Any) -> QueryStats:
    """The stats of a finished statement."""
    return QueryStats(
        read_rows=result.storage_rows_read(),
        read_bytes=result.storage_bytes_read(),
        written_rows=result.rows_written(),
        written_bytes=result.bytes_written(),
        result_rows=result.rows_read(),
        result_bytes=result.bytes_read(),
    )


def _lock(path: Path) -> IO[str]:
    """Take the folder. The lock goes with the process, however it ends."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        # Append, so that a refused process does not wipe the holder's number.
        file = (path / "clickreel.lock").open("a+", encoding="utf-8")
    except OSError as exc:
        raise MissingError(
            f"{path} cannot be used as a data folder: {exc.strerror}", hint="name another --data"
        ) from exc
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        holder = file.read().strip() or "unknown"
        file.close()
        raise ClickreelError(
            f"another process (pid {holder}) serves ClickHouse from {path}",
            hint="clickreel status, or name another --data",
        ) from None
    file.truncate(0)
    file.write(f"{os.getpid()}\n")
    file.flush()
    return file
