"""One statement over HTTP, from the request to the last byte of its answer."""

from __future__ import annotations

import json
import secrets
import string
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from clickreel.local.clickhouse import statement_parts
from clickreel.local.clickhouse.authentication import DatabaseUser
from clickreel.local.clickhouse.content_coding import (
    Compressor,
    content_type,
    create_compressor,
    decode_body,
    negotiate_encoding,
)
from clickreel.local.clickhouse.database_errors import DatabaseError, ErrorCode, database_error
from clickreel.local.clickhouse.engine import ClickHouseEngine, EngineConnection, QueryStats, RunningQuery
from clickreel.local.clickhouse.form_data import ExternalTable
from clickreel.local.clickhouse.insert_stream import begin_insert
from clickreel.local.clickhouse.native_blocks import NativeBlocks, describe_result, run_described
from clickreel.local.clickhouse.native_compression import BlockCompressor, BlockReader
from clickreel.local.clickhouse.query_request import QueryRequest
from clickreel.local.clickhouse.query_result import QueryResult
from clickreel.local.clickhouse.query_sessions import QuerySession, QuerySessions
from clickreel.local.clickhouse.statement_parts import InsertStatement, PlainStatement, quote_identifier
from clickreel.local.clickhouse.view_source import refuse_view_as_source
from clickreel.local.http_connection import (
    CHUNK_BYTES,
    ByteSource,
    ClientDisconnectedError,
    HttpRequest,
    HttpResponse,
)
from clickreel.sql_tokens import SqlDialect, tokenize

# The text of an INSERT ends within this (a server's max_query_size); what follows is data and may be of any size.
HEAD_BYTES = 1 << 18
# A longer statement needs the setting `max_query_size` in its URL, and no setting allows more than the second number.
TEXT_MAX_BYTES, TEXT_LIMIT_BYTES = 1 << 20, 16 << 20
# Held back before the status goes out, so that a statement that fails early is answered with the right one. A server's size too.
HOLD_BYTES = 1 << 20
SPOOL_BYTES = 8 << 20

_EXPOSED = (
    "X-ClickHouse-Query-Id,X-ClickHouse-Summary,X-ClickHouse-Server-Display-Name,X-ClickHouse-Format,"
    "X-ClickHouse-Timezone,X-ClickHouse-Exception-Code,X-ClickHouse-Exception-Tag"
)


