"""Messages and monitor: what is in the topic, from anywhere, safe to look at."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path
from typing import Any

import orjson
import pytest
from confluent_kafka import Producer as KafkaProducer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewPartitions

from clickreel.cli.app import run
from clickreel.cli.record_table import RecordTable
from clickreel.contract import framing
from clickreel.contract.vocabulary import FIELDS
from clickreel.errors import UsageError
from clickreel.profile import Profile
from clickreel.simulate.settings import WorldSettings
from clickreel.simulate.world import World
from clickreel.stream import record_view, throughput_monitor
from clickreel.stream.broker import Broker
from clickreel.stream.cluster import Cluster
from clickreel.stream.filter_expression import compile_filter
from clickreel.stream.memory import MemoryBroker
from clickreel.stream.produce_request import ProduceRequest
from clickreel.stream.producer import Producer
from clickreel.stream.record_batch import Record
from clickreel.stream.record_view import RecordView
from clickreel.stream.topic_admin import ensure_topic
from clickreel.stream.topic_follower import PARTITIONS_CHECK_S, TopicFollower
from clickreel.stream.topic_settings import TopicSettings
from tests.conftest import Kafka
from tests.sample_event import SAMPLE_VALUE as GOOD

T0 = 1_764_000_000_000


def fill(broker: Broker, topic: str, values: list[bytes], partition: int = 0, first_ms: int = T0) -> None:
    """Store values a second apart."""
    writer = broker.writer(topic, lambda *_: None)
    writer.send(partition, [b'"u_10"'] * len(values), values, [first_ms + 1000 * i for i in range(len(values))])
    assert writer.flush(10) == 0
    writer.close()


def read(broker: Broker, topic: str, place: str) -> list[tuple[int, int]]:
    """Partitions and offsets from a place on."""
    begin = record_view.start_offsets(broker, topic, place, T0 + 10_000)
    return sorted((r.partition, r.offset) for batch in record_view.read_records(broker, topic, begin) for r in batch)


def test_reading_begins_where_one_says(broker: Broker, topic: str) -> None:
    """Earliest, latest, an offset, so many before the end, a time, a span ago."""
    ensure_topic(broker, TopicSettings(name=topic, partitions=2, retention="forever"))
    fill(broker, topic, [b"%d" % i for i in range(10)])
    fill(broker, topic, [b"x", b"y"], partition=1)
    assert len(read(broker, topic, "earliest")) == 12
    assert read(broker, topic, "latest") == []
    assert read(broker, topic, "8") == [(0, 8), (0, 9)]
    assert read(broker, topic, "-1") == [(0, 9), (1, 1)]
    assert read(broker, topic, "2s") == [(0, 8), (0, 9)]
    assert read(broker, topic, "2025-11-24T16:00:07Z") == [(0, 7), (0, 8), (0, 9)]
    with pytest.raises(UsageError, match=r"no partition of .* holds offset 11"):
        record_view.start_offsets(broker, topic, "11", T0)
    with pytest.raises(UsageError, match="--from is 'soon'"):
        record_view.start_offsets(broker, topic, "soon", T0)


def test_the_newest_come_oldest_first(broker: Broker, topic: str) -> None:
    """Over all partitions, filtered, of chosen partitions, and whatever lies between them."""
    ensure_topic(broker, TopicSettings(name=topic, partitions=2, retention="forever"))
    fill(broker, topic, [b"%d" % i for i in range(10)])
    fill(broker, topic, [b"a", b"b"], partition=1, first_ms=T0 + 8_500)

    def newest(limit: int, **options: Any) -> list[bytes | None]:
        return [r.value for r in record_view.newest_records(broker, topic, limit, **options)]

    assert newest(3) == [b"a", b"9", b"b"]
    assert newest(2, wanted=lambda r: r.partition == 0) == [b"8", b"9"]
    assert newest(20, partitions=frozenset({1})) == [b"a", b"b"]
    assert newest(5, wanted=lambda r: r.value == b"0") == [b"0"]


def holds(text: bytes, record: Record) -> bool:
    """Whether a record's value contains a text."""
    return text in (record.value or b"")


