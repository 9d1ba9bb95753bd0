"""``clickreel produce`` as it is typed: its answer, its signals, its refusals."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import orjson
import pytest

from clickreel.cli.app import run
from clickreel.local.home import Home
from clickreel.profile import Profile
from clickreel.simulate.settings import WorldSettings
from clickreel.simulate.world import World
from clickreel.stream import topic_admin
from clickreel.stream.broker import Broker
from clickreel.stream.cluster import Cluster
from clickreel.stream.produce_request import ProduceRequest
from clickreel.stream.producer import Producer
from clickreel.stream.saved_runs import load_run
from clickreel.stream.send_schedule import wall_clock
from clickreel.stream.tail import event_ids
from clickreel.stream.topic_admin import ensure_topic
from clickreel.stream.topic_settings import TopicSettings
from tests.conftest import Kafka
from tests.stream.expected import first, held, pairs


@pytest.fixture
def cluster(kafka: Kafka, topic: str) -> Broker:
    """The real Kafka, with a topic."""
    found = Cluster(Profile(kafka={"bootstrap.servers": kafka.bootstrap}))
    ensure_topic(found, TopicSettings(name=topic, partitions=3))
    return found


@pytest.fixture
def common(kafka: Kafka, topic: str, tmp_path: Path) -> tuple[str, ...]:
    """The options that lead there."""
    profile = tmp_path / "client.properties"
    profile.write_text(f"bootstrap.servers={kafka.bootstrap}\n", encoding="utf-8")
    return ("--topic", topic, "--profile", str(profile))


def answer(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    """What produce answers in JSON."""
    assert run(["produce", "--json", *arguments]) == 0
    found = orjson.loads(capsys.readouterr().out)
    assert isinstance(found, dict)
    return found


def test_a_bare_count_is_written_at_once_and_ends_about_now(
    cluster: Broker, common: tuple[str, ...], topic: str, home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    """All acknowledged, none failed, all ids distinct, nothing in the future; the settings are kept for verify."""
    before = time.time()
    found = answer(capsys, "--count", "5000", "--seed", "7", *common)
    assert (found["sent"], found["acknowledged"], found["failed"]) == (5000, 5000, 0)
    assert found["events_per_s"] > 0
    assert found["seconds"] < 20
    records = [record for one in held(cluster, topic) for record in one]
    assert len(records) == 5000
    _, hi, lo = event_ids([record.value for record in records])
    assert len(set(zip(hi.tolist(), lo.tolist(), strict=True))) == 5000
    newest = max(record.timestamp_ms for record in records) / 1000
    assert before - 60 < newest <= time.time()
    saved = load_run(home.path, found["run"])
    assert saved is not None
    assert saved.start_ms == found["start_ms"]
    world = saved.world()
    assert world.run == found["run"]
    assert pairs(cluster, topic) == first(world, 3, found["start_ms"], 5000)


def test_a_rate_is_kept_as_seen_from_outside(
    cluster: Broker, common: tuple[str, ...], topic: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """50 a second, by the timestamps of the topic; people do not click to a metronome, so a second may differ."""
    found = answer(capsys, "--rate", "50", "--count", "1000", "--seed", "7", *common)
    stamps = sorted(record.timestamp_ms for one in held(cluster, topic) for record in one)
    seconds = [sum(stamps[-1] - 1000 * (s + 1) < t <= stamps[-1] - 1000 * s for t in stamps) for s in range(10)]
    assert all(20 <= n <= 90 for n in seconds), seconds
    assert 400 <= sum(seconds) <= 600, seconds
    assert found["target_per_s"] == pytest.approx(50, rel=0.01)
    assert found["latency_ms_p99"] < 10_000


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 0)])
def test_a_signal_waits_for_what_is_under_way_and_reports(
    cluster: Broker, common: tuple[str, ...], topic: str, number: signal.Signals, code: int
) -> None:
    """Ctrl-C and SIGTERM: the account adds up with the topic."""
    command = [
        sys.executable,
        "-m",
        "clickreel",
        "produce",
        "--rate",
        "20",
        "--seed",
        "7",
        "--from",
        "5h",
        "--json",
        *common,
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ)
    deadline = time.monotonic() + 60
    while sum(b.high for b in cluster.bounds(topic)) < 1000:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    found = orjson.loads(out)
    assert (process.returncode, found["failed"], err) == (code, 0, b"")
    assert found["sent"] == found["acknowledged"] == sum(map(len, held(cluster, topic)))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--rate", "0"), "--rate is 0"),
        (("--rate", "-3"), "--rate is -3"),
        (("--rate", "5", "--mean-rate", "5"), "both --rate 5 and --mean-rate 5"),
        (("--count", "0"), "--count is 0"),
        (("--speed", "0"), "--speed is 0"),
        (("--from", "2099-01-01"), "--from 2099-01-01 lies in the future"),
        (("--from", "soon"), "--from is 'soon'"),
        (("--from", "1h", "--until", "2h"), "--until 2h is not after the start"),
        (("--until", "1h"), "--until 1h is not after the start"),
        (("--shard", "2/2"), "--shard is '2/2'"),
        (("--shard", "x"), "--shard is 'x'"),
        (("--films", "/nonexistent.csv"), "/nonexistent.csv"),
    ],
)
@pytest.mark.usefixtures("cluster")
def test_impossible_orders_are_refused_before_anything_is_written(
    common: tuple[str, ...], arguments: tuple[str, ...], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two lines and exit code 2."""
    assert run(["produce", *arguments, *common]) == 2
    error, hint = capsys.readouterr().err.splitlines()
    assert says in error
    assert hint.startswith("hint: ")