class QueryHandler:
    """A request and its answer.

    Args:
        engine: The engine.
        sessions: The kept connections.
        user: Who asks.
        query: What is asked.
        request: The request, its body unread.
        response: The answer, not begun.
        form: The external tables of a request whose body was a form; ``None`` when it was not.
    """

    def __init__(
        self,
        engine: ClickHouseEngine,
        sessions: QuerySessions,
        *,
        user: DatabaseUser,
        query: QueryRequest,
        request: HttpRequest,
        response: HttpResponse,
        form: list[ExternalTable] | None = None,
    ) -> None:
        self.engine = engine
        self.sessions = sessions
        self.user = user
        self.query = query
        self.request = request
        self.response = response
        self.form = form
        self.tag = "".join(secrets.choice(string.ascii_lowercase) for _ in range(16))
        self.began = time.perf_counter()
        response.headers.update(
            {
                "X-ClickHouse-Query-Id": query.query_id,
                "X-ClickHouse-Timezone": engine.timezone,
                "X-ClickHouse-Server-Display-Name": engine.display_name,
                "X-ClickHouse-Exception-Tag": self.tag,
                "Access-Control-Expose-Headers": _EXPOSED,
            }
        )

    def serve(self) -> None:
        """Run the statement and answer.

        Raises:
            DatabaseError: It failed and nothing has been sent yet.
            ClientDisconnectedError: The client has gone.
        """
        source = self._source()
        # An INSERT whose text is all in the URL begins before its data arrives.
        head = f"{self.query.query}\n".encode("utf-8", "surrogateescape") if self.query.query else b""
        parsed = statement_parts.parse(head)
        if not isinstance(parsed, InsertStatement):
            head += _read_up_to(source, HEAD_BYTES)
            parsed = statement_parts.parse(head)
        with (
            self._connected() as (connection, session),
            self.engine.running(self.query.query_id, connection) as entry,
        ):
            for table in self.form or ():
                self._create(connection, table)
            if isinstance(parsed, InsertStatement):
                self._insert(connection, parsed, _Concatenated(head[parsed.data_at :], source), entry)
                return
            limit = min(max(TEXT_MAX_BYTES, self.query.text_max_bytes), TEXT_LIMIT_BYTES)
            sql = head + _read_up_to(source, limit)
            if len(sql) >= limit:
                raise database_error(
                    ErrorCode.QUERY_IS_TOO_LARGE,
                    f"The statement is longer than {limit} bytes; max_query_size allows up to {TEXT_LIMIT_BYTES}",
                )
            self._statement(connection, session, sql, entry)

    def _source(self) -> ByteSource:
        if self.form is not None:
            return _Empty()
        body: ByteSource = decode_body(self.request.body, self.request.headers.get("content-encoding", ""))
        if self.query.decompress:
            body = BlockReader(body)
        return _Concatenated(b"", body)

    @contextmanager
    def _connected(self) -> Iterator[tuple[EngineConnection, QuerySession | None]]:
        """The connection of this request, with its database and settings in place."""
        query, user = self.query, self.user
        if query.session is None:
            connection = self.engine.connection(readonly=user.readonly)
            try:
                self._prepare(connection)
                yield connection, None
            finally:
                connection.close()
            return
        session = self.sessions.acquire(
            user.name,
            query.session,
            timeout_s=query.session_timeout_s,
            must_exist=query.session_check,
            readonly=user.readonly,
        )
        drop = query.close_session
        try:
            self._prepare(session.connection, session)
            yield session.connection, session
        finally:
            try:
                self._restore(session)
            except DatabaseError:
                drop = True
            self.sessions.release(user.name, query.session, drop=drop)

    def _prepare(self, connection: EngineConnection, session: QuerySession | None = None) -> None:
        if self.query.database is not None:
            connection.run(f"USE {quote_identifier(self.query.database)}")
        connection.set(self.query.settings)
        if "session_timezone" in self.query.settings or (session is not None and session.statements):
            timezone = connection.run("SELECT timezone()", "RawBLOB")[0]
            self.response.headers["X-ClickHouse-Timezone"] = timezone.decode()

    def _restore(self, session: QuerySession) -> None:
        """Undo what this request alone has set in its session."""
        session.connection.reset([name for name in self.query.settings if not name.startswith("param_")])
        for text in session.statements if self.query.settings else ():
            session.connection.run(text)
        if self.query.database is not None:
            session.connection.run(f"USE {quote_identifier(session.database)}")

    def _create(self, connection: EngineConnection, table: ExternalTable) -> None:
        name = quote_identifier(table.name)
        connection.run(f"CREATE OR REPLACE TEMPORARY TABLE {name} ({table.structure}) ENGINE = Memory")
        insertion = begin_insert(
            connection, InsertStatement(f"INSERT INTO {name}".encode(), table.format, 0), lambda: None
        )
        insertion.push(table.data)
        insertion.commit()

    def _insert(
        self, connection: EngineConnection, parsed: InsertStatement, data: ByteSource, entry: RunningQuery
    ) -> None:
        if self.request.method in ("GET", "HEAD"):
            raise _get_is_readonly()
        insertion = begin_insert(connection, parsed, lambda: self.engine.kill(entry.query_id))
        try:
            while piece := data.read(CHUNK_BYTES):
                entry.check()
                insertion.push(piece)
            entry.check()
        except BaseException:
            # Gone, broken or killed: an INSERT that did not come whole is not stored.
            with suppress(DatabaseError):
                insertion.cancel()
            raise
        self._whole(b"", insertion.commit(), None)

    def _statement(
        self, connection: EngineConnection, session: QuerySession | None, sql: bytes, entry: RunningQuery
    ) -> None:
        parsed = statement_parts.parse(sql)
        assert isinstance(parsed, PlainStatement)
        text = self._checked_text(sql, parsed)
        output = self.query.header_format or parsed.format or self.query.format
        reads, known, count = connection.classify(text)
        if count > 1:
            raise database_error(ErrorCode.SYNTAX_ERROR, "Syntax error (Multi-statements are not allowed)")
        if reads:
            self._result(connection, text, parsed, output, entry)
            return
        if known:
            self._may_change(parsed)
        if parsed.verb == "CREATE":
            refuse_view_as_source(connection, text)
        if parsed.verb == "KILL":
            text = self._with_engine_ids(connection, text)
        body, stats = connection.run(text, output)
        if parsed.verb == "KILL":
            self.engine.mark_killed()
        if session is not None:
            session.remember(parsed.verb, text)
        self._whole(body, stats, output)

    def _checked_text(self, sql: bytes, parsed: PlainStatement) -> bytes:
        """A statement's text, when it may come over HTTP and from this user."""
        if not parsed.end:
            raise database_error(ErrorCode.SYNTAX_ERROR, "Syntax error: Empty query")
        if parsed.outfile:
            raise database_error(ErrorCode.UNSUPPORTED_METHOD, "INTO OUTFILE and FROM INFILE are not allowed over HTTP")
        if self.user.readonly and statement_parts.calls(sql, "file"):
            raise database_error(ErrorCode.READONLY, f"{self.user.name}: Cannot read files in readonly mode")
        return sql[: parsed.end]

    def _may_change(self, parsed: PlainStatement) -> None:
        if self.request.method in ("GET", "HEAD") and parsed.verb not in ("SET", "USE"):
            raise _get_is_readonly()
        if self.user.readonly and parsed.verb != "USE":
            raise database_error(ErrorCode.READONLY, f"{self.user.name}: Cannot execute query in readonly mode")

    def _with_engine_ids(self, connection: EngineConnection, sql: bytes) -> bytes:
        """A KILL statement in which the clients' ids are the engine's, whether they stand in its text or in its parameters."""
        ids = self.engine.engine_ids()
        text = sql.decode("utf-8", "surrogateescape")
        named = {token.text[1:-1] for token in tokenize(text, SqlDialect.CLICKHOUSE) if token.kind == "string"}
        parameters = {
            name: value for name, value in self.query.settings.items() if name.startswith("param_") and value in ids
        }
        self.engine.mark_killed((named | set(parameters.values())) & set(ids))
        connection.set({name: ids[value] for name, value in parameters.items()})
        return statement_parts.replace_strings(text, ids).encode("utf-8", "surrogateescape")

    def _result(
        self, connection: EngineConnection, sql: bytes, parsed: PlainStatement, output: str, entry: RunningQuery
    ) -> None:
        version = self.query.protocol_version if output == "Native" else 0
        columns = describe_result(connection, sql, parsed) if version else None
        if version and columns is None:
            body, stats = run_described(connection, sql, parsed, version)
            self._whole(body, stats, output)
            return
        engine_format = "Buffers" if version else output
        result = QueryResult(connection, sql, parsed, engine_format, self.response.connection.sock)
        try:
            self._stream(result, result if columns is None else NativeBlocks(result, columns, version), output)
        except OSError as exc:
            raise ClientDisconnectedError(str(exc)) from exc
        finally:
            if result.gone or (result.stats is None and result.error is None):
                self.engine.kill(entry.query_id)
            result.close()

    def _stream(self, result: QueryResult, source: ByteSource, output: str) -> None:
        hold: list[bytes] = []
        held = 0
        with tempfile.SpooledTemporaryFile(SPOOL_BYTES) as spool:
            while data := source.read(CHUNK_BYTES):
                if self.query.wait_end:
                    spool.write(data)
                    continue
                hold.append(data)
                held += len(data)
                if held >= HOLD_BYTES:
                    self._rest(result, source, b"".join(hold), self._begin(output, None))
                    return
            if result.gone:
                raise ClientDisconnectedError("the client has gone before the statement ended")
            if result.error is not None:
                raise result.error
            if not self.query.wait_end:
                self._whole(b"".join(hold), result.stats or QueryStats(), output)
                return
            spool.seek(0)
            pack = self._begin(output, result.stats)
            while data := spool.read(CHUNK_BYTES):
                self.response.send(pack.compress(data))
            self.response.send(pack.flush())
            self.response.end()

    def _rest(self, result: QueryResult, source: ByteSource, data: bytes, pack: Compressor) -> None:
        """Send a result that is too large to hold; a failure from here on stands in the body, as a server writes it."""
        while data:
            self.response.send(pack.compress(data))
            data = source.read(CHUNK_BYTES)
        if result.gone:
            raise ClientDisconnectedError("the client has gone")
        if result.error is None:
            self.response.send(pack.flush())
            self.response.end()
            return
        message = result.error.body(self.engine.version).rstrip(b"\n")
        tag = self.tag.encode()
        block = b"\r\n__exception__\r\n%b\r\n%b\n%d %b\r\n__exception__\r\n" % (tag, message, len(message), tag)
        self.response.send(pack.compress(block) + pack.flush())
        self.response.abort()

    def _packer(self) -> Compressor:
        """The compression of this answer, announced in its head."""
        if self.query.compress:
            return BlockCompressor()
        name = negotiate_encoding(self.query.encodings)
        if name is None:
            return _NoCompression()
        self.response.headers["Content-Encoding"] = name
        return create_compressor(name, self.query.level)

    def _begin(self, output: str | None, stats: QueryStats | None) -> Compressor:
        pack = self._packer()
        self._describe(output, stats or QueryStats())
        self.response.begin(200)
        return pack

    def _whole(self, body: bytes, stats: QueryStats, output: str | None) -> None:
        if body:
            pack = self._packer()
            body = pack.compress(body) + pack.flush()
        self._describe(output, stats)
        self.response.send_whole(200, body)

    def _describe(self, output: str | None, stats: QueryStats) -> None:
        headers = self.response.headers
        if output is not None:
            headers["X-ClickHouse-Format"] = output
        headers["Content-Type"] = content_type(output or "TabSeparated")
        summary = {
            "read_rows": stats.read_rows,
            "read_bytes": stats.read_bytes,
            "written_rows": stats.written_rows,
            "written_bytes": stats.written_bytes,
            "total_rows_to_read": stats.read_rows,
            "result_rows": stats.result_rows,
            "result_bytes": stats.result_bytes,
            "elapsed_ns": int((time.perf_counter() - self.began) * 1e9),
            "memory_usage": 0,
        }
        headers["X-ClickHouse-Summary"] = json.dumps({name: str(value) for name, value in summary.items()})


class _NoCompression:
    """The compression that is none."""

    def compress(self, data: bytes) -> bytes:
        return data

    def flush(self) -> bytes:
        return b""


class _Concatenated:
    """Some bytes, then a source that may give more than it is asked for."""

    def __init__(self, first: bytes, then: ByteSource) -> None:
        self._rest = memoryview(first)
        self._then = then

    def read(self, size: int) -> bytes:
        data = self._rest or memoryview(self._then.read(size))
        self._rest = data[size:]
        return bytes(data[:size])


def _read_up_to(source: ByteSource, size: int) -> bytes:
    """Read until so many bytes are there, or the end."""
    pieces, left = [], size
    while left > 0 and (piece := source.read(left)):
        pieces.append(piece)
        left -= len(piece)
    return b"".join(pieces)


class _Empty:
    """No bytes."""

    def read(self, size: int) -> bytes:
        del size
        return b""


def _get_is_readonly() -> DatabaseError:
    return database_error(
        ErrorCode.READONLY,
        "Cannot execute query in readonly mode. For queries over HTTP, method GET implies readonly. "
        "You should use method POST for modifying queries",
    )
