"""What a materialized view would read, where that is a view: it would be accepted, and would never get a row.

ClickHouse runs a materialized view when rows are inserted into the first table of its SELECT; nothing is ever inserted into a view. So the
statement is refused with one that works: the view's own SELECT in the place of its name.
"""

from __future__ import annotations

from clickreel.local.clickhouse.database_errors import ErrorCode, database_error
from clickreel.local.clickhouse.engine import EngineConnection
from clickreel.local.clickhouse.statement_parts import quote_string
from clickreel.sql_tokens import SqlDialect, SqlToken, tokenize

# Views on views: deeper than any that a person writes.
_DEPTH_MAX = 8


def refuse_view_as_source(connection: EngineConnection, sql: bytes) -> None:
    """Refuse a ``CREATE MATERIALIZED VIEW`` whose rows would come from a view; any other statement passes.

    Raises:
        DatabaseError: It is one; the message has the statement that works.
    """
    text = working = sql.decode("utf-8", "surrogateescape")
    name = ""
    for _ in range(_DEPTH_MAX):
        tokens = list(tokenize(working, SqlDialect.CLICKHOUSE))
        source = _find_source(tokens)
        select = _select_of_view(connection, source) if source else None
        if not source or select is None:
            break
        name = name or source[-1].identifier
        used = {token.identifier for token in tokens if token.kind in ("word", "name")}
        alias = "" if _has_alias(tokens, source[-1]) else f" AS {source[-1].text}"
        everything = any(token.text == "*" for token in tokens)
        inner = select if everything else _keep_columns(select, used)
        working = f"{working[: source[0].start]}({inner}){alias}{working[source[-1].end :]}"
    if working != text:
        raise database_error(
            ErrorCode.BAD_ARGUMENTS,
            f"{name} is a view: nothing is inserted into it, so a materialized view on it never gets a row. This one does: {working}",
        )


def _find_source(tokens: list[SqlToken]) -> list[SqlToken]:
    """The name, its parts and dots, of the table whose inserts run a materialized view; empty when the statement is none."""
    words = [token.upper for token in tokens]
    if words[:1] != ["CREATE"] or "MATERIALIZED" not in words[:4]:
        return []
    for at, token in enumerate(tokens):
        if token.depth == 0 and token.is_word("REFRESH"):
            return []  # runs by the clock, on views too
        if token.is_word("AS") and (begin := _find_select(tokens, at + 1)) is not None:
            return _first_table(tokens, begin)
    return []


def _find_select(tokens: list[SqlToken], at: int) -> int | None:
    """Where a SELECT or WITH begins at this place, brackets around it left out."""
    while at < len(tokens) and tokens[at].text == "(":
        at += 1
    return at if at < len(tokens) and tokens[at].is_word("SELECT", "WITH") else None


def _first_table(tokens: list[SqlToken], begin: int) -> list[SqlToken]:
    depth, named = tokens[begin].depth, {}
    for at in range(begin, len(tokens) - 1):
        token, following = tokens[at], tokens[at + 1]
        if token.depth == depth and token.is_word("AS") and following.text == "(" and at:
            named[tokens[at - 1].identifier] = at + 1  # WITH name AS (SELECT ...)
        is_clause = token.depth == depth and token.is_word("FROM") and not tokens[at - 1].is_word("DISTINCT")
        if not is_clause:
            continue
        if (inner := _find_select(tokens, at + 1)) is not None:
            return _first_table(tokens, inner)
        name = _read_name(tokens, at + 1)
        subquery = (
            _find_select(tokens, named[name[0].identifier]) if len(name) == 1 and name[0].identifier in named else None
        )
        return name if subquery is None or subquery < begin else _first_table(tokens, subquery)
    return []


def _read_name(tokens: list[SqlToken], at: int) -> list[SqlToken]:
    """``table`` or ``database.table``; empty for a table function."""
    name = tokens[at : at + 1]
    if tokens[at + 1 : at + 2] and tokens[at + 1].text == ".":
        name = tokens[at : at + 3]
    behind = tokens[at + len(name) : at + len(name) + 1]
    is_name = all(token.kind in ("word", "name") for token in name[::2])
    return name if is_name and not (behind and behind[0].text == "(") else []


def _select_of_view(connection: EngineConnection, name: list[SqlToken]) -> str | None:
    database = quote_string(name[0].identifier) if len(name) > 1 else "currentDatabase()"
    found, _ = connection.run(
        f"SELECT as_select FROM system.tables WHERE engine = 'View' AND database = {database} "
        f"AND name = {quote_string(name[-1].identifier)}",
        "RawBLOB",
    )
    return found.decode("utf-8", "surrogateescape") or None


def _has_alias(tokens: list[SqlToken], last: SqlToken) -> bool:
    following = tokens[tokens.index(last) + 1 :][:1]
    return bool(following) and following[0].is_word("AS")


def _keep_columns(select: str, used: set[str]) -> str:
    """A view's SELECT with those of its columns alone that are used; as it is where it is no plain ``SELECT columns FROM``."""
    tokens = list(tokenize(select, SqlDialect.CLICKHOUSE))
    end = next((token for token in tokens if token.depth == 0 and token.is_word("FROM")), None)
    if not tokens or not tokens[0].is_word("SELECT") or tokens[1].is_word("DISTINCT") or end is None:
        return select
    listed = [token for token in tokens[1:] if token.start < end.start]
    cuts = [token for token in listed if token.depth == 0 and token.text == ","]
    edges = [tokens[0].end, *(token.end for token in cuts)], [*(token.start for token in cuts), end.start]
    kept = []
    for start, stop in zip(*edges, strict=True):
        names = [token.identifier for token in listed if start <= token.start < stop]
        if names and names[-1] in used:
            kept.append(" ".join(select[start:stop].split()))
    return f"SELECT {', '.join(kept)} {' '.join(select[end.start :].split())}" if kept else select
