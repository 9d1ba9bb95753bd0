"""SQL cut into tokens, for Flink's dialect and for ClickHouse's: the one tokenizer of the tree.

A keyword is a word at a place of the grammar, never a match in the text: the same letters occur in names, strings, comments and hints.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterator
from typing import NamedTuple

_OPENING, _CLOSING = frozenset("([{"), frozenset(")]}")


class SqlDialect(enum.Enum):
    """Whose lexical rules apply. The value matches one token, or the space between two.

    ``FLINK`` knows hints (``/*+ ... */``); a quote is escaped by doubling it. ``CLICKHOUSE`` escapes with a backslash as well, and knows
    heredocs (``$tag$ ... $tag$``), comments with ``#``, and typographic quotes. Its text may be bytes decoded as Latin-1, so that offsets
    are those of the bytes: typographic quotes are matched in that form too.
    """

    FLINK = r"""
        (?P<space>\s+)
      | (?P<comment>--[^\n]*|/\*(?!\+).*?\*/)
      | (?P<hint>/\*\+.*?\*/)
      | (?P<string>'(?:[^']|'')*')
      | (?P<name>`(?:[^`]|``)*`|"(?:[^"]|"")*")
      | (?P<word>[^\W\d][\w$]*|\$[\w$]+)
      | (?P<number>\d[\w.]*)
      | (?P<end>;)
      | (?P<open>'|`|"|/\*)
      | (?P<sign>.)
    """
    CLICKHOUSE = r"""
        (?P<space>\s+)
      | (?P<comment>--[^\n]*|\#[\ !][^\n]*|/\*.*?\*/)
      | (?P<string>'(?:[^'\\]|\\.|'')*'|\xe2\x80\x98(?:(?!\xe2\x80\x99).)*\xe2\x80\x99
          |\$(?P<tag>\w*)\$.*?\$(?P=tag)\$)
      | (?P<name>`(?:[^`\\]|\\.|``)*`|"(?:[^"\\]|\\.|"")*"|\xe2\x80\x9c(?:(?!\xe2\x80\x9d).)*\xe2\x80\x9d)
      | (?P<word>[A-Za-z_][A-Za-z0-9_$]*)
      | (?P<number>[0-9][A-Za-z0-9_.]*)
      | (?P<end>;)
      | (?P<open>'|`|"|/\*)
      | (?P<sign>.)
    """

    @property
    def pattern(self) -> re.Pattern[str]:
        """The compiled value."""
        return _PATTERNS[self]


_PATTERNS = {dialect: re.compile(dialect.value, re.VERBOSE | re.DOTALL) for dialect in SqlDialect}


class SqlToken(NamedTuple):
    """A piece of SQL that has a meaning.

    Attributes:
        kind: ``word``, ``name`` (quoted), ``string``, ``number``, ``hint``, ``sign``, ``end`` (a semicolon), or ``open``: the first
            letter of a string, name or comment that does not end.
        text: As written.
        start: Offset in the source.
        depth: Nesting in brackets; 0 outside of all. A closing bracket has the depth of its opening one.
    """

    kind: str
    text: str
    start: int
    depth: int = 0

    @property
    def end(self) -> int:
        """Offset behind it."""
        return self.start + len(self.text)

    @property
    def upper(self) -> str:
        """The text in upper case where it is a word, else as written."""
        return self.text.upper() if self.kind == "word" else self.text

    @property
    def identifier(self) -> str:
        """The name that it writes, without its quotes."""
        if self.kind == "name":
            quote = self.text[0]
            return self.text[1:-1].replace(quote * 2, quote)
        return self.text

    def is_word(self, *words: str) -> bool:
        """Whether it is one of these words, which are given in upper case."""
        return self.kind == "word" and self.text.upper() in words


def tokenize(sql: str, dialect: SqlDialect) -> Iterator[SqlToken]:
    """Cut SQL into tokens in order, space and comments left out.

    Any text can be cut: what is no token of the dialect is a ``sign`` of one letter, and what does not end is ``open``.

    Args:
        sql: The text.
        dialect: Its lexical rules.
    """
    depth = 0
    for match in dialect.pattern.finditer(sql):
        kind = match.lastgroup or "sign"
        if kind == "tag":
            kind = "string"
        text = match.group()
        if kind in ("space", "comment"):
            continue
        if kind == "sign" and text in _CLOSING:
            depth = max(0, depth - 1)
        yield SqlToken(kind, text, match.start(), depth)
        if kind == "sign" and text in _OPENING:
            depth += 1
