"""`clickreel sql` as it is typed: forms of output, exit codes, the prompt, the warehouse."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest
from prompt_toolkit.application import create_app_session
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput

from clickreel.cli.app import run
from clickreel.cli.flink_runner import FlinkRunner
from clickreel.cli.sql_prompt import prompt
from clickreel.cli.sql_runner import SqlOptions
from clickreel.events import Deliveries
from clickreel.flink.changelog import ChangelogView
from clickreel.flink.gateway_client import RestGateway, format_timestamp
from clickreel.local.stack import Stack
from tests.flink.conftest import Open, written

Stream = tuple[str, Deliveries]


def clickreel(*arguments: str, typed: str = "") -> subprocess.CompletedProcess[str]:
    """Run a command of clickreel to its end, in this process: starting Python takes longer than most statements."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.setattr(sys, "stdin", io.StringIO(typed))
        patch.setenv("CLICKREEL_DEBUG", "")  # what --debug sets for the process ends with the command
        code = run(list(arguments))
    return subprocess.CompletedProcess(arguments, code, out.getvalue(), err.getvalue())


def table_on(topic: str) -> str:
    """A statement that names a topic `t`."""
    return f"create temporary table t with ('topic' = '{topic}') like dvd_clicks (overwriting options);"


pytestmark = pytest.mark.usefixtures("gateway", "kafka")


def test_json_is_an_object_a_row_and_changes_are_folded_at_the_end(stream: Stream) -> None:
    """A result that changes and ends is printed once, as the table that it is."""
    counts: dict[str, int] = {}
    for event in written(stream[1]):
        counts[event["device"]] = counts.get(event["device"], 0) + 1
    done = clickreel(
        "sql", "-e", table_on(stream[0]) + "select device, count(*) n from t group by device", "--json", "--until-now"
    )
    assert done.returncode == 0, done.stderr
    assert sorted((row["device"], row["n"]) for row in map(json.loads, done.stdout.splitlines())) == sorted(
        counts.items()
    )


def test_the_changelog_can_be_printed_as_it_comes(stream: Stream) -> None:
    """Each line says what it does; folded by the reader it is the same table."""
    done = clickreel(
        "sql", "-e", table_on(stream[0]) + "select count(*) n from t", "--json", "--changelog", "--until-now"
    )
    fold = ChangelogView()
    fold.add([(row["op"], [row["n"]]) for row in map(json.loads, done.stdout.splitlines())])
    assert fold.rows() == [[len(stream[1])]]


def test_csv_and_table_and_limits(stream: Stream) -> None:
    """--limit bounds the rows of a query whose rows are final; --timeout ends one that would go on."""
    sql = table_on(stream[0]) + "select event_id, film_id, event_ts from t"
    done = clickreel("sql", "-e", sql, "--csv", "--limit", "7")
    lines = list(csv.reader(io.StringIO(done.stdout)))
    assert lines[0] == ["event_id", "film_id", "event_ts"]
    assert len(lines) == 8
    # What comes before the time is up is printed; the rest is not waited for.
    done = clickreel("sql", "-", "--table", "--timeout", "3", typed=sql)
    assert done.returncode == 0
    assert done.stdout.splitlines()[0].split() == ["event_id", "film_id", "event_ts"]


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("create view v as select 1 as x", "this view is known to this session only"),
        (
            "create table d with ('topic' = 'd') like dvd_clicks (overwriting options)",
            "this table is known to this session only",
        ),
        (
            "create table dropped_again (k int); drop table dropped_again",
            "dropped in this session only: the topic and its schemas stay",
        ),
        ("create temporary view v as select 1 as x", ""),
    ],
)
def test_what_the_next_session_will_not_know_is_said(sql: str, said: str) -> None:
    """Exit code 0 alone would promise that it is there to stay."""
    done = clickreel("sql", "-e", sql)
    assert done.returncode == 0, done.stderr
    assert said in done.stderr if said else not done.stderr


