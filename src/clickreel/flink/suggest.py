"""What a person meant who wrote something that Flink does not know: the nearest word that would be right."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping

from clickreel.flink.catalog import TopicTable
from clickreel.flink.sql_errors import SqlError
from clickreel.flink.statement_splitter import Statement, line_and_column
from clickreel.sql_tokens import SqlToken

_VERBS = [
    "SELECT",
    "WITH",
    "VALUES",
    "INSERT",
    "CREATE",
    "DROP",
    "ALTER",
    "SHOW",
    "DESCRIBE",
    "DESC",
    "EXPLAIN",
    "SET",
    "RESET",
    "USE",
    "EXECUTE",
    "BEGIN",
    "ANALYZE",
    "TRUNCATE",
    "CALL",
    "LOAD",
    "UNLOAD",
    "STOP",
    "UPDATE",
    "DELETE",
]
_UNKNOWN = re.compile(
    r"(?:Column|Object|Table) '(?P<name>[^']+)' not found|function signature (?P<function>\w+)\(", re.IGNORECASE
)
_NEAR = 0.6
_SHOWN = 12


def suggest(error: SqlError, statement: Statement, tables: Mapping[str, TopicTable]) -> None:
    """Complete an error: a place where Flink gave none, and a hint where a near word would be right.

    Args:
        error: Its place counts in the statement; changed in place.
        statement: What was written.
        tables: The tables that there are.
    """
    if not error.line:
        _first_word(error, statement)
        return
    unknown = _UNKNOWN.search(error.message)
    if unknown is not None:
        error.hint = _known(unknown, statement, tables)
        return
    if error.expected:
        meant = _meant(error, statement)
        if meant:
            error.hint = meant


def _first_word(error: SqlError, statement: Statement) -> None:
    """An error without a place is one of the whole statement, often of its first word."""
    first = statement.tokens[0]
    if first.upper not in _VERBS and first.kind == "word":
        near = difflib.get_close_matches(first.upper, _VERBS, 1, _NEAR)
        error.message, error.token = f"{first.text!r} is not the beginning of a statement", first.text
        error.line, error.column = 1, 1
        error.hint = f"did you mean {near[0]}?" if near else f"one of: {', '.join(_VERBS[:_SHOWN])}, ..."


def _known(unknown: re.Match[str], statement: Statement, tables: Mapping[str, TopicTable]) -> str:
    name = unknown["name"] or unknown["function"]
    used = [table for table in tables.values() if table.name in statement.names()]
    if unknown["function"]:
        return "SHOW FUNCTIONS lists what there is"
    columns = [column for table in used for column in table.names]
    near = difflib.get_close_matches(name.lower(), [*columns, *tables], 1, _NEAR)
    if near:
        return f"did you mean {near[0]}?"
    if used and "column" in unknown[0].lower():
        return f"columns of {used[0].name}: {', '.join(used[0].names[:_SHOWN])}"
    return f"tables: {', '.join(list(tables)[:_SHOWN])} (SHOW TABLES)"


def _meant(error: SqlError, statement: Statement) -> str:
    """The expected word that the offending one, or the one before it, nearly is: a mistyped FROM is read as a name."""
    for token in _around(error, statement.tokens, statement):
        near = difflib.get_close_matches(token.upper, _words(error.expected), 1, _NEAR)
        if near and near[0] != token.upper:
            return f"did you mean {near[0]} instead of {token.text}?"
    return ""


def _around(error: SqlError, tokens: tuple[SqlToken, ...], statement: Statement) -> Iterable[SqlToken]:
    start = tokens[0].start
    for place, token in enumerate(tokens):
        if line_and_column(statement.text, token.start - start) == (error.line, error.column) and token.kind == "word":
            return (token, tokens[place - 1]) if place and tokens[place - 1].kind == "word" else (token,)
    last = tokens[-1]
    return (last,) if last.kind == "word" else ()


def _words(expected: tuple[str, ...]) -> list[str]:
    return [word for word in expected if word.isalpha()]
