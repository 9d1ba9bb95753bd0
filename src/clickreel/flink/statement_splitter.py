"""A text of SQL cut into statements, each with its place in the text.

Semicolons end a statement except inside strings, quoted names, comments, and statement sets (``BEGIN STATEMENT SET; ... END;``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from clickreel.flink.sql_errors import SqlError
from clickreel.sql_tokens import SqlDialect, SqlToken, tokenize

_OPEN = {"'": "a string", "`": "a quoted name", '"': "a quoted name", "/*": "a comment"}


# The end of a query that bounds its rows, in every spelling: LIMIT n, LIMIT m, n, OFFSET m ROWS FETCH NEXT n ROWS ONLY.
_ROW_LIMIT = re.compile(
    r"(?:\bLIMIT (?P<first>\d+)(?: , (?P<second>\d+))?(?: OFFSET \d+(?: ROWS?)?)?"
    r"|(?:\bOFFSET \d+(?: ROWS?)? )?\bFETCH (?:FIRST|NEXT)(?: (?P<fetch>\d+))? ROWS? ONLY"
    r"|\bOFFSET \d+(?: ROWS?)? LIMIT (?P<last>\d+))\Z"
)


@dataclass(frozen=True)
class Statement:
    """One statement.

    Attributes:
        text: As written, from its first token to its last, without the semicolon.
        line: Line of its first character in the source, from 1.
        column: Column of its first character, from 1.
        tokens: What it consists of, comments left out; they stay as they were written.
        edits: Where the text was changed for Flink: offset in the changed text, length before, length after.
    """

    text: str
    line: int
    column: int
    tokens: tuple[SqlToken, ...]
    edits: tuple[tuple[int, int, int], ...] = ()

    @property
    def verb(self) -> str:
        """Its first word in upper case, ``SELECT`` for one that begins with a parenthesis."""
        first = self.tokens[0].upper
        return "SELECT" if first == "(" else first

    @property
    def is_query(self) -> bool:
        """Whether it is one whose rows come from a running job."""
        return self.verb in {"SELECT", "WITH", "VALUES", "TABLE"}

    @property
    def limit(self) -> int | None:
        """Rows that its own LIMIT or FETCH FIRST lets through; None when it has none, or when its text alone does not say."""
        found = _ROW_LIMIT.search(" ".join(token.upper for token in _outermost(self.tokens)))
        if found is None:
            return None
        return int(found["second"] or found["first"] or found["last"] or found["fetch"] or 1)

    @property
    def has_limit(self) -> bool:
        """Whether a LIMIT or FETCH stands anywhere in it."""
        return any(token.upper in {"LIMIT", "FETCH"} for token in self.tokens)

    def starts(self, *words: str) -> bool:
        """Whether it begins with these words."""
        return tuple(token.upper for token in self.tokens[: len(words)]) == words

    def names(self) -> set[str]:
        """Every word and quoted name in it: what it may refer to."""
        return {token.identifier for token in self.tokens if token.kind in {"word", "name"}}

    def replaced(self, names: Sequence[tuple[int, int, str]]) -> Statement:
        """The statement with other names at some places of its text.

        Args:
            names: First token, last token and the name that stands there instead, in their order.
        """
        if not names:
            return self
        text, edits, begin = self.text, [], self.tokens[0].start
        shift = len(self.text) - (
            self.tokens[-1].start + len(self.tokens[-1].text) - begin
        )  # of a rewritten statement set
        for first, last, name in names:
            start = self.tokens[first].start - begin + shift
            end = self.tokens[last].start + len(self.tokens[last].text) - begin + shift
            text = text[:start] + name + text[end:]
            edits.append((start, end - start, len(name)))
            shift += len(name) - (end - start)
        return replace(self, text=text, edits=tuple(edits))

    def source_position(self, line: int, column: int) -> tuple[int, int]:
        """Turn a place in the statement into a place in the source; all count from 1."""
        if self.edits:
            lines = self.text.split("\n")
            offset = sum(len(each) + 1 for each in lines[: line - 1]) + column - 1
            original = self.text
            for start, before, after in reversed(self.edits):
                if offset >= start + after:
                    offset -= after - before
                elif offset > start:
                    offset = start
                original = original[:start] + "x" * before + original[start + after :]
            line, column = line_and_column(original, offset)
        return (self.line + line - 1, column + self.column - 1 if line == 1 else column)


def _tokens(sql: str, *, backslash: bool) -> Iterator[SqlToken]:
    """The tokens of a text, in ClickHouse's dialect where a backslash escapes.

    Raises:
        SqlError: A string, name or comment does not end.
    """
    for token in tokenize(sql, SqlDialect.CLICKHOUSE if backslash else SqlDialect.FLINK):
        if token.kind == "open":
            line, column = line_and_column(sql, token.start)
            raise SqlError(
                f"{_OPEN[token.text]} begins here and does not end",
                line=line,
                column=column,
                token=token.text,
                hint=f"close it with {'*/' if token.text == '/*' else token.text}",
            )
        yield token


def line_and_column(sql: str, offset: int) -> tuple[int, int]:
    """Line and column of an offset, both from 1."""
    before = sql[:offset]
    return before.count("\n") + 1, offset - (before.rfind("\n") + 1) + 1


def split_statements(sql: str, *, backslash: bool = False) -> list[Statement]:
    """Cut a text into its statements.

    Args:
        sql: The text; empty statements in it are left out.
        backslash: Whether a backslash escapes in strings (ClickHouse).

    Raises:
        SqlError: A string, name or comment does not end.
    """
    found: list[Statement] = []
    current: list[SqlToken] = []
    for token in _tokens(sql, backslash=backslash):
        if token.kind == "end" and not _in_set(current):
            if current:
                found.append(_statement(sql, current))
            current = []
        else:
            current.append(token)
    if current:
        found.append(_statement(sql, current))
    return found


def _outermost(tokens: Sequence[SqlToken]) -> list[SqlToken]:
    """The tokens outside of parentheses, those around the whole taken off first."""
    lowest = min((token.depth for token in tokens), default=0)
    outside = [token for token in tokens if token.depth == lowest]
    return _outermost(tokens[1:-1]) if [token.text for token in outside] == ["(", ")"] else outside


def _in_set(current: list[SqlToken]) -> bool:
    """Whether a statement set has begun and not ended: its inner semicolons do not end it."""
    words = [token.upper for token in current]
    if words[:3] != ["BEGIN", "STATEMENT", "SET"] and words[:4] != ["EXECUTE", "STATEMENT", "SET", "BEGIN"]:
        return False
    return words[-1] != "END" or words[-2] != ";"


def _statement(sql: str, current: list[SqlToken]) -> Statement:
    start, last = current[0].start, current[-1]
    text = sql[start : last.start + len(last.text)]
    line, column = line_and_column(sql, start)
    if [token.upper for token in current[:4]] == ["BEGIN", "STATEMENT", "SET", ";"]:
        # The form of Flink's own command line client, written as the one statement that the gateway takes. Lines stay lines, so a
        # place that Flink names is true from the second line on.
        text = "EXECUTE STATEMENT SET BEGIN" + text[current[3].start + 1 - start :]
    return Statement(text, line, column, tuple(current))


def is_complete(sql: str, *, backslash: bool = False) -> bool:
    """Whether a text typed so far ends a statement, so that Enter may run it."""
    try:
        current: list[SqlToken] = []
        for token in _tokens(sql, backslash=backslash):
            current = [] if token.kind == "end" and not _in_set(current) else [*current, token]
    except SqlError:
        return False
    return not current
