"""The client of ClickHouse: clickhouse-connect, its errors translated once."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import clickhouse_connect
import orjson
from clickhouse_connect.driver.client import Client as Connection
from clickhouse_connect.driver.exceptions import ClickHouseError, DatabaseError, OperationalError

from clickreel.errors import ClickreelError, UnreachableError, UsageError
from clickreel.profile import Profile

# It logs each failure with a trace before it raises it; what is raised is ours to tell.
logging.getLogger("clickhouse_connect").addHandler(logging.NullHandler())

_LOOPBACK = {"127.0.0.1", "localhost", "::1"}


class RefusedError(ClickreelError):
    """ClickHouse understood the statement and refused it; ``code`` is its error code (0: not told)."""

    def __init__(self, message: str, *, hint: str = "", code: int = 0) -> None:
        super().__init__(message, hint=hint)
        self.code = code


class Client:
    """A connection pool to one database of one ClickHouse; safe for use by several threads.

    Args:
        connection: The client of clickhouse-connect.
        address: What messages call the server.
    """

    def __init__(self, connection: Connection, address: str) -> None:
        self.connection = connection
        self.address = address
        self.database = connection.database or "default"

    def rows(
        self, sql: str, parameters: Mapping[str, Any] | None = None, *, projection: str = "", **settings: Any
    ) -> list[tuple[Any, ...]]:
        """The rows of a query, all in memory.

        Args:
            sql: The query.
            parameters: Values of its parameters.
            projection: The only projection that it may need. ClickHouse weighs each one there is, unless it is told; a user that may
                not change settings waits for that.
            settings: Settings of ClickHouse for this query.
        """
        preferred = "preferred_optimize_projection_name"
        known = self.connection.server_settings.get(preferred)
        if projection and known and not known.readonly:
            settings[preferred] = projection
        with self._translated():
            found = self.connection.query(sql, parameters=dict(parameters or {}), settings=settings)
            return list(map(tuple, found.result_rows))

    def row_blocks(self, sql: str, **settings: Any) -> Iterator[tuple[tuple[str, ...], list[tuple[Any, ...]]]]:
        """The rows of a query as they come, a block at a time, each with the columns' names; first an empty block.

        Who stops iterating closes the connection, and ClickHouse ends the query.
        """
        with self._translated(), self.connection.query_row_block_stream(sql, settings=settings) as stream:
            names = tuple(stream.source.column_names)
            yield names, []
            for block in stream:
                yield names, list(map(tuple, block))

    def columns(self, sql: str, parameters: Mapping[str, Any] | None = None, **settings: Any) -> Any:
        """The answer of a query as an Arrow table."""
        with self._translated():
            return self.connection.query_arrow(sql, parameters=dict(parameters or {}), settings=settings)

    def command(self, sql: str, parameters: Mapping[str, Any] | None = None, **settings: Any) -> Any:
        """Run a statement that returns no rows; a single value comes back as it is."""
        with self._translated():
            return self.connection.command(sql, parameters=dict(parameters or {}), settings=settings)

    def insert(self, table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Insert a few rows given as Python values; not for the stream, which has blocks (:meth:`insert_block`).

        clickhouse-connect's own insert of Python values loads pandas, where it is installed: a second that every start would pay.
        """
        data = b"\n".join(orjson.dumps(dict(zip(columns, row, strict=True))) for row in rows)
        settings = {"async_insert": 0, "date_time_input_format": "best_effort"}
        with self._translated():
            self.connection.raw_insert(
                table, columns, _pieces(data, lambda: None), settings=settings, fmt="JSONEachRow"
            )

    def insert_block(
        self,
        table: str,
        columns: Sequence[str],
        block: bytes,
        settings: Mapping[str, Any],
        *,
        halfway: Callable[[], None] = lambda: None,
    ) -> int:
        """Insert one block in the format Native, once.

        clickhouse-connect sends an INSERT again when the connection closes before the answer, although the first one may have been
        stored: exactly what must not happen here. It does so only with a body that it holds in memory, so the body is a stream.

        Args:
            table: The table.
            columns: The block's columns.
            block: Its bytes.
            settings: ClickHouse's settings for the insert.
            halfway: Called when half of the bytes have been handed over.

        Returns:
            How many rows ClickHouse says were written, those that views wrote included.
        """
        with self._translated():
            summary = self.connection.raw_insert(
                table, columns, _pieces(block, halfway), settings=dict(settings), fmt="Native"
            )
        return int(summary.summary.get("written_rows", 0))

    def close(self) -> None:
        """Close the pool."""
        self.connection.close()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except OperationalError as exc:
            raise UnreachableError(
                f"ClickHouse at {self.address} does not answer", hint="clickreel status, or check clickhouse.url"
            ) from exc
        except DatabaseError as exc:
            code = int(getattr(exc, "code", 0) or 0)
            raise RefusedError(
                f"ClickHouse refuses: {_first_line(exc)}",
                hint="clickreel logs clickhouse",
                code=code or _code(str(exc)),
            ) from exc
        except ClickHouseError as exc:
            raise ClickreelError(f"ClickHouse at {self.address}: {_first_line(exc)}", hint="clickreel doctor") from exc


