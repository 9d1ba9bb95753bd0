"""A workspace: one session of a gateway with the catalog in it, where statements run and are stopped.

A query is a generator of batches. It never outlives its consumer: leaving the loop, for whatever reason, stops it and frees its slots.
"""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from clickreel.errors import ClickreelError, UnreachableError
from clickreel.flink import catalog, create_table, films_view
from clickreel.flink.flink_cluster import FlinkCluster, Vertex, find_cluster
from clickreel.flink.gateway_client import Column, Gateway, Page, SessionLostError, format_timestamp
from clickreel.flink.gateway_results import OperationResult, read_all, read_pages
from clickreel.flink.query_shape import QueryShape, read_plan
from clickreel.flink.settings import FlinkSettings
from clickreel.flink.sql_errors import FlinkError, SqlError, explain_trace
from clickreel.flink.statement_control import update_state
from clickreel.flink.statement_splitter import Statement
from clickreel.flink.statement_store import FAILED, FINISHED, LOST, STOPPED, StatementRecord, StatementStore
from clickreel.flink.suggest import suggest
from clickreel.profile import Profile
from clickreel.simulate.films import Catalogue
from clickreel.stream.cluster import Cluster as KafkaCluster

Row = tuple[str, list[Any]]

# Between two requests for the page that names the job of a query that is to be stopped.
_WAIT_S = 0.05
# How long a query that is stopped at once may take to be planned.
_STARTS_S = 10.0
# How often a query looks whether another process stopped it, and an insert is looked at while it starts.
_LOOK_S = 0.25
# How long an insert is watched before its command leaves it running.
_INSERT_WATCH_S = 15.0
_SETTLED_S = 1.0
# Words without which a query over topics can only add rows, never change or take back what it gave.
_CHANGING = frozenset(
    [
        "GROUP",
        "DISTINCT",
        "JOIN",
        "OVER",
        "UNION",
        "INTERSECT",
        "EXCEPT",
        "MINUS",
        "ORDER",
        "HAVING",
        "COUNT",
        "SUM",
        "MIN",
        "MAX",
        "AVG",
        "LISTAGG",
        "COLLECT",
        "IN",
        "EXISTS",
        "QUALIFY",
    ]
)


@dataclass(frozen=True)
class StatementResult:
    """What a statement that is no query gave.

    Attributes:
        columns: Its columns.
        rows: Its rows.
        started: The statement that runs on, where it started one (``INSERT INTO``).
    """

    columns: tuple[Column, ...]
    rows: tuple[list[Any], ...]
    started: StatementRecord | None = None


