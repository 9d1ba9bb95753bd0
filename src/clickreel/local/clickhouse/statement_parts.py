"""Where a statement's parts are: its verb, its ``FORMAT`` clause, and where the data of an INSERT begins.

The engine parses SQL; this module finds only the seams at which an HTTP request is cut: the data of an INSERT comes after its
text in the same stream, and the result of a SELECT is sent to a pipe by a clause that must stand before ``FORMAT``.
Works on bytes, because the data after ``FORMAT Native`` is not text. A keyword counts at its place of the grammar alone: tables and
columns may be named ``format``, ``values``, ``infile`` or ``outfile``.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from clickreel.sql_tokens import SqlDialect, SqlToken, tokenize

# Behind these an operand or a name must follow, so that FORMAT there is no clause but a name. The second list holds in statements that
# are no query alone: in one, `table`, `database` or `desc` may end an expression.
_BEFORE_OPERAND = frozenset(
    [
        "FROM",
        "JOIN",
        "SELECT",
        "DISTINCT",
        "WHERE",
        "PREWHERE",
        "HAVING",
        "QUALIFY",
        "BY",
        "AS",
        "ON",
        "USING",
        "AND",
        "OR",
        "NOT",
        "IN",
        "LIKE",
        "ILIKE",
        "BETWEEN",
        "WITH",
        "INTO",
    ]
)
_BEFORE_NAME = frozenset(
    ["TABLE", "DATABASE", "VIEW", "DICTIONARY", "COLUMN", "EXISTS", "DESCRIBE", "DESC", "USE", "TO"]
)
_QUERIES = frozenset({"SELECT", "WITH", "FROM", "SHOW"})
_BEFORE_OPERAND_SIGNS = frozenset(",.=<>+-/%([{:!|")


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
    stream = _tokens(sql)
    first = next(stream, None)
    if first is not None and first.is_word("INSERT"):
        insert = _parse_insert(sql, stream)
        if insert is not None:
            return insert
    return _parse_plain(sql)


def _tokens(sql: bytes) -> Iterator[SqlToken]:
    """The tokens of a statement; offsets are those of its bytes."""
    return tokenize(sql.decode("latin-1"), SqlDialect.CLICKHOUSE)


def _parse_insert(sql: bytes, stream: Iterator[SqlToken]) -> InsertStatement | None:
    """Follow the grammar up to the data; ``None`` for an INSERT without data in the request.

    ``INSERT [INTO] [TABLE] [FUNCTION f(...) [PARTITION BY x] | name] [(columns)] [SETTINGS ...] {VALUES | FORMAT f | SELECT ...}``
    """
    token = _skip_target(stream)
    while token is not None and token.depth == 0:
        if token.is_word("VALUES"):
            return InsertStatement(sql[: token.start], "Values", token.end)
        if token.is_word("FORMAT"):
            name = next(stream, None)
            if name is None or name.kind != "word":
                return None
            return InsertStatement(sql[: token.start], name.text, _skip_line_break(sql, name.end))
        if token.is_word("SETTINGS"):
            token = _skip_settings(stream)
        elif token.is_word("PARTITION"):
            token = next((one for one in stream if one.depth == 0 and one.is_word(*_AFTER_TARGET)), None)
        elif token.is_word("SELECT", "WITH") or token.text == "(":
            return _parse_insert_select(sql, stream)
        else:
            return None
    return None


_AFTER_TARGET = ("VALUES", "FORMAT", "SETTINGS", "SELECT", "WITH", "FROM")


def _skip_target(stream: Iterator[SqlToken]) -> SqlToken | None:
    """Read the table or the table function, and the list of columns; return the token behind them."""
    token = next(stream, None)
    if token is not None and token.is_word("INTO"):
        token = next(stream, None)
    if token is not None and token.is_word("TABLE"):
        token = next(stream, None)
    is_function = token is not None and token.is_word("FUNCTION")
    if is_function:
        token = next(stream, None)
    is_parameter = token is not None and token.text == "{"
    token = _skip_brackets(stream) if is_parameter else next(stream, None)
    while token is not None and token.text == ".":
        next(stream, None)
        token = next(stream, None)
    if token is not None and token.text == "(":
        inner = next(stream, None)
        if inner is None or (inner.is_word("SELECT", "WITH") and not is_function):
            return token  # a query in parentheses; its tokens have depth 1
        token = _skip_brackets(stream, inner)
    return token


def _skip_brackets(stream: Iterator[SqlToken], token: SqlToken | None = None) -> SqlToken | None:
    """Read to the end of a group at depth 0; return the token behind it."""
    while token is None or token.depth > 0 or token.text not in (")", "}"):
        token = next(stream, None)
        if token is None:
            return None
    return next(stream, None)


def _skip_settings(stream: Iterator[SqlToken]) -> SqlToken | None:
    """Read ``name = value, ...``; return the token behind them."""
    while True:
        next(stream, None)  # the name, whatever it is
        token = next((one for one in stream if one.text == "," or one.is_word(*_AFTER_TARGET) or one.text == "("), None)
        if token is None or token.text != ",":
            return token


def _parse_insert_select(sql: bytes, stream: Iterator[SqlToken]) -> InsertStatement | None:
    """``SELECT ... FROM input('structure') ... FORMAT f``: the data passes through the SELECT."""
    source: tuple[int, int, bytes] | None = None
    opened: SqlToken | None = None
    behind = [_NO_TOKEN, _NO_TOKEN]
    for token in stream:
        before, previous = behind
        if source is None and opened is None:
            if token.text == "(" and previous.is_word("INPUT") and before.is_word("FROM", "JOIN"):
                opened = token
                start = previous.start
        elif source is None and opened is not None and token.text == ")" and token.depth == opened.depth:
            source = (start, token.end, sql[opened.end : token.start])
        elif source is not None and token.depth == 0 and token.kind == "word" and previous.is_word("FORMAT"):
            return InsertStatement(sql[: previous.start], token.text, _skip_line_break(sql, token.end), source)
        behind = [previous, token]
    return None


def _skip_line_break(sql: bytes, at: int) -> int:
    """Data starts after the first line break behind the format's name, or after the blanks when there is none."""
    while sql[at : at + 1] in (b" ", b"\t", b"\f"):
        at += 1
    if sql[at : at + 1] == b"\r":
        at += 1
    if sql[at : at + 1] == b"\n":
        at += 1
    return at