def test_the_search_backwards_finds_what_a_whole_reading_would(
    broker: Broker, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In windows far smaller than the topic, with one partition older than the other."""
    monkeypatch.setattr(record_view, "_WINDOW_RECORDS", 3)
    ensure_topic(broker, TopicSettings(name=topic, partitions=2, retention="forever"))
    fill(broker, topic, [b"%d" % i for i in range(200)], first_ms=T0)
    fill(broker, topic, [b"old%d" % i for i in range(100)], partition=1, first_ms=T0 - 500_000)
    looked_at: list[int] = []
    for limit, wanted in ((3, b"7"), (30, b"old"), (10, b"1"), (1, b"none"), (150, b"")):
        keep = partial(holds, wanted)
        found = record_view.newest_records(broker, topic, limit, keep, looked_at=looked_at.append)
        everything = sorted(
            (r for batch in record_view.read_records(broker, topic, {0: 0, 1: 0}) for r in batch if keep(r)),
            key=lambda r: (r.timestamp_ms, r.offset, r.partition),
        )
        assert found == everything[-limit:] if everything else found == []
    looked_at.clear()
    record_view.newest_records(broker, topic, 1, lambda r: r.value == b"199", looked_at=looked_at.append)
    assert sum(looked_at) < 60, "what is near the end is found near the end"


def test_following_waits_for_more_and_notices_added_partitions(broker: Broker, topic: str) -> None:
    """A partition that is added is read from its beginning; on the real broker by an administrator's request."""
    ensure_topic(broker, TopicSettings(name=topic, partitions=1, retention="forever"))
    fill(broker, topic, [b"1"])
    ahead_s = 0.0
    follower = TopicFollower(broker, topic, {0: 0}, clock=lambda: time.monotonic() + ahead_s)
    seen: list[bytes | None] = []

    def wait_for(count: int) -> list[bytes | None]:
        deadline = time.monotonic() + 60
        while len(seen) < count and time.monotonic() < deadline:
            seen.extend(record.value for batch in follower.poll(100, 0.1) for record in batch.records())
        return seen

    assert wait_for(1) == [b"1"]
    fill(broker, topic, [b"2"])
    assert wait_for(2) == [b"1", b"2"]
    add_partition(broker, topic)
    fill(broker, topic, [b"3"], partition=1)
    ahead_s = PARTITIONS_CHECK_S
    assert wait_for(3) == [b"1", b"2", b"3"]
    assert follower.positions == {0: 2, 1: 1}
    follower.close()


def test_a_viewer_who_is_far_behind_skips_to_the_newest(broker: Broker, topic: str) -> None:
    """What is left out is counted; a little behind is no reason."""
    ensure_topic(broker, TopicSettings(name=topic, partitions=1, retention="forever"))
    fill(broker, topic, [b"%d" % number for number in range(100)])
    follower = TopicFollower(broker, topic, {0: 0})
    assert follower.skip_ahead(50) == 0
    assert follower.skip_ahead(10) == 90
    seen: list[bytes | None] = []
    deadline = time.monotonic() + 60
    while len(seen) < 10 and time.monotonic() < deadline:
        seen.extend(record.value for batch in follower.poll(100, 0.1) for record in batch.records())
    assert seen == [b"%d" % number for number in range(90, 100)]
    assert follower.skip_ahead(10) == 0
    follower.close()


def add_partition(broker: Broker, topic: str) -> None:
    """Raise a topic from one partition to two."""
    if isinstance(broker, MemoryBroker):
        broker.grow(topic, 2)
        return
    admin = AdminClient({"bootstrap.servers": broker.address})
    admin.create_partitions([NewPartitions(topic, 2)])[topic].result(30)
    deadline = time.monotonic() + 30
    while len(broker.bounds(topic)) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("key", "value", "shown", "rule"),
    [
        (b'"u_10"', GOOD, orjson.loads(GOOD), None),
        (b'"u_10"', GOOD.replace(b'"view"', b'"stare"'), {**orjson.loads(GOOD), "event_type": "stare"}, "enum"),
        (b"u_10", GOOD, orjson.loads(GOOD), "json"),
        (b'"u_10"', b"\xff\xfe{", "base64://57", "encoding"),
        (b'"u_10"', b"<a>", "<a>", "json"),
        (b'"u_10"', None, None, "type"),
        (None, GOOD, orjson.loads(GOOD), "type"),
        (framing.prefix(b'"u_10"', 7), framing.prefix(GOOD, 8), orjson.loads(GOOD), None),
    ],
)
def test_a_message_is_shown_with_its_faults(
    key: bytes | None, value: bytes | None, shown: object, rule: str | None
) -> None:
    """Whatever the bytes are, it is one JSON object; what is no text is base64; framed ones are seen like any other."""
    view = RecordView(Record(1, 2, T0, key, value, [("trace", b"1"), ("trace", b"2"), ("none", None)]))
    found = orjson.loads(view.as_json())
    assert found["value"] == shown
    assert (found["partition"], found["offset"], found["timestamp"]) == (1, 2, "2025-11-24 16:00:00.000")
    assert found["headers"] == [
        {"name": "trace", "value": "1"},
        {"name": "trace", "value": "2"},
        {"name": "none", "value": None},
    ]
    assert (found["valid"], [error["rule"] for error in found["errors"]]) == (rule is None, [rule] if rule else [])


