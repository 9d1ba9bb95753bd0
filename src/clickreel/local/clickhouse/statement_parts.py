"""Where a statement's parts are: its verb, its ``FORMAT`` clause, and where the data of an INSERT begins.

The engine parses SQL; this module finds only the seams at which an HTTP request is cut: the data of an INSERT comes after its
text in the same stream, and the result of a SELECT is sent to a pipe by a clause that must stand before ``FORMAT``.
Works on bytes, because the data after ``FORMAT Native`` is not text.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

_TOKEN = re.compile(
    rb"""
      (?P<space>\s+ | --[^\n]* | \#[\ !][^\n]* | /\*.*?\*/)
    | (?P<text>'(?:[^'\\]|\\.|'')*')
    | (?P<name>`(?:[^`\\]|\\.|``)*` | "(?:[^"\\]|\\.|"")*")
    | (?P<heredoc>\$(?P<tag>\w*)\$.*?\$(?P=tag)\$)
    | (?P<word>[A-Za-z_]\w*)
    | (?P<number>\d[\w.]*)
    | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)


class StatementToken(NamedTuple):
    """A piece of SQL at nesting depth ``depth`` (0 = outside all parentheses)."""

    kind: str
    text: bytes
    start: int
    end: int
    depth: int

    def is_word(self, *words: bytes) -> bool:
        """Whether it is one of these keywords, given in capitals."""
        return self.kind == "word" and self.text.upper() in words


def tokens(sql: bytes) -> Iterator[StatementToken]:
    """The pieces of a statement in order, blanks and comments left out.

    A closing parenthesis has the depth of its opening one.
    """
    depth = 0
    for match in _TOKEN.finditer(sql):
        kind = match.lastgroup or "other"
        if kind == "tag":
            kind = "heredoc"
        text = match.group()
        if kind == "space":
            continue
        if text in (b"(", b"[", b"{"):
            yield StatementToken(kind, text, match.start(), match.end(), depth)
            depth += 1
            continue
        if text in (b")", b"]", b"}"):
            depth = max(0, depth - 1)
        yield StatementToken(kind, text, match.start(), match.end(), depth)


@dataclass(frozen=True)
class InsertStatement:
    """``INSERT INTO ... [FORMAT f]`` whose data follows.

    Attributes:
        head: The statement up to, and without, ``FORMAT f`` or ``VALUES``.
        format: The format of the data, ``Values`` for a VALUES clause.
        data_at: Where in the parsed bytes the data begins.
        source: The offsets of the call ``input('structure')`` in ``head`` and its structure, when the data passes through a SELECT.
    """

    head: bytes
    format: str
    data_at: int
    source: tuple[int, int, bytes] | None = None


@dataclass(frozen=True)
class PlainStatement:
    """Every other statement.

    Attributes:
        verb: Its first word, in capitals; ``""`` for an empty statement.
        format: The name in its FORMAT clause, if it has one.
        cut: Where an ``INTO OUTFILE`` clause belongs: before FORMAT, or after the last piece.
        resume: Where the statement goes on after its FORMAT clause (a SETTINGS clause may stand there).
        end: Where its last piece ends, a semicolon not counted.
        outfile: Whether it writes or reads a client's file by itself (INTO OUTFILE, FROM INFILE), which HTTP does not allow.
    """

    verb: str
    format: str | None
    cut: int
    resume: int
    end: int
    outfile: bool


def parse(sql: bytes) -> InsertStatement | PlainStatement:
    """Find the seams of one statement.

    Args:
        sql: The statement, or its first bytes where an INSERT's data follows them.
    """
    stream = tokens(sql)
    first = next(stream, None)
    while first is not None and first.text == b"(":
        first = next(stream, None)
    if first is not None and first.is_word(b"INSERT"):
        insert = _insert(sql, stream)
        if insert is not None:
            return insert
    return _plain(sql)


def _insert(sql: bytes, stream: Iterator[StatementToken]) -> InsertStatement | None:
    selects, source = False, None
    previous: StatementToken | None = None
    opened: tuple[int, int, int] | None = (
        None  # of a call of input(): start, start of its argument, depth of its parenthesis
    )
    for token in stream:
        if token.is_word(b"INFILE") and previous is not None and previous.is_word(b"FROM"):
            return None
        if token.is_word(b"SELECT", b"WITH") and token.depth == 0:
            selects = True
        if token.text == b"(" and previous is not None and previous.is_word(b"INPUT"):
            opened = (previous.start, token.end, token.depth)
        elif opened is not None and token.text == b")" and token.depth == opened[2]:
            source = (opened[0], token.end, sql[opened[1] : token.start])
            opened = None
        if token.depth == 0 and token.kind == "word" and previous is not None and previous.is_word(b"FORMAT"):
            if selects and source is None:
                return None
            return InsertStatement(sql[: previous.start], token.text.decode(), _data_at(sql, token.end), source)
        if not selects and token.depth == 0 and token.is_word(b"VALUES"):
            # `INSERT INTO t (values) ...` has it in parentheses; a table of that name would need quotes.
            return InsertStatement(sql[: token.start], "Values", token.end)
        previous = token
    return None


def _data_at(sql: bytes, at: int) -> int:
    """Data starts after the first line break behind the format's name, or after the blanks when there is none."""
    while at < len(sql) and sql[at : at + 1] in (b" ", b"\t", b"\f"):
        at += 1
    if sql[at : at + 1] == b"\r":
        at += 1
    if sql[at : at + 1] == b"\n":
        at += 1
    return at


def _plain(sql: bytes) -> PlainStatement:
    pieces = [token for token in tokens(sql) if token.depth == 0]
    while pieces and pieces[-1].text == b";":
        pieces.pop()
    end = pieces[-1].end if pieces else 0
    words = (token.text.upper().decode() for token in tokens(sql) if token.kind == "word")
    verb = next(words, "")
    name, cut, resume = None, end, end
    for at, token in enumerate(pieces[:-1]):
        after = pieces[at + 2] if at + 2 < len(pieces) else None
        if (
            at > 0
            and token.is_word(b"FORMAT")
            and pieces[at + 1].kind == "word"
            and (after is None or after.is_word(b"SETTINGS"))
        ):
            name, cut, resume = pieces[at + 1].text.decode(), token.start, pieces[at + 1].end
    outfile = any(
        (one.is_word(b"INTO") and two.is_word(b"OUTFILE")) or (one.is_word(b"FROM") and two.is_word(b"INFILE"))
        for one, two in itertools.pairwise(pieces)
    )
    return PlainStatement(verb, name, cut, resume, end, outfile)


def quote_string(text: str) -> str:
    """A text as a string literal."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
