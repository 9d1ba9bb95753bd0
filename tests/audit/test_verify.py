"""`verify` finds what was tampered with, names it, and finds nothing else."""

from __future__ import annotations

from dataclasses import replace

import pytest

from clickreel.audit.regenerate import ExpectedRun
from clickreel.audit.verification import VerificationReport
from clickreel.errors import VerificationError
from clickreel.warehouse.client import Client
from tests.audit.worlds import SPAN_MS, START_MS, Streamed
from tests.ingest.messages import NAME


def figures(report: VerificationReport, *names: str) -> list[tuple[int, ...]]:
    """Some figures of each partition."""
    return [tuple(getattr(one, name) for name in names) for one in report.partitions]


@pytest.fixture
def streamed(client: Client) -> Streamed:
    """A run that is produced and landed."""
    made = Streamed(client)
    made.land()
    return made


def test_a_whole_stream_has_no_difference(streamed: Streamed) -> None:
    """All three sides agree, and the checksums are not those of nothing."""
    report = streamed.verify()
    report.check()
    assert report.ok
    assert report.rows == sum(map(len, streamed.logs)) > 3000
    assert all(one.expected == one.kafka == one.landed for one in report.partitions)
    assert all(one.checksum_kafka == one.checksum_table != "0" * 16 for one in report.partitions)


def test_a_row_that_is_not_landed_is_missing(streamed: Streamed) -> None:
    """It is named by partition and offset."""
    streamed.client.command("DELETE FROM dvd_clicks_landing WHERE _partition = 1 AND _offset IN (7, 8)")
    report = streamed.verify()
    assert not report.ok
    assert figures(report, "missing", "doubled", "out_of_place") == [(0, 0, 0), (2, 0, 0), (0, 0, 0)]
    assert [(one["kind"], one["partition"], one["offset"]) for one in report.examples] == [
        ("missing", 1, 7),
        ("missing", 1, 8),
    ]
    with pytest.raises(VerificationError, match="partition 1 offset 7"):
        report.check()


def test_a_row_that_is_landed_twice_is_doubled(streamed: Streamed) -> None:
    """And nothing else is."""
    streamed.client.command(
        "INSERT INTO dvd_clicks_landing SELECT * FROM dvd_clicks_landing WHERE _partition = 2 AND _offset = 5"
    )
    assert figures(streamed.verify(), "missing", "doubled", "wrong") == [(0, 0, 0), (0, 0, 0), (0, 1, 0)]


def test_a_row_with_another_content_is_wrong(streamed: Streamed) -> None:
    """The column is named, and the checksums differ."""
    streamed.client.command(
        "ALTER TABLE dvd_clicks_landing UPDATE film_id = film_id + 1 WHERE _partition = 0 AND _offset = 3 SETTINGS mutations_sync = 2"
    )
    report = streamed.verify()
    assert figures(report, "missing", "doubled", "wrong") == [(0, 0, 1), (0, 0, 0), (0, 0, 0)]
    assert "film_id differs" in report.examples[0]["text"]
    assert report.partitions[0].checksum_kafka != report.partitions[0].checksum_table


def test_a_row_without_a_record_is_extra(streamed: Streamed) -> None:
    """Behind the end of Kafka as well: such a row was made of something that Kafka has lost."""
    last = len(streamed.logs[0]) - 1
    streamed.client.command(
        "INSERT INTO dvd_clicks_landing SELECT * REPLACE (_offset + 1 AS _offset) FROM "
        f"(SELECT * FROM dvd_clicks_landing WHERE _partition = 0 AND _offset = {last})"
    )
    assert figures(streamed.verify(), "extra") == [(1,), (0,), (0,)]


def test_an_event_that_is_not_in_kafka_is_missing_and_named(client: Client) -> None:
    """The row in ClickHouse cannot tell; the simulator does, by the id."""
    streamed = Streamed(client)
    gone = [streamed.logs[0].pop(100), streamed.logs[0].pop(100), streamed.logs[2].pop(0)]
    streamed.renumber()
    streamed.land()
    report = streamed.verify()
    assert figures(report, "missing", "doubled", "out_of_place") == [(2, 0, 0), (0, 0, 0), (1, 0, 0)]
    named = {one["event_id"] for one in report.examples}
    assert all(any(event_id.encode() in record.value for event_id in named) for record in gone)


def test_an_event_that_is_in_kafka_twice_is_doubled(client: Client) -> None:
    """Next to its place, far from it, and at the end."""
    streamed = Streamed(client)
    log = streamed.logs[1]
    log.insert(200, log[50])
    log += log[10:12]
    streamed.renumber()
    streamed.land()
    assert figures(streamed.verify(), "missing", "doubled", "out_of_place") == [(0, 0, 0), (0, 3, 0), (0, 0, 0)]