def test_a_missing_topic_is_said_with_the_command_that_makes_it(
    kafka: Kafka, common: tuple[str, ...], topic: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 1."""
    assert kafka
    assert run(["produce", "--count", "5", *common]) == 1
    assert capsys.readouterr().err.splitlines()[1] == f"hint: clickreel topic create --topic {topic}"


@pytest.mark.usefixtures("cluster")
def test_a_profile_that_contradicts_the_guarantees_is_refused(
    kafka: Kafka, topic: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Librdkafka's own objection, in words."""
    profile = tmp_path / "other.properties"
    profile.write_text(
        f"bootstrap.servers={kafka.bootstrap}\nmax.in.flight.requests.per.connection=50\n", encoding="utf-8"
    )
    assert run(["produce", "--count", "5", "--topic", topic, "--profile", str(profile)]) == 2
    assert "max.in.flight" in capsys.readouterr().err


def test_a_backfill_that_the_topic_would_delete_is_refused_before_the_first_record(
    cluster: Broker, common: tuple[str, ...], topic: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A profile names somebody else's topic: its retention is not ours to raise. `--allow-deletion` accepts the loss."""
    past = ("--count", "5", "--seed", "1", "--from", "14d")
    assert run(["produce", *past, *common]) == 2
    error, hint = capsys.readouterr().err.splitlines()
    assert f"topic {topic} keeps 7 d; Kafka would delete the records from" in error
    assert hint == f"hint: clickreel topic alter --topic {topic} --retention 21d; or lose them: --allow-deletion"
    assert sum(bounds.high for bounds in cluster.bounds(topic)) == 0
    assert run(["produce", "--allow-deletion", *past, *common]) == 0


@pytest.mark.usefixtures("kafka")
def test_the_topic_of_the_local_stack_keeps_the_backfill(
    cluster: Broker, topic: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is ours: the retention is raised, which is said in a line."""
    assert run(["produce", "--count", "5", "--seed", "1", "--from", "14d", "--topic", topic]) == 0
    assert f"topic {topic}: retention raised to 21 d (was 7 d)" in " ".join(capsys.readouterr().err.split())
    deadline = time.monotonic() + 60
    while topic_admin.require_topic(cluster, topic).configs["retention.ms"] != str(21 * 86_400_000):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_second_producer_without_a_seed_takes_the_next_free_one(
    cluster: Broker, common: tuple[str, ...], topic: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The run of the default seed is written by somebody else: seed 2 is, which is said. With a seed it is refused."""
    world = World(WorldSettings(rate=20.0))
    stop = threading.Event()
    begun = threading.Event()
    state = topic_admin.require_topic(cluster, topic)
    request = ProduceRequest(wall_clock)
    first_one = Producer(cluster, state, world, request, stop=stop, report=lambda _: begun.set())
    thread = threading.Thread(target=first_one.run)
    thread.start()
    try:
        assert begun.wait(60)
        assert run(["produce", "--rate", "20", "--count", "50", *common]) == 0
        lines = " ".join(capsys.readouterr().err.split())
        assert f"run {world.run} is being written to {topic} by process {os.getpid()} on" in lines
        assert "this one streams run s2-" in lines
        assert "(--seed 2)" in lines
        assert run(["produce", "--rate", "20", "--count", "50", "--seed", "1", *common]) == 1
    finally:
        stop.set()
        thread.join()


def test_a_producer_that_ends_in_the_past_does_not_say_that_it_has_caught_up(
    cluster: Broker, common: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither at the end of its span nor when it is stopped on the way."""
    assert cluster
    assert run(["produce", "--rate", "10", "--from", "2h", "--until", "1h", *common]) == 0
    assert "caught up" not in capsys.readouterr().err
