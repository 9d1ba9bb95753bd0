"""What a real Kafka and the network do to a producer: pauses, and requests that arrive after their sender was killed."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient

from clickreel.profile import Profile
from clickreel.simulate.settings import WorldSettings
from clickreel.simulate.world import World
from clickreel.stream.broker import Broker
from clickreel.stream.cluster import Cluster
from clickreel.stream.produce_request import ProduceRequest, ProducerSettings, ProduceStats
from clickreel.stream.producer import Producer
from clickreel.stream.producer_lease import SecondWriterError
from clickreel.stream.topic_admin import ensure_topic
from clickreel.stream.topic_settings import TopicSettings
from tests.stream.expected import first, pairs
from tests.stream.interrupted import Interrupted, interrupted

T0 = 1_764_000_000_000
# Events a second of the timeline, which is produced faster: a world of ten times as many people takes four seconds to begin.
RATE = 10.0
HELD_S = (1, 2, 3, 6)


@pytest.fixture(scope="module")
def kafka_of_ours(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Interrupted]:
    """A broker that only these tests use."""
    with interrupted(tmp_path_factory.mktemp("interrupted")) as found:
        yield found


@pytest.fixture
def cluster(kafka_of_ours: Interrupted) -> Iterator[Broker]:
    """A client of it."""
    found = Cluster(Profile(kafka={"bootstrap.servers": kafka_of_ours.direct}))
    yield found
    found.close()


def test_a_paused_broker_is_waited_for_with_a_new_client(
    kafka_of_ours: Interrupted, cluster: Broker, topic: str
) -> None:
    """Paused for longer than the watchdog waits, in the middle of the stream: said, resumed, nothing lost or doubled."""
    state, *_ = ensure_topic(cluster, TopicSettings(name=topic, partitions=3, retention="forever"))
    world = World(WorldSettings(seed=7, rate=RATE))
    messages: list[str] = []
    flowing, restarted = threading.Event(), threading.Event()

    def report(stats: ProduceStats) -> None:
        if stats.acknowledged > 2_000:
            flowing.set()
        if stats.waiting:
            messages.append(stats.waiting)
        if stats.restarts:
            restarted.set()

    def pause() -> None:
        assert flowing.wait(120)
        with kafka_of_ours.paused():
            assert restarted.wait(120)

    pausing = threading.Thread(target=pause)
    pausing.start()
    settings = ProducerSettings(late_request_s=3.0, stall_s=4.0, give_up_s=180.0)
    # 1,000 records a second: the pause falls into the middle of 20,000.
    request = ProduceRequest(lambda: T0, count=20_000, speed=100.0)
    stats = Producer(cluster, state, world, request, settings=settings, report=report).run()
    pausing.join()
    assert stats.restarts > 0
    assert any("resuming with a new client" in message for message in messages), messages
    assert (stats.sent, stats.acknowledged, stats.failed) == (20_000, 20_000, 0)
    assert pairs(cluster, topic) == first(world, 3, T0, 20_000)


@pytest.mark.timeout(900)
def test_requests_that_arrive_after_their_sender_was_killed_are_not_doubled(
    kafka_of_ours: Interrupted, cluster: Broker, topic: str, tmp_path: Path
) -> None:
    """Producers are killed while their requests are held for 1, 2, 3 and 6 s, and started again at once: each run is whole."""
    profile = tmp_path / "client.properties"
    profile.write_text(f"bootstrap.servers={kafka_of_ours.proxied}\n", encoding="utf-8")
    topics = [f"late-{seconds}-{topic}" for seconds in HELD_S]
    for name in topics:
        ensure_topic(cluster, TopicSettings(name=name, partitions=2, retention="forever"))

    proxy = kafka_of_ours.proxy
    failures: list[BaseException] = []

    def start(name: str, *more: str) -> subprocess.Popen[bytes]:
        options = (
            f"--topic={name} --run={name} --profile={profile} --rate={RATE} --seed=7 --from={T0} --count=12000 --json"
        )
        with (tmp_path / f"{name}.log").open("ab") as log:
            command = [sys.executable, "-m", "clickreel", "produce", *options.split(), *more]
            return subprocess.Popen(command, stdout=log, stderr=log, env=os.environ)

    def held(name: str) -> int:
        return sum(bounds.high for bounds in cluster.bounds(name))

    def kill_and_restart(name: str) -> None:
        try:
            killed = start(name, "--speed=50")
            await_that(lambda: held(name) > 500, tmp_path)
            proxy.holding.add(name)
            await_that(lambda: proxy.held[name] > 0, tmp_path)
            killed.kill()
            killed.wait()
            assert not proxy.forwarded[name], "nothing was held when the producer was killed"
            restarted = start(name)
            time.sleep(int(name.split("-")[1]))
            proxy.holding.discard(name)
            assert restarted.wait(400) == 0
        except BaseException as exc:  # noqa: BLE001 - told to the test
            failures.append(exc)

    threads = [threading.Thread(target=kill_and_restart, args=(name,)) for name in topics]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == [], logs(tmp_path)
    assert proxy.forwarded == proxy.held
    for name in topics:
        assert pairs(cluster, name) == first(World(WorldSettings(seed=7, rate=RATE, run=name)), 2, T0, 12_000), name


@pytest.mark.parametrize("again", [False, True], ids=["deleted", "made again"])
def test_a_topic_that_is_deleted_under_the_producer_is_named(
    kafka_of_ours: Interrupted, cluster: Broker, topic: str, again: bool
) -> None:
    """The topic, and not its group, is what is gone; the hint makes it again. One that is made anew is not written to unseen."""
    settings = TopicSettings(name=topic, partitions=2, retention="forever")
    state, *_ = ensure_topic(cluster, settings)
    deleted = threading.Event()

    def delete(stats: ProduceStats) -> None:
        if stats.acknowledged > 100 and not deleted.is_set():
            deleted.set()
            admin = AdminClient({"bootstrap.servers": kafka_of_ours.direct})
            admin.delete_topics([topic])[topic].result(60)
            if again:
                cluster.create(topic, 2, 1, settings.configs())

    world = World(WorldSettings(seed=7, rate=RATE))
    with pytest.raises(SecondWriterError, match=f"topic {topic} was deleted while run {world.run} was written") as said:
        Producer(cluster, state, world, ProduceRequest(lambda: T0, speed=50.0), report=delete).run()
    assert f"clickreel topic create --topic {topic})" in said.value.hint


def await_that(condition: Callable[[], bool], folder: Path) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + 180
    while not condition():
        assert time.monotonic() < deadline, logs(folder)
        time.sleep(0.02)


def logs(folder: Path) -> str:
    """What the producers have said."""
    return "\n".join(path.read_text(encoding="utf-8")[-1500:] for path in folder.glob("*.log"))
