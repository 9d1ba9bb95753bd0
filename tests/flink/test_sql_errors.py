"""Errors come in words: where, which word, and what would be right."""

from __future__ import annotations

import json

import pytest

from clickreel.cli.flink_runner import FlinkRunner
from clickreel.cli.sql_runner import SqlOptions
from clickreel.contract.verdict import judge_record
from clickreel.events import Deliveries
from clickreel.flink import bad_records
from clickreel.flink.sql_errors import FlinkError, RefusedRecordError, SqlError, explain_trace, parse_causes
from tests.flink.conftest import Open, Topics, one, rows
from tests.sample_event import SAMPLE_VALUE as GOOD


@pytest.mark.parametrize(
    "case",
    [
        ("selec 1", 1, 1, "'selec' is not the beginning of a statement", "did you mean SELECT?"),
        ("select foo from dvd_clicks", 1, 8, "column 'foo' not found in any table", "columns of dvd_clicks: key, "),
        ("select film_di from dvd_clicks", 1, 8, "column 'film_di' not found", "did you mean film_id?"),
        ("select 1;\n select *\n from dvd_click", 3, 7, "object 'dvd_click' not found", "did you mean dvd_clicks?"),
        ("select * fro dvd_clicks", 1, 14, "did not expect 'dvd_clicks'", "did you mean FROM instead of fro?"),
        ("select film_id from dvd_clicks where", 1, 36, "the statement ends too early", ""),
        (
            "select count(*) from dvd_clicks grup by film_id",
            1,
            38,
            "did not expect 'by",
            "did you mean GROUP instead of grup?",
        ),
        (
            "select nothing(film_id) from dvd_clicks",
            1,
            8,
            "no match found for function signature nothing",
            "SHOW FUNCTIONS",
        ),
        ("select * from dvd_clicks where film_id = 'a' + 1 and x", 1, 54, "column 'x' not found", ""),
        ("select\n  film_id,\n  nope\nfrom dvd_clicks", 3, 3, "column 'nope' not found", ""),
    ],
)
def test_a_mistake_is_named_with_line_column_and_what_would_be_right(
    open_workspace: Open, stream: tuple[str, Deliveries], case: tuple[str, int, int, str, str]
) -> None:
    """The place is the one in the whole text, not in the statement."""
    sql, line, column, message, hint = case
    with pytest.raises(SqlError) as raised:
        rows(open_workspace(stream[0]), sql)
    error = raised.value
    assert (error.line, error.column) == (line, column)
    assert message in error.message
    assert hint in error.hint
    assert "Exception" not in error.message + error.hint
    assert error.exit_code == 2


@pytest.mark.parametrize(
    ("sql", "message", "hint"),
    [
        ("select * from dvd_clicks order by film_id", "sort on a non-time-attribute field", "add LIMIT n"),
        (
            (
                "select count(*) from table(tumble(table dvd_clicks, descriptor(event_ts), interval '1' minute))"
                " group by window_start, window_end"
            ),
            "time attribute",
            "use `$rowtime`",
        ),
    ],
)
def test_what_a_stream_cannot_do_is_answered_with_the_way_round_it(
    open_workspace: Open, stream: tuple[str, Deliveries], sql: str, message: str, hint: str
) -> None:
    """The planner's refusals that a newcomer meets first."""
    with pytest.raises(SqlError, match=message) as raised:
        rows(open_workspace(stream[0]), sql)
    assert hint in raised.value.hint


def test_a_connector_that_is_not_there_is_answered_with_those_that_are(
    open_workspace: Open, stream: tuple[str, Deliveries]
) -> None:
    """The hint lists what Flink could have used."""
    workspace = open_workspace(stream[0])
    workspace.execute(one("create table elsewhere (a int) with ('connector' = 'nope')"))
    with pytest.raises(SqlError, match="could not find any factory for identifier 'nope'") as raised:
        rows(workspace, "select * from elsewhere")
    assert "kafka" in raised.value.hint


