"""Sessions: connections that are kept between requests, with their temporary tables, settings and database."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field

from clickreel.local.clickhouse.database_errors import ErrorCode, database_error
from clickreel.local.clickhouse.engine import ClickHouseEngine, EngineConnection

DEFAULT_TIMEOUT_S = 60
MAX_TIMEOUT_S = 3600  # a server's max_session_timeout


@dataclass
class QuerySession:
    """A kept connection.

    Attributes:
        connection: Its connection.
        database: The session's own database, which a request's ``database`` parameter covers for that request only.
        statements: The SET statements that ran in it, so that they can be put back after a request's own settings.
    """

    connection: EngineConnection
    timeout_s: float
    database: str = "default"
    statements: list[bytes] = field(default_factory=list)
    expires: float = 0.0
    busy: bool = False

    def remember(self, verb: str, text: bytes) -> None:
        """Note what a statement that has run changes for the session's later requests."""
        if verb == "USE":
            self.database = self.connection.run("SELECT currentDatabase()", "RawBLOB")[0].decode()
        elif verb == "SET":
            # The last of equal ones counts, so that a client that sets the same thing each time does not fill the memory.
            self.statements = [old for old in self.statements if old != text] + [text]


class QuerySessions:
    """All sessions, by user and id. A session is used by one request at a time and dropped when it was idle for its timeout."""

    def __init__(self, engine: ClickHouseEngine) -> None:
        self._engine = engine
        self._by_name: dict[tuple[str, str], QuerySession] = {}
        self._guard = threading.Lock()

    def acquire(self, user: str, name: str, *, timeout_s: float, must_exist: bool, readonly: bool) -> QuerySession:
        """Take a session for one request.

        Raises:
            DatabaseError: It is in use, or absent where it must exist.
        """
        with self._guard:
            expired = self._expired()
            session = self._by_name.get((user, name))
            if session is None:
                if must_exist:
                    raise database_error(ErrorCode.SESSION_NOT_FOUND, f"Session {name} not found")
                session = QuerySession(self._engine.connection(readonly=readonly), timeout_s)
                self._by_name[user, name] = session
            elif session.busy:
                raise database_error(ErrorCode.SESSION_IS_LOCKED, f"Session {name} is locked by a concurrent client")
            session.busy = True
            session.timeout_s = timeout_s
        for old in expired:
            old.connection.close()
        return session

    def release(self, user: str, name: str, *, drop: bool = False) -> None:
        """Return a session after a request.

        Args:
            user: Whose it is.
            name: Its id.
            drop: Whether it ends now (``close_session=1``, or its connection cannot be trusted any more).
        """
        with self._guard:
            session = self._by_name[user, name]
            session.busy = False
            session.expires = time.monotonic() + session.timeout_s
            if drop:
                del self._by_name[user, name]
        if drop:
            session.connection.close()

    def _expired(self) -> list[QuerySession]:
        now = time.monotonic()
        names = [name for name, session in self._by_name.items() if not session.busy and session.expires < now]
        return [self._by_name.pop(name) for name in names]

    def sweep(self) -> None:
        """Drop the sessions whose time is over."""
        with self._guard:
            expired = self._expired()
        for session in expired:
            session.connection.close()

    def close(self) -> None:
        """Drop all sessions. None may be in use."""
        with self._guard:
            sessions = list(self._by_name.values())
            self._by_name.clear()
        for session in sessions:
            session.connection.close()