def test_a_time_that_no_calendar_holds_is_shown_as_the_number_that_it_is() -> None:
    """A record's timestamp is whatever its producer wrote."""
    view = RecordView(Record(0, 0, 253_402_300_800_000, b'"u_10"', GOOD, ()))
    assert orjson.loads(view.as_json())["timestamp"] == "253402300800000"
    assert "253402300800" in RecordTable(raw=True, colour=False, width=500).line(view)


def test_framed_records_and_long_integers_are_filtered_like_any_other() -> None:
    """By the fields of the payload, whatever stands in front of it."""
    wanted = compile_filter("film_id == 331 and valid", tuple(FIELDS))
    assert wanted(RecordView(Record(0, 0, T0, b'"u_10"', framing.prefix(GOOD, 3), ())))
    assert wanted(RecordView(Record(0, 0, T0, b'"u_10"', GOOD, [("__value_schema_id", framing.header(3))])))
    long = GOOD.replace(b"331", b"123456789012345678901234")
    assert compile_filter("film_id == 123456789012345678901234", tuple(FIELDS))(
        RecordView(Record(0, 0, T0, None, long))
    )


@pytest.mark.parametrize("width", [60, 80, 100, 140])
def test_columns_fit_the_terminal_and_stand_below_their_headings(width: int) -> None:
    """The least missed columns are left out; nothing of a good event is broken or wrapped."""
    table = RecordTable(colour=False, width=width)
    lines = [table.heading, table.line(RecordView(Record(3, 1042, T0, b'"u_10"', GOOD, ())))]
    assert all(len(line) <= width for line in lines)
    assert lines[0].index("event") == lines[1].index("view")
    assert lines[1].split()[0] in {"✓", "ok"}


def test_a_bad_record_names_every_fault_and_cannot_play_with_the_terminal() -> None:
    """Escape sequences are shown as such, in values, keys and headers."""
    bad = GOOD.replace(b"tablet", b"tab\xc2\x9blet").replace(b":9,", b":0,")
    for raw in (False, True):
        record = Record(0, 0, T0, b'"u_10"', bad, [("h", b"\x1b[2J")])
        text = RecordTable(raw=raw, colour=False, width=200).line(RecordView(record))
        assert not any(ord(c) < 32 and c != "\n" for c in text)
        assert "\x9b" not in text
        assert text.count("breaks the contract") == 2
    assert "\\x1b[2J" in text


def test_the_monitor_counts_messages_and_bytes(broker: Broker, topic: str) -> None:
    """By partition, from the moment it begins; skew, freshness, and the lag of a group that has read nothing."""
    ensure_topic(broker, TopicSettings(name=topic, partitions=2, retention="forever"))
    fill(broker, topic, [b"before"])
    stop = threading.Event()
    figures = throughput_monitor.watch(broker, topic, group=f"nobody-{topic}", interval_s=0.3, stop=stop)
    assert sum(next(figures).messages) == 0
    fill(broker, topic, [GOOD] * 30)
    fill(broker, topic, [GOOD] * 10, partition=1)
    seen, size, deadline = [0, 0], 0, time.monotonic() + 10
    while sum(seen) < 40 and time.monotonic() < deadline:
        second = next(figures)
        seen = [a + b for a, b in zip(seen, second.messages, strict=True)]
        size += sum(second.bytes)
    stop.set()
    assert seen == [30, 10]
    assert size == 40 * (len(GOOD) + 6)
    assert second.skew >= 1.0
    assert second.freshness_ms is not None
    assert second.lag == [31, 10]
    assert all(age is None or age >= 0 for age in second.lag_s)
    line = orjson.loads(throughput_monitor.as_ndjson(second))
    assert line["lag"] == 41
    assert [p["partition"] for p in line["partitions"]] == [0, 1]


def test_the_monitor_goes_on_when_partitions_are_added(broker: Broker, topic: str) -> None:
    """Within an interval, without an error, and what they hold is counted."""
    ensure_topic(broker, TopicSettings(name=topic, partitions=1, retention="forever"))
    figures = throughput_monitor.watch(broker, topic, interval_s=0.3)
    assert next(figures).messages == [0]
    add_partition(broker, topic)
    fill(broker, topic, [GOOD] * 4, partition=1)
    seen, deadline = 0, time.monotonic() + 60
    while seen < 4 and time.monotonic() < deadline:
        second = next(figures)
        seen += sum(second.messages)
    assert (seen, len(second.messages), len(second.behind)) == (4, 2, 2)