def test_mistakes_are_shown_at_their_place_with_exit_code_2(tmp_path: Path) -> None:
    """The line of the file, a mark under the word, two lines of words, no trace."""
    file = tmp_path / "wrong.sql"
    file.write_text("select 1;\nselect film_di\nfrom dvd_clicks;\n")
    done = clickreel("sql", str(file), "--csv")
    assert done.returncode == 2
    assert done.stdout == "EXPR$0\n1\n"
    shown = done.stderr.splitlines()
    assert shown[-4:] == [
        "    2 | select film_di",
        "      |        ^^^^^^^",
        "error: line 2, column 8: column 'film_di' not found in any table",
        "hint: did you mean film_id?",
    ]
    traced = clickreel("--debug", "sql", str(file))
    assert "CalciteContextException" in traced.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["sql", "nowhere.sql"], "no file nowhere.sql"),
        (["sql", "-e", " -- nothing"], "-e holds no statement"),
        (["sql", "-e", "select 1", "--json", "--csv"], "only one of --json, --csv and --table"),
        (["sql", "sample", "-e", "select 1"], "both a file and -e"),
        (["sql", "-e", "select 1", "--engine", "duckdb"], "--engine is 'duckdb'"),
        (["sql", "-e", "select 1", "--from", "noon"], "--from is 'noon'"),
        (["statement", "show", "nobody"], "there is no statement nobody"),
        (["statement", "stop", "nobody"], "there is no statement nobody"),
    ],
)
def test_impossible_calls_are_refused_in_two_lines(arguments: list[str], said: str) -> None:
    """Exit code 2, what, and a hint."""
    done = clickreel(*arguments)
    assert done.returncode == 2
    error, hint = done.stderr.splitlines()[-2:]
    assert error.startswith("error: ")
    assert said in error
    assert hint.startswith("hint: ")


def test_a_gateway_that_is_not_there_is_said_to_be_away(tmp_path: Path) -> None:
    """A named gateway is asked, not replaced by the local one."""
    profile = tmp_path / "client.properties"
    profile.write_text("bootstrap.servers=127.0.0.1:9\nflink.gateway.url=http://127.0.0.1:9\n")
    done = clickreel("sql", "-e", "select 1", "--profile", str(profile))
    assert done.returncode == 4
    assert "http://127.0.0.1:9 does not answer" in done.stderr


def test_the_same_prompt_asks_the_warehouse(stack: Stack) -> None:
    """`--engine clickhouse` takes the same options and prints the same forms."""
    stack.ensure(["clickhouse"])
    done = clickreel("sql", "--engine", "clickhouse", "-e", r"select 1 as a, 'it\'s; so' as b; select 2 as a", "--json")
    assert [json.loads(line) for line in done.stdout.splitlines()] == [{"a": 1, "b": "it's; so"}, {"a": 2}], done.stderr
    wrong = clickreel("sql", "--engine", "clickhouse", "-e", "select nothing from nowhere")
    assert wrong.returncode != 0
    assert "Traceback" not in wrong.stderr


def test_the_prompt_reads_many_lines_completes_and_goes_on_after_a_mistake(
    open_workspace: Open, stream: Stream, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Enter ends a statement only behind its semicolon; a mistake is shown and the next statement runs."""
    runner = FlinkRunner(open_workspace(stream[0]), SqlOptions(form="csv"))
    with create_pipe_input() as keys, create_app_session(input=keys, output=DummyOutput()):
        keys.send_text("select nope from dvd_clicks;\r")
        keys.send_text("select count(*) as n\rfrom dvd_clicks;\r")
        keys.send_text("help\r")
        keys.send_text("quit\r")
        assert prompt(runner, tmp_path / "history") == 0
    seen = capsys.readouterr()
    assert seen.out.splitlines() == ["n", str(len(stream[1]))]
    assert "column 'nope' not found" in seen.err
    assert "clicks_per_minute" in seen.err
    assert "select count(*) as n" in (tmp_path / "history").read_text()
    assert {"dvd_clicks", "film_id", "$rowtime"} <= set(runner.words())


def test_timestamps_are_written_as_the_topic_writes_them(gateway: RestGateway) -> None:
    """Not in ISO 8601, whatever zeros Flink leaves out."""
    del gateway
    assert format_timestamp("2025-12-27T12:18:51.7Z", 3) == "2025-12-27 12:18:51.700"
    assert format_timestamp("2025-12-27T12:18", 3) == "2025-12-27 12:18:00.000"
    assert format_timestamp("2025-12-27T12:18:51", 0) == "2025-12-27 12:18:51"


def test_a_fold_keeps_equal_rows_apart_and_updates_in_place() -> None:
    """A row that is taken back leaves its equals; an update stands where the row stood."""
    fold = ChangelogView()
    fold.add([("+I", ["a", 1]), ("+I", ["a", 1]), ("+I", ["b", 2])])
    fold.add([("-U", ["a", 1]), ("+U", ["a", 5])])
    assert fold.rows() == [["a", 1], ["a", 5], ["b", 2]]
    fold.add([("-D", ["b", 2]), ("-D", ["never", 0])])
    assert fold.rows() == [["a", 1], ["a", 5]]
