"""Errors come in words: where, which word, and what would be right."""

from __future__ import annotations

import pytest

from clickreel.events import Deliveries
from clickreel.flink.sql_errors import FlinkError, SqlError, UnreadableError, explain_trace, parse_causes
from tests.flink.conftest import Open, Topics, one, rows

GOOD = (
    b'{"event_id":"84e0e977-9ee7-4eec-9cd6-f7655e481cb3","event_ts":"2025-12-27 12:18:51.766","user_id":"u_10",'
    b'"session_id":"s_53482d2c","film_id":331,"event_type":"view","page":"browse","position":9,"device":"tablet",'
    b'"referrer":"recommendation"}'
)


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
    with pytest.raises(FlinkError, match=r"/ by zero, at the record \{"):
        rows(open_workspace(stream[0]), "select film_id / (film_id - film_id) from dvd_clicks")


@pytest.mark.parametrize(
    ("broken", "field"),
    [
        (b'{"event_id": "x', "event_id"),
        (GOOD.replace(b"331", b'"many"'), "film_id"),
        (GOOD.replace(b"2025-12-27 12:18:51.766", b"2025-12-27T12:18:51Z"), "event_ts"),
        (GOOD.replace(b'"page":"browse",', b""), ""),  # Flink does not say which
        (GOOD.replace(b"u_10", b"u_\xff"), "user_id"),
    ],
)
def test_a_record_that_cannot_be_read_ends_the_query_and_is_found(
    open_workspace: Open, topics: Topics, broken: bytes, field: str
) -> None:
    """The error holds the field and the text; the record is found by it, with partition and offset."""
    from clickreel.flink import bad_records

    topic = topics.make(2)
    topics.put([(b'"u_10"', GOOD, 0)] * 3 + [(b'"u_10"', broken, 0)], topic)
    workspace = open_workspace(topic)
    with pytest.raises(UnreadableError) as raised:
        rows(workspace, "select * from dvd_clicks")
    assert raised.value.field == field
    place = bad_records.find_record(workspace.profile, [topic], raised.value.text)
    assert place is not None
    assert (place.topic, place.offset) == (topic, 3)
    assert place.why
    assert raised.value.exit_code == 5


def test_skipped_records_and_silent_nulls_are_counted(open_workspace: Open, topics: Topics) -> None:
    """With `skip` Flink drops what it cannot read and makes a broken field NULL in silence; both are told apart and counted."""
    from clickreel.flink import bad_records

    topic = topics.make(1)
    bad = [
        b"not json",
        GOOD[:40],
        GOOD.replace(b"331", b'"many"'),
        GOOD.replace(b'"page":"browse",', b""),
        GOOD.replace(b"tablet", b"fridge"),
    ]
    topics.put([(b'"u_10"', value, 0) for value in [GOOD, *bad, GOOD]], topic)
    workspace = open_workspace(topic, bad_records="skip")
    got = rows(workspace, "select film_id, page, device from dvd_clicks")
    assert sorted(got, key=str) == sorted(
        [
            [331, "browse", "tablet"],
            [None, "browse", "tablet"],
            [331, None, "tablet"],
            [331, "browse", "fridge"],
            [331, "browse", "tablet"],
        ],
        key=str,
    )
    found = bad_records.count_bad_records(workspace.profile, topic, {})
    assert (found.read, found.skipped, dict(found.nulls), found.kept) == (7, 2, {"film_id": 1, "page": 1}, 1)
    assert found.first is not None
    assert found.first.offset == 1
    assert (
        "2 were skipped; 2 have a field that became NULL (film_id 1, page 1); 1 were read as they are" in found.words()
    )


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