class Query:
    """A running query.

    Iterate over it for batches of ``(kind, cells)``; a batch is empty when nothing came for a moment, so that the consumer can look at
    the clock. Close it, or leave its ``with`` block, to stop it.
    """

    def __init__(self, workspace: Workspace, statement: Statement, entry: StatementRecord) -> None:
        self._workspace, self._gateway = workspace, workspace.gateway
        self.statement, self.entry = statement, entry
        self.columns: tuple[Column, ...] = ()
        self.rows = 0
        self.finished = False
        self._open = True

    def __enter__(self) -> Self:
        """The query itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop it."""
        self.close()

    def __iter__(self) -> Iterator[Sequence[Row]]:
        """Batches of rows, until the query ends or is closed.

        Raises:
            FlinkError: The query failed; the error carries its place in the source.
            SessionLostError: The gateway restarted meanwhile.
        """
        looked = time.monotonic()
        last: Page | None = None
        try:
            for page in read_pages(self._gateway, self.entry.session, self.entry.operation):
                last = page
                if page.ready:
                    self._began(page)
                self.rows += len(page.rows)
                yield self._readable(page.rows)
                if not self._open:
                    return
                if time.monotonic() - looked > _LOOK_S:
                    looked = time.monotonic()
                    self._stopped()
            self.finished = last is not None
        except (FlinkError, UnreachableError) as exc:
            raise self._failed(exc) from exc
        finally:
            self.close()

    def _began(self, page: Page) -> None:
        if page.columns and not self.columns:
            self.columns = page.columns
        if page.job and not self.entry.job:
            self.entry = dataclasses.replace(self.entry, job=page.job)
            self._workspace.statements.update(self.entry.name, job=page.job)

    def _readable(self, rows: Sequence[Row]) -> Sequence[Row]:
        """The rows with their timestamps written as the topic writes them."""
        instants = [(place, column.precision) for place, column in enumerate(self.columns) if column.is_instant]
        for _, cells in rows if instants else ():
            for place, precision in instants:
                if cells[place] is not None:
                    cells[place] = format_timestamp(cells[place], precision)
        return rows

    def _stopped(self) -> None:
        """Whether somebody else stopped it: a cancelled operation gives no error, only no more rows."""
        known = self._workspace.statements.get(self.entry.name)
        if known is not None and known.state == STOPPED:
            self._open = False
            with contextlib.suppress(UnreachableError):
                self._gateway.close_operation(self.entry.session, self.entry.operation)
            raise StoppedError(self.entry.name)

    def _failed(self, exc: ClickreelError) -> ClickreelError:
        self._open = False
        if isinstance(exc, UnreachableError) and not isinstance(exc, SessionLostError | FlinkError):
            exc = SessionLostError(
                f"the SQL gateway at {self._gateway.url} ended while {self.entry.name} ran",
                hint="run the statement again; the local gateway is then started anew",
            )
        with contextlib.suppress(UnreachableError):
            self._gateway.close_operation(self.entry.session, self.entry.operation)
        explained = self._workspace.explained(exc, self.statement)
        state = LOST if isinstance(exc, SessionLostError) else FAILED
        self._workspace.statements.end(self.entry.name, state, rows=self.rows, error=explained.message)
        return explained

    def offsets(self) -> dict[tuple[str, int], int]:
        """The next offset it will read, by topic and partition; empty where the cluster cannot be asked."""
        cluster = self._workspace.cluster()
        if cluster is not None and self.entry.job:
            with contextlib.suppress(UnreachableError):
                return cluster.offsets(self.entry.job)
        return {}

    def limits_are_full(self, limits: Sequence[int]) -> bool:
        """Whether the limits inside of the query have let in all that they let in, so that no further row can come.

        Args:
            limits: What each of them lets in, see :attr:`clickreel.flink.query_shape.QueryShape.limits`.
        """
        cluster = self._workspace.cluster()
        vertices: list[Vertex] = []
        if cluster is not None and self.entry.job:
            with contextlib.suppress(UnreachableError):
                vertices = cluster.vertices(self.entry.job)
        read = sorted(vertex.read for vertex in vertices if vertex.name.startswith("Limit"))
        return len(read) == len(limits) and all(got >= most for got, most in zip(read, sorted(limits), strict=True))

    def _wait_until_started(self) -> None:
        """Wait until it may be stopped, see :meth:`FlinkCluster.wait_until_started`; where rows came it runs."""
        cluster = None if self.rows or self.finished else self._workspace.cluster()
        if cluster is None:
            return
        with contextlib.suppress(UnreachableError, FlinkError):
            deadline = time.monotonic() + _STARTS_S
            while not self.entry.job and time.monotonic() < deadline:
                page = self._gateway.fetch(self.entry.session, self.entry.operation, 0)
                if page.ready:
                    self._began(page)
                    break
                time.sleep(_WAIT_S)
            if self.entry.job:
                cluster.wait_until_started(self.entry.job)

    def close(self) -> None:
        """Stop the query, free its slots and forget its results; a second time does nothing."""
        if not self._open:
            return
        self._open = False
        self._wait_until_started()
        self._workspace.statements.end(self.entry.name, FINISHED if self.finished else STOPPED, rows=self.rows)
        with contextlib.suppress(UnreachableError, FlinkError):
            self._gateway.close_operation(self.entry.session, self.entry.operation)


