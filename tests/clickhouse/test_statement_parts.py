"""The seams of statements: found without a parser of SQL, so checked on what could mislead."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clickreel.local.clickhouse.statement_parts import InsertStatement, PlainStatement, parse, quote_string
from clickreel.sql_tokens import SqlDialect, tokenize


@pytest.mark.parametrize(
    ("sql", "head", "data_format", "data"),
    [
        (b"INSERT INTO t FORMAT CSV\n1,2", b"INSERT INTO t ", "CSV", b"1,2"),
        (b"insert into t format CSV 1,2", b"insert into t ", "CSV", b"1,2"),
        (b"INSERT INTO t FORMAT Native\r\n\x02\xff", b"INSERT INTO t ", "Native", b"\x02\xff"),
        (b"INSERT INTO t FORMAT Native \n\n\x02", b"INSERT INTO t ", "Native", b"\n\x02"),
        (b"INSERT INTO t (a, `format`) VALUES (1)", b"INSERT INTO t (a, `format`) ", "Values", b" (1)"),
        (b"INSERT INTO t (values) FORMAT Values (1)", b"INSERT INTO t (values) ", "Values", b"(1)"),
        (b"/* FORMAT x */ INSERT INTO t -- VALUES\n SETTINGS a=1 VALUES", b"/* FORMAT x */ INSERT INTO t -- VALUES\n SETTINGS a=1 ", "Values", b""),
        (b"INSERT INTO values VALUES (1)", b"INSERT INTO values ", "Values", b" (1)"),
        (b"INSERT INTO format FORMAT CSV 1", b"INSERT INTO format ", "CSV", b"1"),
        (b"INSERT INTO values.select (format) SETTINGS format = 1 FORMAT CSV 1", b"INSERT INTO values.select (format) SETTINGS format = 1 ", "CSV", b"1"),
        (b"INSERT INTO t SELECT format x FROM input('format Int8') FORMAT CSV 1", b"INSERT INTO t SELECT format x FROM input('format Int8') ", "CSV", b"1"),
        (b"INSERT INTO FUNCTION file('a FORMAT CSV') FORMAT TSV", b"INSERT INTO FUNCTION file('a FORMAT CSV') ", "TSV", b""),
    ],
)  # fmt: skip
def test_where_data_begins(sql: bytes, head: bytes, data_format: str, data: bytes) -> None:
    """Text and data are cut where a server cuts them."""
    parsed = parse(sql)
    assert isinstance(parsed, InsertStatement)
    assert (parsed.head, parsed.format, sql[parsed.data_at :]) == (head, data_format, data)


def test_the_place_of_input() -> None:
    """``input()`` is found with its structure, brackets inside it included."""
    sql = b"INSERT INTO t SELECT f(a) FROM input('a Array(Tuple(Int8, String))') WHERE (a) FORMAT CSV"
    parsed = parse(sql)
    assert isinstance(parsed, InsertStatement)
    assert parsed.source is not None
    start, end, structure = parsed.source
    assert parsed.head[start:end] == b"input('a Array(Tuple(Int8, String))')"
    assert structure == b"'a Array(Tuple(Int8, String))'"


@pytest.mark.parametrize(
    ("sql", "verb", "output", "before"),
    [
        (b"SELECT 1", "SELECT", None, b"SELECT 1"),
        (b"select 1 format JSON;", "SELECT", "JSON", b"select 1 "),
        (b"SELECT 1 FORMAT JSON SETTINGS a=1 -- end", "SELECT", "JSON", b"SELECT 1 "),
        (b"SELECT 'x FORMAT CSV' ; ", "SELECT", None, b"SELECT 'x FORMAT CSV'"),
        (b"SELECT format FROM t", "SELECT", None, b"SELECT format FROM t"),
        (b"SELECT 1 AS format FORMAT TSV", "SELECT", "TSV", b"SELECT 1 AS format "),
        (b"(SELECT 1 FORMAT JSON)", "SELECT", None, b"(SELECT 1 FORMAT JSON)"),
        (b"INSERT INTO t SELECT 1", "INSERT", None, b"INSERT INTO t SELECT 1"),
        (
            b"WITH 1 AS x SELECT $tag$ it's FORMAT CSV $tag$",
            "WITH",
            None,
            b"WITH 1 AS x SELECT $tag$ it's FORMAT CSV $tag$",
        ),
        (b"SELECT count() FROM infile", "SELECT", None, b"SELECT count() FROM infile"),
        (b"SELECT count() FROM format c", "SELECT", None, b"SELECT count() FROM format c"),
        (
            b"SELECT format AS outfile FROM outfile FORMAT CSV",
            "SELECT",
            "CSV",
            b"SELECT format AS outfile FROM outfile ",
        ),
        (b"INSERT INTO outfile SELECT 1", "INSERT", None, b"INSERT INTO outfile SELECT 1"),
        (b"INSERT INTO t SELECT format FROM t2", "INSERT", None, b"INSERT INTO t SELECT format FROM t2"),
        (b"INSERT INTO t (SELECT 1)", "INSERT", None, b"INSERT INTO t (SELECT 1)"),
        (b"SELECT 1 ORDER BY 1 DESC\n FORMAT Native", "SELECT", "Native", b"SELECT 1 ORDER BY 1 DESC\n "),
        (
            b"SELECT max(a) FROM t GROUP BY partition FORMAT Native",
            "SELECT",
            "Native",
            b"SELECT max(a) FROM t GROUP BY partition ",
        ),
        (b"SELECT 1 AS table FORMAT Native;", "SELECT", "Native", b"SELECT 1 AS table "),
        (b"DESCRIBE TABLE t FORMAT Native", "DESCRIBE", "Native", b"DESCRIBE TABLE t "),
        (b"DROP TABLE format SYNC", "DROP", None, b"DROP TABLE format SYNC"),
        (b"", "", None, b""),
    ],
)
def test_where_a_result_is_redirected(sql: bytes, verb: str, output: str | None, before: bytes) -> None:
    """The place of INTO OUTFILE is before FORMAT, or at the end of the text."""
    parsed = parse(sql)
    assert isinstance(parsed, PlainStatement)
    assert (parsed.verb, parsed.format, sql[: parsed.cut], parsed.outfile) == (verb, output, before, False)


@pytest.mark.parametrize(
    "sql",
    [
        b"SELECT 1 INTO OUTFILE 'x'",
        b"select 1 into/**/outfile 'x' format CSV",
        b"INSERT INTO t FROM INFILE 'x' FORMAT CSV",
    ],
)
def test_files_of_the_client_are_noticed(sql: bytes) -> None:
    """INTO OUTFILE and FROM INFILE are seen through comments."""
    parsed = parse(sql)
    assert isinstance(parsed, PlainStatement)
    assert parsed.outfile


@given(st.binary(max_size=200))
def test_any_bytes_are_cut_into_pieces_in_order(sql: bytes) -> None:
    """Whatever comes is cut without loss of order, and parsed without a failure."""
    ends = 0
    for token in tokenize(sql.decode("latin-1"), SqlDialect.CLICKHOUSE):
        assert ends <= token.start < token.end <= len(sql)
        ends = token.end
    parse(sql)


@given(st.text())
def test_a_quoted_text_is_one_piece(text: str) -> None:
    """A quoted text cannot end its literal early."""
    literal = quote_string(text)
    first, *_ = tokenize(literal + " + 1", SqlDialect.CLICKHOUSE)
    assert (first.kind, first.text) == ("string", literal)