def test_a_topic_that_does_not_exist_is_said_to(open_workspace: Open) -> None:
    """Flink waits for nothing and says so in a line."""
    with pytest.raises(FlinkError, match="the topic does not exist"):
        rows(open_workspace("flink-is-not-there"), "select * from dvd_clicks")


def test_a_division_by_zero_is_a_division_by_zero(open_workspace: Open, stream: tuple[str, Deliveries]) -> None:
    """A job that fails gives its innermost reason."""
    with pytest.raises(FlinkError, match="/ by zero"):
        rows(open_workspace(stream[0]), "select film_id / (film_id - film_id) from dvd_clicks")


GARBAGE = [
    GOOD + GOOD,
    GOOD + b" garbage",
    GOOD.replace(b'"position":9', b'"position":2.5'),
    GOOD.replace(b'"position":9', b'"position":9,"position":9'),
    b"[" + GOOD + b"]",
    b"not json",
    GOOD[:40],
    GOOD.replace(b"331", b'"many"'),
    GOOD.replace(b"331", b"2147483648"),
    GOOD.replace(b"331", b"0"),
    GOOD.replace(b"331", b"0331"),
    GOOD.replace(b'"page":"browse",', b""),
    GOOD.replace(b"tablet", b"fridge"),
    GOOD.replace(b"u_10", b"u_\xff"),
    GOOD.replace(b"u_10", b"u_11"),
    GOOD.replace(b"2025-12-27 12:18:51.766", b"2025-12-27T12:18:51Z"),
    GOOD.replace(b"}", b',"more":1}'),
    GOOD.replace(b'"tablet"', b'"tablet\\q"'),
    GOOD.replace(b"}", b',"devic\\u0065":"tablet"}'),
    None,
]
ACCEPTED = [
    GOOD,
    GOOD.replace(b"331", b"331.0"),
    GOOD.replace(b"331", b"3.31e2"),
    GOOD.replace(b'"view"', b'"\\u0076iew"'),
    GOOD.replace(b'"device"', b'"devic\\u0065"'),
    json.dumps(json.loads(GOOD), indent=2).encode(),
    json.dumps(dict(reversed(json.loads(GOOD).items()))).encode(),
    b"\x00\x00\x00\x00\x07" + GOOD,
]
VALUES = [*ACCEPTED[:3], *GARBAGE, *ACCEPTED[3:]]


@pytest.mark.parametrize("broken", GARBAGE)
def test_a_record_that_the_contract_refuses_ends_the_query_by_name(
    open_workspace: Open, topics: Topics, capsys: pytest.CaptureFixture[str], broken: bytes | None
) -> None:
    """The error holds partition, offset, the reason and the text; its exit code is 5."""
    topic = topics.make(2)
    topics.put([(b'"u_10"', GOOD, 0)] * 3 + [(b'"u_10"', broken, 0)], topic)
    with pytest.raises(RefusedRecordError) as raised:
        FlinkRunner(open_workspace(topic), SqlOptions(form="json")).run("select event_id from dvd_clicks")
    assert raised.value.offset == 3
    verdict = judge_record(b'"u_10"', broken)
    assert verdict.violation is not None
    assert f"{topic} partition {raised.value.partition} offset 3: {verdict.violation.text}" in raised.value.message
    assert raised.value.exit_code == 5
    assert "error" not in capsys.readouterr().out


