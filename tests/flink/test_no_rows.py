"""A query without rows is told why."""

from __future__ import annotations

import time

from clickreel.events import Deliveries
from clickreel.flink import no_rows
from tests.flink.conftest import Open, Topics, one

Stream = tuple[str, Deliveries]


def reasons_of(open_workspace: Open, topic: str, sql: str, expected: str, **settings: object) -> list[str]:
    """Run until the reason is the expected one: before the job runs there are others."""
    workspace = open_workspace(topic, until_now=False, **settings)
    deadline = time.monotonic() + 20
    found: list[str] = []
    with workspace.query(one(sql)) as query:
        for batch in query:
            assert not batch
            found = no_rows.find_reasons(workspace, query)
            if expected in " ".join(found):
                break
            assert time.monotonic() < deadline, found
            time.sleep(0.2)
    return found


def test_an_empty_topic(open_workspace: Open, topics: Topics) -> None:
    """It is empty, and how to fill it."""
    found = reasons_of(open_workspace, topics.make(2), "select * from dvd_clicks", "is empty")
    assert "no record in its 2 partitions" in found[0]
    assert "clickreel up" in found[0]


def test_a_statement_at_the_end_of_a_topic(open_workspace: Open, stream: Stream) -> None:
    """It reads what is new, and nothing is."""
    reasons_of(open_workspace, stream[0], "select * from dvd_clicks", "nothing new has arrived", start_from="latest")


def test_a_where_that_lets_nothing_through(open_workspace: Open, stream: Stream) -> None:
    """How many records were read in vain."""
    sql = "select * from dvd_clicks where film_id < 0"
    reasons_of(open_workspace, stream[0], sql, f"read {len(stream[1]):,} records, and the WHERE let none")


def test_a_window_that_no_later_event_has_closed(open_workspace: Open, topics: Topics, stream: Stream) -> None:
    """Where the watermark stands."""
    few = stream[1].take(slice(0, 5))
    sql = "select count(*) from table(tumble(table dvd_clicks, descriptor(`$rowtime`), interval '1' day)) group by window_start, window_end"
    found = reasons_of(open_workspace, topics.fill(few, partitions=1), sql, "the watermark stands at 2026-01-01")
    assert "--until-now" in found[0]


def test_a_partition_without_records_holds_the_watermark_back(
    open_workspace: Open, topics: Topics, stream: Stream
) -> None:
    """Unless idle partitions are left out, there is no watermark at all."""
    few = stream[1].take(slice(0, 5))
    sql = "select count(*) from table(tumble(table dvd_clicks, descriptor(`$rowtime`), interval '1' minute)) group by window_start, window_end"
    topic = topics.fill(few, partitions=8)
    found = reasons_of(open_workspace, topic, sql, "no watermark yet", idle_partition_s=0.0)
    assert "idle-timeout" in found[0]
