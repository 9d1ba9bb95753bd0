"""The seed's own query runs unchanged, and stops."""

from __future__ import annotations

import time

import orjson

from clickreel.contract.encode import encode
from clickreel.events import Deliveries
from clickreel.flink.statement_store import STOPPED
from clickreel.flink.workspace import Row
from tests.flink.conftest import Open, at_rest, one

SAMPLE = (
    "select $rowtime, `event_id`, `event_ts`, `user_id`, `session_id`, `film_id`, `event_type`, `page`, `position`, `device`,"
    " `referrer` from `default`.`cluster_0`.`dvd_clicks` limit 20;"
)


def test_the_sample_gives_twenty_events_as_they_were_written(
    open_workspace: Open, stream: tuple[str, Deliveries]
) -> None:
    """Every field of every row is what the event holds, and `$rowtime` its record's timestamp."""
    topic, deliveries = stream
    workspace = open_workspace(topic, until_now=False)
    rows: list[Row] = []
    with workspace.query(one(SAMPLE)) as query:
        for batch in query:
            rows += batch
            if len(rows) >= 20:
                break
    assert [kind for kind, _ in rows] == ["+I"] * 20
    assert [column.name for column in query.columns][:3] == ["$rowtime", "event_id", "event_ts"]
    written = {event["event_id"]: event for event in map(orjson.loads, encode(deliveries).values.to_pylist())}
    for _, cells in rows:
        given = dict(zip([column.name for column in query.columns], cells, strict=True))
        rowtime = given.pop("$rowtime")
        assert given == written[given["event_id"]]
        assert rowtime == given["event_ts"]  # without flaws an event is delivered at its own time


def test_a_query_that_is_left_frees_its_slot_within_a_second(
    open_workspace: Open, stream: tuple[str, Deliveries]
) -> None:
    """Leaving the loop stops the job: the slot is free again within a second, and the list says it was stopped."""
    workspace = open_workspace(stream[0], until_now=False)
    cluster = workspace.cluster()
    assert cluster is not None
    before = at_rest(cluster)
    with workspace.query(one("select count(*) from dvd_clicks")) as query:
        for batch in query:
            if batch:
                break
        assert cluster.slots().free == before.free - 1
        begun = time.monotonic()
    assert at_rest(cluster) == before
    assert time.monotonic() - begun < 1.5  # one second on a machine that does nothing else
    entry = workspace.statements.get(query.entry.name)
    assert entry is not None
    assert entry.state == STOPPED
