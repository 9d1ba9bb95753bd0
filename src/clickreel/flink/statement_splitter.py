"""A text of SQL cut into statements, each with its place in the text.

Semicolons end a statement except inside strings, quoted names, comments, and statement sets (``BEGIN STATEMENT SET; ... END;``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from clickreel.flink.sql_errors import SqlError

_TOKEN = re.compile(
    r"""
      (?P<space>\s+)
    | (?P<comment>--[^\n]*|/\*(?!\+).*?\*/)
    | (?P<hint>/\*\+.*?\*/)
    | (?P<string>'(?:[^']|'')*')
    | (?P<name>`(?:[^`]|``)*`|"(?:[^"]|"")*")
    | (?P<word>[A-Za-z_$][\w$]*)
    | (?P<number>\d[\w.]*)
    | (?P<end>;)
    | (?P<open>'|`|"|/\*)
    | (?P<sign>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_OPEN = {"'": "a string", "`": "a quoted name", '"': "a quoted name", "/*": "a comment"}
# ClickHouse, unlike the standard, escapes with a backslash.
_BACKSLASH = re.compile(r"'(?:[^'\\]|\\.|'')*'", re.DOTALL)


@dataclass(frozen=True)
class SqlToken:
    """A piece of SQL that means something.

    Attributes:
        kind: ``word``, ``name`` (quoted), ``string``, ``number``, ``hint``, ``sign`` or ``end``.
        text: As written.
        start: Offset in the source.
    """

    kind: str
    text: str
    start: int

    @property
    def upper(self) -> str:
        """The token in upper case where it is a word, else as written."""
        return self.text.upper() if self.kind == "word" else self.text

    @property
    def identifier(self) -> str:
        """The name that the token writes, without its quotes."""
        if self.kind == "name":
            quote = self.text[0]
            return self.text[1:-1].replace(quote * 2, quote)
        return self.text


@dataclass(frozen=True)
class Statement:
    """One statement.

    Attributes:
        text: As written, from its first token to its last, without the semicolon.
        line: Line of its first character in the source, from 1.
        column: Column of its first character, from 1.
        tokens: What it consists of, comments left out.
    """

    text: str
    line: int
    column: int
    tokens: tuple[SqlToken, ...]

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
        """Its own LIMIT: a streaming query that has given so many rows gives no more, but runs on."""
        last = self.tokens[-2:]
        if len(last) == 2 and last[0].upper == "LIMIT" and last[1].text.isdigit():
            return int(last[1].text)
        return None

    def starts(self, *words: str) -> bool:
        """Whether it begins with these words."""
        return tuple(token.upper for token in self.tokens[: len(words)]) == words

    def names(self) -> set[str]:
        """Every word and quoted name in it: what it may refer to."""
        return {token.identifier for token in self.tokens if token.kind in {"word", "name"}}

    def source_position(self, line: int, column: int) -> tuple[int, int]:
        """Turn a place in the statement into a place in the source; both count from 1."""
        return (self.line + line - 1, column + self.column - 1 if line == 1 else column)


def tokenize(sql: str, *, backslash: bool = False) -> Iterator[SqlToken]:
    """Cut SQL into tokens, leaving out space and comments.

    Args:
        sql: The text.
        backslash: Whether a backslash escapes in strings (ClickHouse).

    Raises:
        SqlError: A string, name or comment does not end.
    """
    place = 0
    while place < len(sql):
        found = backslash and _BACKSLASH.match(sql, place)
        if found:
            yield SqlToken("string", found.group(), place)
            place = found.end()
            continue
        match = _TOKEN.match(sql, place)
        assert match is not None
        assert match.lastgroup is not None
        kind, text = match.lastgroup, match.group()
        if kind == "open":
            line, column = line_and_column(sql, place)
            raise SqlError(
                f"{_OPEN[text]} begins here and does not end",
                line=line,
                column=column,
                token=text,
                hint=f"close it with {'*/' if text == '/*' else text}",
            )
        if kind not in {"space", "comment"}:
            yield SqlToken(kind, text, place)
        place = match.end()


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
    for token in tokenize(sql, backslash=backslash):
        if token.kind == "end" and not _in_set(current):
            if current:
                found.append(_statement(sql, current))
            current = []
        else:
            current.append(token)
    if current:
        found.append(_statement(sql, current))
    return found


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
        for token in tokenize(sql, backslash=backslash):
            current = [] if token.kind == "end" and not _in_set(current) else [*current, token]
    except SqlError:
        return False
    return not current