def test_messages_ends_at_an_open_transaction_and_says_so(
    kafka: Kafka, topic: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Aborted records are never shown; those of an open transaction wait for its end."""
    profile = tmp_path / "client.properties"
    profile.write_text(f"bootstrap.servers={kafka.bootstrap}\nisolation.level=read_uncommitted\n", encoding="utf-8")
    ensure_topic(Cluster(Profile({"bootstrap.servers": kafka.bootstrap})), TopicSettings(name=topic, partitions=1))
    producer = KafkaProducer({"bootstrap.servers": kafka.bootstrap, "transactional.id": topic})
    producer.init_transactions(30)
    for value, end in ((b"aborted", producer.abort_transaction), (GOOD, producer.commit_transaction), (b"open", None)):
        producer.begin_transaction()
        producer.produce(topic, value, b'"u_10"', partition=0)
        producer.flush(30)
        if end is not None:
            end(30)
    common = ("messages", "--topic", topic, "--profile", str(profile))
    for options in ([], ["--from", "oldest"]):
        assert run([*common, *options, "--json"]) == 0
        shown = capsys.readouterr()
        assert [orjson.loads(line)["offset"] for line in shown.out.splitlines()] == [2]
        assert "partition 0 has an open transaction; its commit will show 1 message from offset 4 on" in shown.err
    producer.abort_transaction(30)


def test_the_commands(kafka: Kafka, topic: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """NDJSON of the documented shape; a filter; a clear refusal; the monitor's lines."""
    broker = Cluster(Profile(kafka={"bootstrap.servers": kafka.bootstrap}))
    state, *_ = ensure_topic(broker, TopicSettings(name=topic, partitions=2, retention="forever"))
    Producer(broker, state, World(WorldSettings(seed=3, rate=50.0)), ProduceRequest(lambda: T0, count=400)).run()
    profile = tmp_path / "client.properties"
    profile.write_text(f"bootstrap.servers={kafka.bootstrap}\n", encoding="utf-8")
    common = ("--topic", topic, "--profile", str(profile))

    assert run(["messages", "--from", "earliest", "--limit", "400", "--json", *common]) == 0
    lines = [orjson.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(lines) == 400
    assert set(lines[0]) == {"partition", "offset", "timestamp", "key", "value", "headers", "valid", "errors"}
    assert all(line["valid"] and line["key"] == line["value"]["user_id"] for line in lines)

    assert run(["messages", "--where", "event_type == 'detail_view'", "-n", "3", "--json", *common]) == 0
    lines = [orjson.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["value"]["event_type"] for line in lines] == ["detail_view"] * 3

    printed = tmp_path / "printed"
    for options in (["--json"], ["--json", "--where", "position > 1"]):
        assert run(["messages", "-n", "300", *options, *common]) == 0
        printed.write_text(capsys.readouterr().out, encoding="utf-8")
        assert run(["contract", "validate", str(printed), "--json"]) == 0
        report = orjson.loads(capsys.readouterr().out)
        assert (report["checked"] > 100, report["invalid"]) == (True, 0)

    assert run(["messages", "-n", "2", *common]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2
    assert run(["messages", "-n", "2", "--raw", *common]) == 0
    assert capsys.readouterr().out.count('{"event_id":"') == 2
    assert run(["messages", "--where", "film_id == -1", *common]) == 0
    assert "none of the 400 messages read matches --where" in capsys.readouterr().err
    assert run(["messages", "--from", "2100-01-01", *common]) == 0
    assert f"{topic} holds no messages from 2100-01-01 on" in capsys.readouterr().err
    assert run(["messages", "--where", "evil()", *common]) == 2
    assert run(["messages", "--partition", "7", *common]) == 2
    assert "unknown partition 7" in capsys.readouterr().err
    assert run(["monitor", "--seconds", "1", "--json", *common]) == 0
    assert orjson.loads(capsys.readouterr().out)["messages_per_s"] == 0

    # 400 messages are more than a pipe holds: the reader that leaves after the first is no fault.
    whole = [sys.executable, "-m", "clickreel", "messages", "--from", "earliest", "-n", "400", "--json", *common]
    with subprocess.Popen(whole, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as left:
        assert left.stdout is not None
        assert left.stderr is not None
        assert orjson.loads(left.stdout.readline())["valid"]
        left.stdout.close()
        assert (left.wait(30), left.stderr.read()) == (0, b"")