class StoppedError(ClickreelError):
    """The query was stopped by somebody else (``clickreel statement stop``)."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} was stopped", hint="clickreel statement list")


class Workspace:
    """A session of a gateway, with the profile's topics as tables.

    Args:
        gateway: The gateway.
        profile: Whose topics.
        settings: How they are read.
        statements: Where what runs is recorded.
        tables: The tables, the contract's own first; by default the profile's, see :func:`clickreel.flink.catalog.profile_tables`.
        catalogue: Gives the films when a statement asks for the view ``films``.
    """

    def __init__(
        self,
        gateway: Gateway,
        profile: Profile,
        settings: FlinkSettings,
        statements: StatementStore,
        *,
        tables: Sequence[catalog.TopicTable] | None = None,
        catalogue: Callable[[], Catalogue] | None = None,
    ) -> None:
        self.gateway, self.profile, self.settings, self.statements = gateway, profile, settings, statements
        statements.touch()
        self.left_out: dict[str, str] = {}
        self._hinted_views: dict[tuple[str, str], str] = {}
        known = catalog.profile_tables(profile, self.left_out.__setitem__) if tables is None else tables
        self.tables = {table.name: table for table in known}
        self.session = gateway.open_session(catalog.session_options(settings))
        self._films = catalogue
        self._cluster: FlinkCluster | None = None
        self._beat = time.monotonic()
        try:
            self._set_up(own=known[0].name if known else "")
        except BaseException as exc:
            self.close()
            if isinstance(exc, FlinkError):
                raise self.explained(exc, None) from exc
            raise

    def _set_up(self, own: str) -> None:
        """Make the catalog; a topic of somebody else that cannot be a table is left out, the contract's own cannot be."""
        for sql in catalog.catalog_statements():
            self._ask(sql)
        for table in tuple(self.tables.values()):
            try:
                for sql in catalog.table_statements(table, self.profile, self.settings):
                    self._ask(sql)
            except FlinkError as exc:
                if table.name == own:
                    raise
                del self.tables[table.name]
                self.left_out[table.name] = self.profile.mask(exc.message)

    def __enter__(self) -> Self:
        """The workspace itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """Close the session: what it still runs is stopped, except ``INSERT INTO`` statements."""
        with contextlib.suppress(UnreachableError):
            self.gateway.close_session(self.session)
        if self._cluster is not None:
            self._cluster.disconnect()

    def query(self, statement: Statement, *, name: str = "") -> Query:
        """Start a query.

        Args:
            statement: A statement whose ``is_query`` is true.
            name: A name for it in the list of statements.

        Raises:
            SqlError: The gateway refuses it.
        """
        self._bring_films(statement)
        statement = statement.replaced(self._hinted(statement))
        entry = self.statements.begin(
            statement.text, "query", name=name, gateway=self.gateway.url, session=self.session
        )
        return Query(self, statement, self._submitted(entry, statement))

    def execute(self, statement: Statement, *, name: str = "") -> StatementResult:
        """Run a statement that is no query to its answer; one that starts a job leaves it running and listed.

        Args:
            statement: The statement.
            name: A name for the job it may start.

        Raises:
            FlinkError: It failed.
        """
        self._bring_films(statement)
        places = [*writable_names(statement, self._views()), *self._hinted(statement)]
        statement = statement.replaced(sorted(places))
        request = create_table.parse_request(statement)
        if request is not None:
            return self._create(statement, request)
        words = [token.upper for token in statement.tokens]
        starts = words[0] in {"INSERT", "EXECUTE", "BEGIN"} or (words[:2] == ["CREATE", "TABLE"] and "SELECT" in words)
        if not starts:
            try:
                result = self._ask(statement.text)
            except FlinkError as exc:
                raise self.explained(exc, statement) from exc
            return StatementResult(result.columns, self._masked(result.rows))
        entry = self._submitted(
            self.statements.begin(statement.text, "insert", name=name, gateway=self.gateway.url, session=self.session),
            statement,
        )
        try:
            result = self._collected(entry.operation)
        except ClickreelError as exc:
            explained = self.explained(exc, statement)
            self.statements.end(entry.name, FAILED, error=explained.message)
            raise explained from exc
        columns, rows = result.columns, result.rows
        job = result.job or (str(rows[0][0]) if columns and columns[0].name == "job id" and rows else "")
        if not job:
            self.statements.end(entry.name, FINISHED)
            return StatementResult(columns, self._masked(rows))
        entry = self.statements.update(entry.name, job=job) or dataclasses.replace(entry, job=job)
        self._watch_insert(entry, statement)
        return StatementResult((), (), self.statements.get(entry.name) or entry)

    def _watch_insert(self, entry: StatementRecord, statement: Statement) -> None:
        """Wait until an insert runs and has read what its topics held when it began, or has ended; not for longer than a person waits.

        Raises:
            FlinkError: It failed.
        """
        cluster = self.cluster()
        if cluster is None:
            return
        behind = self._ends(statement)
        deadline = time.monotonic() + _INSERT_WATCH_S
        with contextlib.suppress(UnreachableError):
            while time.monotonic() < deadline:
                update_state(self.statements, entry, cluster.jobs(), cluster)
                seen = self.statements.get(entry.name)
                if seen is not None and seen.state == FAILED:
                    raise self.explained(explain_trace(cluster.failure(entry.job)), statement)
                if seen is None or not seen.is_running:
                    return
                if self._has_caught_up(cluster, entry.job, behind):
                    deadline = min(deadline, time.monotonic() + _SETTLED_S)  # a record may be read and not yet refused
                time.sleep(_LOOK_S)

    def _has_caught_up(self, cluster: FlinkCluster, job: str, ends: Mapping[tuple[str, int], int]) -> bool:
        """Whether a job runs and its sources have passed these offsets, or, where no topic is known, have read something."""
        if not cluster.is_running(job):
            return False
        if not ends:
            return self.settings.start_from == "latest" or any(v.read for v in cluster.vertices(job) if v.is_source)
        read = cluster.offsets(job)
        return all(read.get(partition, 0) >= end for partition, end in ends.items())

    def _ends(self, statement: Statement) -> dict[tuple[str, int], int]:
        """The present ends of the topics that a statement reads from their beginning, by topic and partition."""
        if self.settings.start_from == "latest":
            return {}
        kafka = KafkaCluster(self.profile)
        ends: dict[tuple[str, int], int] = {}
        try:
            for topic in self.named(statement):
                if topic in _targets(statement):
                    continue
                with contextlib.suppress(ClickreelError):
                    bounds = enumerate(kafka.bounds(topic))
                    ends |= {(topic, number): high for number, (low, high) in bounds if high > low}
        finally:
            kafka.close()
        return ends

    def _create(self, statement: Statement, request: create_table.TopicTableRequest) -> StatementResult:
        """``CREATE TABLE`` without a connector, see :mod:`clickreel.flink.create_table`; a refused one leaves no topic."""
        if request.is_optional and request.name in self.tables:
            return StatementResult((), ())
        name = catalog.quote_name(request.name)
        try:
            self._ask(create_table.complete_sql(request, self.profile))
        except FlinkError as exc:
            raise self.explained(exc, statement) from exc
        try:
            table = create_table.described_table(request, self._ask(f"DESCRIBE {name}").rows)
            self._ask(f"EXPLAIN SELECT * FROM {name}")  # only now Flink looks whether the options are good
            create_table.create_topic(table, request, self.profile)
        except BaseException as exc:
            self._ask(f"DROP TABLE {name}")
            raise (self.explained(exc, statement) if isinstance(exc, FlinkError) else exc) from exc
        self.tables[request.name] = table
        return StatementResult((), ())

    def _hinted(self, statement: Statement) -> list[tuple[int, int, str]]:
        """Where a view stands with a hint (``/*+ OPTIONS(...) */``), which Flink takes of tables alone, and the view that has it inside.

        Returns:
            First token, last token and the name to read instead, for each place.
        """
        found, tokens = [], statement.tokens
        views = self._views()
        for place, token in enumerate(tokens):
            name = tokens[place - 1].identifier if place else ""
            if token.kind != "hint" or name not in views:
                continue
            first = place - 1
            while first > 1 and tokens[first - 1].text == ".":
                first -= 2
            key = name, token.text
            if key not in self._hinted_views:
                view = f"{name} hinted {len(self._hinted_views) + 1}"
                try:
                    self._ask(catalog.accepted_view_sql(self.tables[name], self.settings, view, token.text))
                except FlinkError as exc:
                    raise self.explained(exc, None) from exc
                self._hinted_views[key] = catalog.qualified_name(view)
            found.append((first, place, self._hinted_views[key]))
        return found

    def _views(self) -> set[str]:
        return {name for name, table in self.tables.items() if table.accepted is not None}

    def _bring_films(self, statement: Statement) -> None:
        """Make the view ``films`` the first time that a statement names it."""
        if self._films is None or films_view.VIEW in self.tables or films_view.VIEW not in statement.names():
            return
        catalogue, self._films = self._films(), None
        with contextlib.suppress(SqlError):  # the person has a view of that name already
            self._ask(films_view.films_view_sql(catalogue))

    def shape(self, statement: Statement) -> QueryShape:
        """Whether a query's rows are final, and when there can be no more of them.

        Raises:
            FlinkError: The query is wrong.
        """
        self._bring_films(statement)
        words = {token.upper for token in statement.tokens}
        appended = {name for name, table in self.tables.items() if not table.primary_key}
        simple = not words & _CHANGING and _names_behind("FROM", statement) <= appended
        if simple and (statement.limit is not None or not statement.has_limit):
            return QueryShape(
                append_only=True, row_limit=statement.limit
            )  # known without asking: 0.1 s sooner to the first row
        statement = statement.replaced(self._hinted(statement))
        prefix = "EXPLAIN CHANGELOG_MODE "
        try:
            rows = self._ask(prefix + statement.text).rows
        except FlinkError as exc:
            raise self.explained(exc, statement, shift=len(prefix)) from exc
        return read_plan(str(rows[0][0]) if rows else "")

    def named(self, statement: Statement) -> list[str]:
        """The topics of the tables that a statement names."""
        names = statement.names()
        return [table.topic or table.name for table in self.tables.values() if table.name in names]

    def read_tables(self, statement: Statement) -> list[catalog.TopicTable]:
        """The tables that a statement may read: those it names, or all when it names none (it may read a view)."""
        names = statement.names()
        return [table for table in self.tables.values() if table.name in names] or list(self.tables.values())

    def keep(self) -> None:
        """Keep the session from expiring while somebody thinks at the prompt; cheap to call often."""
        if time.monotonic() - self._beat > 60:
            self._beat = time.monotonic()
            self.statements.touch()
            self.gateway.heartbeat(self.session)

    def cluster(self) -> FlinkCluster | None:
        """The cluster behind the gateway, where its address is known and answers."""
        if self._cluster is None:
            self._cluster = find_cluster(self.gateway, self.session)
        return self._cluster

    def explained(self, exc: ClickreelError, statement: Statement | None, *, shift: int = 0) -> ClickreelError:
        """The error with its place in the source instead of in the statement, secrets masked."""
        exc.message, exc.hint = self.profile.mask(exc.message), self.profile.mask(exc.hint)
        if isinstance(exc, SqlError) and statement is not None:
            if exc.line == 1:
                exc.column -= shift
            suggest(exc, statement, self.tables)
            if exc.line:
                exc.line, exc.column = statement.source_position(exc.line, exc.column)
        return exc

    def _submitted(self, entry: StatementRecord, statement: Statement) -> StatementRecord:
        try:
            operation = self.gateway.submit(self.session, statement.text)
        except ClickreelError as exc:
            explained = self.explained(exc, statement)
            self.statements.end(entry.name, FAILED, error=explained.message)
            raise explained from exc
        return self.statements.update(entry.name, operation=operation) or dataclasses.replace(
            entry, operation=operation
        )

    def _ask(self, sql: str) -> OperationResult:
        return self._collected(self.gateway.submit(self.session, sql))

    def _collected(self, operation: str) -> OperationResult:
        # What prepares a statement, the tables of a new session first of all, is no entry of the list, and takes long when cold.
        return read_all(self.gateway, self.session, operation, before_request=self.statements.touch)

    def _masked(self, rows: Sequence[list[Any]]) -> tuple[list[Any], ...]:
        """Rows of words about tables (SHOW CREATE TABLE, EXPLAIN) without the secrets of the connection."""
        return tuple(
            [catalog.mask_secrets(cell, self.profile) if isinstance(cell, str) else cell for cell in row]
            for row in rows
        )


def writable_names(statement: Statement, views: Collection[str]) -> list[tuple[int, int, str]]:
    """Where a statement writes, copies or shows a view, and the table to write to.

    Args:
        statement: What was written.
        views: Names of the topics that are views.

    Returns:
        First token, last token and the name to put there, for each place.
    """
    found, tokens = [], statement.tokens
    for place, token in enumerate(tokens[:-1]):
        shows = token.upper == "TABLE" and tokens[0].upper == "SHOW"
        if token.upper not in {"INTO", "LIKE"} and not shows:
            continue
        last = place + 1
        while last + 2 < len(tokens) and tokens[last + 1].text == ".":
            last += 2
        if tokens[last].identifier in views and tokens[last].kind != "string":
            found.append((place + 1, last, catalog.qualified_name(tokens[last].identifier, catalog.SINK_DATABASE)))
    return found


def _targets(statement: Statement) -> set[str]:
    """What stands behind INTO, the last part of each name."""
    return _names_behind("INTO", statement)


def _names_behind(word: str, statement: Statement) -> set[str]:
    found, tokens = set(), statement.tokens
    for place, token in enumerate(tokens):
        if token.upper != word:
            continue
        last = place + 1
        while last + 2 < len(tokens) and tokens[last + 1].text == ".":
            last += 2
        if last < len(tokens):
            found.add(tokens[last].identifier)
    return found