def test_rows_are_the_records_that_the_contract_accepts(open_workspace: Open, topics: Topics) -> None:
    """Whatever their spelling and their frame; the others are counted and named by their offsets."""
    topic = topics.make(1)
    topics.put([(b'"u_10"', value, 0) for value in VALUES], topic)
    topics.put([(b' "u_1\\u0030" ', GOOD, 0), (b"u_10", GOOD, 0), (None, GOOD, 0)], topic)
    judged = [judge_record(b'"u_10"', value).is_valid for value in VALUES]
    assert judged == [value in ACCEPTED for value in VALUES]
    workspace = open_workspace(topic, bad_records="skip")
    got = rows(
        workspace, "select event_id, event_ts, film_id, event_type, `position`, device, `$rowtime` from dvd_clicks"
    )
    event = ["84e0e977-9ee7-4eec-9cd6-f7655e481cb3", "2025-12-27 12:18:51.766", 331, "view", 9, "tablet"]
    assert [row[:6] for row in got] == [event] * (len(ACCEPTED) + 1)
    report = bad_records.count_bad_records(workspace.profile, workspace.tables["dvd_clicks"], {})
    assert (report.read, report.bad) == (len(VALUES) + 3, len(GARBAGE) + 2)
    assert [place.offset for place in report.first] == [3, 4, 5, 6, 7]
    assert report.lines()[-1] == f"and {len(GARBAGE) + 2 - 5} more"


def test_a_view_of_the_contract_can_be_written_copied_and_shown(open_workspace: Open, topics: Topics) -> None:
    """INSERT INTO, LIKE and SHOW CREATE TABLE mean the table behind it, and mistakes keep their place in the text."""
    topic = topics.make(1)
    workspace = open_workspace(topic)
    columns = (
        "'\"u_10\"', '84e0e977-9ee7-4eec-9cd6-f7655e481cb3', timestamp '2025-12-27 12:18:51.766', 'u_10', 's_53482d2c'"
    )
    rows(workspace, f"insert into dvd_clicks values ({columns}, 331, 'view', 'browse', 9, 'tablet', 'recommendation')")
    assert rows(workspace, "select film_id, `key` from `default`.cluster_0.dvd_clicks") == [[331, '"u_10"']]
    assert "'connector' = 'kafka'" in str(rows(workspace, "show create table dvd_clicks"))
    with pytest.raises(SqlError) as raised:
        workspace.execute(one("insert into dvd_clicks select nope from dvd_clicks"))
    assert (raised.value.line, raised.value.column) == (1, 31)


def test_a_view_of_the_contract_takes_hints(open_workspace: Open, topics: Topics) -> None:
    """OPTIONS of a table mean the topic behind the view: here, where reading begins; its rows are still the accepted ones."""
    topic = topics.make(1)
    topics.put([(b'"u_10"', GOOD.replace(b"331", b"%d" % film), 0) for film in (1, 2, 3)], topic)
    topics.put([(b'"u_10"', b"no json", 0)], topic)
    workspace = open_workspace(topic, bad_records="skip")
    hint = (
        "/*+ OPTIONS('scan.startup.mode'='specific-offsets', 'scan.startup.specific-offsets'='partition:0,offset:1') */"
    )
    for name in ("dvd_clicks", "`default`.`cluster_0`.dvd_clicks"):
        assert rows(workspace, f"select film_id from {name} {hint} as t where t.film_id < 9") == [[2], [3]]
    assert rows(workspace, f"select count(*) from dvd_clicks {hint}") == [[2]]
    with pytest.raises(FlinkError, match="unsupported options"):
        rows(workspace, "select film_id from dvd_clicks /*+ OPTIONS('nope'='1') */")


def test_a_trace_is_read_from_outside_in() -> None:
    """Frames, `... n more` and the server's frame around them are left out; messages keep their lines."""
    trace = (
        "<Exception on server side:\norg.apache.flink.a.OuterException: outer\n\tat a.b.C.d(C.java:1)\n"
        "Caused by: java.lang.IllegalStateException: first line\nsecond line\n\t... 5 more\n\nEnd of exception on server side>"
    )
    assert [(cause.type, cause.text) for cause in parse_causes(trace)] == [
        ("OuterException", "outer"),
        ("IllegalStateException", "first line\nsecond line"),
    ]
    assert explain_trace(trace).message == "first line second line"
    assert explain_trace("nonsense").message == "nonsense"
    assert explain_trace("").message == "Flink gave no reason"