def _parse_plain(sql: bytes) -> PlainStatement:
    verb, end, is_client_file = "", 0, False
    clause: tuple[str, int, int] | None = None  # the FORMAT clause seen last: name, start, end
    before, previous = _NO_TOKEN, _NO_TOKEN
    for token in _tokens(sql):
        if not verb and token.kind == "word":
            verb = token.upper
        if token.depth > 0 or token.kind == "end":
            continue
        end = token.end
        if clause is not None and previous.start < clause[2] <= token.start and not token.is_word("SETTINGS"):
            clause = None  # it was a name: something else than SETTINGS follows
        if previous.is_word("FORMAT") and token.kind == "word" and before.kind and not _wants_operand(before, verb):
            clause = token.text, previous.start, token.end
        is_client_file = is_client_file or _names_client_file(before, previous, token)
        before, previous = previous, token
    name, cut, resume = clause or (None, end, end)
    return PlainStatement(verb, name, cut, resume, end, is_client_file)


_NO_TOKEN = SqlToken("", "", -1)


def _wants_operand(token: SqlToken, verb: str) -> bool:
    if token.kind != "word":
        return token.text in _BEFORE_OPERAND_SIGNS
    return token.upper in _BEFORE_OPERAND or (verb not in _QUERIES and token.upper in _BEFORE_NAME)


def _names_client_file(one: SqlToken, two: SqlToken, three: SqlToken) -> bool:
    """``INTO OUTFILE 'f'`` or ``FROM INFILE 'f'``: the name of the file is a literal, which cannot follow a table of that name."""
    if three.kind != "string":
        return False
    return (one.is_word("INTO") and two.is_word("OUTFILE")) or (one.is_word("FROM") and two.is_word("INFILE"))


def calls(sql: bytes, *names: str) -> bool:
    """Whether a function (or a table engine) of one of these names, given in lower case, is called."""
    pairs = itertools.pairwise(_tokens(sql))
    return any(two.text == "(" and one.identifier.lower() in names for one, two in pairs)


def replace_strings(sql: str, replacements: Mapping[str, str]) -> str:
    """Replace string literals by others.

    Args:
        sql: The statement.
        replacements: New values by old ones.
    """
    pieces, at = [], 0
    for token in tokenize(sql, SqlDialect.CLICKHOUSE):
        if token.kind == "string" and token.text[1:-1] in replacements:
            pieces += [sql[at : token.start], quote_string(replacements[token.text[1:-1]])]
            at = token.end
    return "".join([*pieces, sql[at:]])


def quote_identifier(name: str) -> str:
    """Return a name in backquotes."""
    return "`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`"


def quote_string(text: str) -> str:
    """Return a text as a string literal; bytes that are not UTF-8 (surrogates of ``surrogateescape``) as escapes."""
    literal = text.replace("\\", "\\\\").replace("'", "\\'")
    return "'" + "".join(f"\\x{ord(one) - 0xDC00:02X}" if "\udc80" <= one <= "\udcff" else one for one in literal) + "'"
