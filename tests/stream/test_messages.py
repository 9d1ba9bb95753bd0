"""Messages and monitor: what is in the topic, from anywhere, safe to look at."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import orjson
import pytest

from clickreel.cli.app import run
from clickreel.errors import UsageError
from clickreel.foreign_text import printable
from clickreel.simulate.settings import WorldSettings
from clickreel.simulate.world import World
from clickreel.stream import record_view, throughput_monitor
from clickreel.stream.broker import Broker, Record
from clickreel.stream.producer import Producer, ProduceRequest
from clickreel.stream.topic_admin import TopicSettings, ensure_topic
from tests.conftest import Kafka

T0 = 1_764_000_000_000
GOOD = (
    b'{"event_id":"84e0e977-9ee7-4eec-9cd6-f7655e481cb3","event_ts":"2025-12-27 12:18:51.766","user_id":"u_10",'
    b'"session_id":"s_53482d2c","film_id":331,"event_type":"view","page":"browse","position":9,"device":"tablet","referrer":"recommendation"}'
)


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
    """Over all partitions, filtered."""
    ensure_topic(broker, TopicSettings(name=topic, partitions=2, retention="forever"))
    fill(broker, topic, [b"%d" % i for i in range(10)])
    fill(broker, topic, [b"a", b"b"], partition=1, first_ms=T0 + 8_500)
    begin = record_view.start_offsets(broker, topic, "latest", T0, last=3)
    assert [r.value for r in record_view.newest_records(broker, topic, 3, begin, lambda _: True)] == [b"a", b"9", b"b"]
    begin = record_view.start_offsets(broker, topic, "earliest", T0)
    assert [r.value for r in record_view.newest_records(broker, topic, 2, begin, lambda r: r.partition == 0)] == [
        b"8",
        b"9",
    ]


def test_following_waits_for_more(broker: Broker, topic: str) -> None:
    """Until it is stopped."""
    ensure_topic(broker, TopicSettings(name=topic, partitions=1, retention="forever"))
    fill(broker, topic, [b"1"])
    stop = threading.Event()
    seen: list[bytes | None] = []

    def follow() -> None:
        for batch in record_view.read_records(broker, topic, {0: 0}, follow=True, stop=stop):
            seen.extend(r.value for r in batch)

    thread = threading.Thread(target=follow)
    thread.start()
    fill(broker, topic, [b"2"])
    deadline = time.monotonic() + 10
    while len(seen) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    stop.set()
    thread.join()
    assert seen == [b"1", b"2"]


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
    ],
)
def test_a_message_is_shown_with_its_faults(
    key: bytes | None, value: bytes | None, shown: object, rule: str | None
) -> None:
    """Whatever the bytes are, it is one JSON object; what is no text is base64."""
    found = record_view.record_as_json(Record(1, 2, T0, key, value, [("trace", b"1"), ("none", None)]))
    assert found["value"] == shown
    assert (found["partition"], found["offset"], found["timestamp"]) == (1, 2, "2025-11-24 16:00:00.000")
    assert found["headers"] == {"trace": 1, "none": None}
    assert (found["valid"], [error["rule"] for error in found["errors"]]) == (rule is None, [rule] if rule else [])
    assert orjson.loads(orjson.dumps(found)) == found


def test_bytes_that_would_play_with_the_terminal_are_escaped() -> None:
    """Escape sequences, carriage returns, and marks that turn the direction of writing."""
    hostile = "a\x1b[2Jb\rc\u202ed\x07\x9be\n"
    assert printable(hostile) == "a\\x1b[2Jb\\rc\\u202ed\\x07\\x9be\\n"
    assert printable('{"title": "Amélie 映画 🎬"}') == '{"title": "Amélie 映画 🎬"}'


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
    line = orjson.loads(throughput_monitor.as_ndjson(second))
    assert line["lag"] == 41
    assert [p["partition"] for p in line["partitions"]] == [0, 1]


def test_the_commands(kafka: Kafka, topic: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """NDJSON of the documented shape; a filter; a clear refusal; the monitor's lines."""
    from clickreel.profile import Profile
    from clickreel.stream.cluster import Cluster

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

    assert run(["messages", "-n", "2", *common]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2
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