def _pieces(data: bytes, halfway: Callable[[], None]) -> Generator[bytes, None, None]:
    """The bytes in pieces of a megabyte."""
    middle = len(data) // 2
    for piece in (data[:middle], data[middle:]):
        for at in range(0, len(piece), 1 << 20):
            yield piece[at : at + (1 << 20)]
        if piece is not data and middle:
            halfway()
            middle = 0


def connect(profile: Profile, *, create: bool = False) -> Client:
    """Connect to the profile's ClickHouse.

    Args:
        profile: Where it is and how to get in.
        create: Whether to create the profile's database when it is absent.

    Raises:
        UsageError: The profile names no ClickHouse.
        UnreachableError: It does not answer.
        RefusedError: It refuses the credentials, or has no such database.
    """
    if not profile.clickhouse_url:
        raise UsageError(
            "no ClickHouse is known",
            hint=f"add clickhouse.url=... to {profile.source}" if profile.source else "clickreel up --detach",
        )
    url = urlsplit(profile.clickhouse_url)
    local = url.hostname in _LOOPBACK
    database = profile.clickhouse_database or "default"
    if create and database != "default":
        connect(_in_default(profile)).command(f"CREATE DATABASE IF NOT EXISTS `{database}`")
    try:
        connection = clickhouse_connect.get_client(
            host=url.hostname,
            port=url.port or (8443 if url.scheme == "https" else 8123),
            interface=url.scheme or "http",
            username=profile.clickhouse_user or "default",
            password=profile.clickhouse_password,
            database=database,
            # A session allows one statement at a time; ours run side by side and need no temporary tables.
            autogenerate_session_id=False,
            compress=not local,
            connect_timeout=5,
            send_receive_timeout=600,
        )
    except OperationalError as exc:
        raise UnreachableError(
            f"ClickHouse at {profile.clickhouse_url} does not answer", hint="clickreel status, or check clickhouse.url"
        ) from exc
    except ClickHouseError as exc:
        raise RefusedError(
            f"ClickHouse at {profile.clickhouse_url} refuses: {profile.mask(_first_line(exc))}",
            hint="check clickhouse.user, clickhouse.password and clickhouse.database",
            code=_code(str(exc)),
        ) from exc
    return Client(connection, profile.clickhouse_url)


def _in_default(profile: Profile) -> Profile:
    import dataclasses

    return dataclasses.replace(profile, clickhouse_database="default")


def _first_line(exc: Exception) -> str:
    return " ".join(str(exc).split())[:400]


def _code(text: str) -> int:
    import re

    found = re.search(r"[Cc]ode:? (\d+)", text)
    return int(found[1]) if found else 0