def test_events_that_changed_places_are_out_of_place(client: Client) -> None:
    """They are neither missing nor doubled."""
    streamed = Streamed(client)
    log = streamed.logs[1]
    log.insert(300, log.pop(100))
    streamed.renumber()
    streamed.land()
    report = streamed.verify()
    assert figures(report, "missing", "doubled", "out_of_place") == [(0, 0, 0), (0, 0, 1), (0, 0, 0)]


def test_the_end_of_a_run_that_is_over_is_missed(client: Client) -> None:
    """Of a run that goes on it is on its way."""
    streamed = Streamed(client)
    del streamed.logs[0][-10:]
    streamed.land()
    assert figures(streamed.verify(complete=False), "missing") == [(0,), (0,), (0,)]
    assert figures(streamed.verify(complete=True), "missing") == [(10,), (0,), (0,)]


def test_a_running_stream_is_verified_up_to_a_cut_and_further_later(streamed: Streamed) -> None:
    """The second look goes on where the first ended."""
    streamed.run = replace(streamed.run, until_ms=None)
    verification = streamed.verification()
    first = verification.advance(wait_s=0.2)
    streamed.produce(2 * SPAN_MS)
    streamed.land()
    second = verification.advance(wait_s=0.2)
    assert (first.ok, second.ok) == (True, True)
    assert first.rows < second.rows == sum(map(len, streamed.logs))


def test_what_is_not_landed_yet_is_missing_at_the_end(client: Client) -> None:
    """Ingest that does not run is waited for, but not for ever."""
    streamed = Streamed(client)
    report = streamed.verify()
    assert [one.missing for one in report.partitions] == [len(log) for log in streamed.logs]


def test_a_stream_that_is_not_ours_is_held_against_the_table_alone(streamed: Streamed) -> None:
    """There is no simulator for it."""
    streamed.topic.send(9)
    streamed.land()
    report = streamed.verify(foreign=True)
    assert report.ok
    assert report.rows == sum(map(len, streamed.logs))


def test_records_of_others_are_counted_apart(streamed: Streamed) -> None:
    """They are held against the table, not against the run."""
    streamed.topic.send(9)
    streamed.land()
    report = streamed.verify()
    assert report.ok
    assert figures(report, "foreign") == [(3,), (3,), (3,)]


def test_broken_records_of_others_do_not_move_ours(client: Client) -> None:
    """However close together they stand: between any two of ours, by twos and threes, and behind the last one."""
    streamed = Streamed(client)
    log = streamed.logs[1]
    broken = [log[0]._replace(value=b"not json %d" % number) for number in range(70)]
    ours, log[:] = list(log), []
    for place, record in enumerate(ours):
        log.append(record)
        if 100 <= place < 130 or place == len(ours) - 1:
            log += [broken.pop() for _ in range(1 + place % 3)]
    streamed.renumber()
    streamed.land()
    report = streamed.verify()
    assert figures(report, "missing", "doubled", "out_of_place") == [(0, 0, 0)] * 3
    assert report.partitions[1].foreign == len(log) - len(ours) > 30
    assert report.ok


def test_rows_of_others_are_not_counted_as_landed(streamed: Streamed) -> None:
    """The figure is that of the run."""
    streamed.topic.send(9)
    streamed.land()
    report = streamed.verify()
    assert [one.landed for one in report.partitions] == [one.expected for one in report.partitions]
    assert report.notes == ["the topic also holds 9 records of others, which this verification did not look at"]


def test_nothing_expected_is_no_proof(client: Client) -> None:
    """A topic without a record of the run, and a run that has just begun."""
    streamed = Streamed(client)
    streamed.run = ExpectedRun(streamed.world, START_MS, START_MS)
    for log in streamed.logs:
        log.clear()
    report = streamed.verify()
    assert not report.ok
    assert [one["kind"] for one in report.examples] == ["nothing"]


def test_a_run_keeps_to_the_partitions_it_began_with(streamed: Streamed) -> None:
    """Added partitions are empty of it, and the report says so."""
    streamed.run = replace(streamed.run, partitions=3)
    streamed.topic.broker.grow(NAME, 5)
    report = streamed.verify()
    assert report.ok
    assert [one.expected == one.kafka == one.landed for one in report.partitions] == [True] * 5
    assert report.notes == ["the run began with 3 partitions and keeps to them; the topic has 5 now"]


def test_another_run_is_not_taken_for_this_one(streamed: Streamed) -> None:
    """Nothing of it is found, all of it is foreign."""
    other = Streamed(streamed.client, seed=2)
    streamed.run = other.run
    report = streamed.verify()
    assert not report.ok
    assert all(one.kafka == 0 and one.foreign for one in report.partitions)


def test_what_retention_has_deleted_is_not_missed(streamed: Streamed) -> None:
    """The comparison begins where Kafka does."""
    streamed.topic.broker.truncate(streamed.topic.name, 0, 500)
    report = streamed.verify()
    assert report.ok
    assert report.partitions[0].first == 500
