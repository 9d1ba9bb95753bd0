"""A text is cut into statements where a person would cut it."""

from __future__ import annotations

import pytest

from clickreel.flink.sql_errors import SqlError
from clickreel.flink.statement_splitter import is_complete, split_statements


def texts(sql: str, *, backslash: bool = False) -> list[str]:
    """The statements' texts."""
    return [statement.text for statement in split_statements(sql, backslash=backslash)]


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("select 1", ["select 1"]),
        ("select 1; select 2;", ["select 1", "select 2"]),
        (";;  ;", []),
        ("-- only a comment; really\n", []),
        ("select 'a;b'; select `c;d`", ["select 'a;b'", "select `c;d`"]),
        ("select 'it''s; fine' -- no; end\n, 2;", ["select 'it''s; fine' -- no; end\n, 2"]),
        ("/* a; b */ select 1 /* c */; ", ["select 1"]),
        ("select /*+ OPTIONS('a'='b;c') */ 1;", ["select /*+ OPTIONS('a'='b;c') */ 1"]),
        ('select "a;b"; x', ['select "a;b"', "x"]),
        ("select $rowtime from `default`.`cluster_0`.`dvd_clicks` limit 20;", None),
    ],
)
def test_semicolons_end_statements_except_in_strings_names_and_comments(sql: str, expected: list[str] | None) -> None:
    """A semicolon in a string, a quoted name, a comment or a hint ends nothing."""
    assert texts(sql) == (expected if expected is not None else [sql.removesuffix(";")])


def test_a_statement_set_is_one_statement_in_both_spellings() -> None:
    """`BEGIN STATEMENT SET; ... END;` is what Flink's own client takes, `EXECUTE STATEMENT SET` what the gateway takes."""
    inner = "\n insert into a select 1;\n insert into b select 2;\nEND"
    execute = f"EXECUTE STATEMENT SET BEGIN{inner};"
    client = f"BEGIN STATEMENT SET;{inner}; select 3"
    assert texts(execute) == [f"EXECUTE STATEMENT SET BEGIN{inner}"]
    assert texts(client) == [f"EXECUTE STATEMENT SET BEGIN{inner}", "select 3"]


def test_clickhouse_escapes_with_a_backslash() -> None:
    r"""On the warehouse `\\\\'` is a quote in a string."""
    assert texts(r"select 'a\'; b'; select 2", backslash=True) == [r"select 'a\'; b'", "select 2"]


@pytest.mark.parametrize(
    ("sql", "line", "column"), [("select 'a", 1, 8), ("select 1;\n  select `a", 2, 10), ("/* x\n y", 1, 1)]
)
def test_what_does_not_end_is_named_with_its_place(sql: str, line: int, column: int) -> None:
    """The place is where the string, name or comment begins."""
    with pytest.raises(SqlError) as raised:
        split_statements(sql)
    assert (raised.value.line, raised.value.column) == (line, column)


def test_a_statement_knows_its_place_in_the_source() -> None:
    """A place in a statement becomes a place in the source."""
    first, second = split_statements("select 1;\n\n  select a,\n b from c")
    assert (first.line, first.column) == (1, 1)
    assert (second.line, second.column) == (3, 3)
    assert second.source_position(1, 8) == (3, 10)
    assert second.source_position(2, 2) == (4, 2)


def test_its_own_limit_is_seen() -> None:
    """A LIMIT at the end bounds the whole statement, behind an OFFSET too."""
    assert [s.limit for s in split_statements("select 1 limit 20; select 2; select 3 limit 5 offset 2")] == [
        20,
        None,
        5,
    ]


def test_enter_runs_only_what_is_complete() -> None:
    """At the prompt Enter runs a text that ends a statement and opens a new line otherwise."""
    assert is_complete("select 1;")
    assert is_complete("")
    assert not is_complete("select 1")
    assert not is_complete("select 'a;")
    assert not is_complete("begin statement set; insert into a select 1;")
