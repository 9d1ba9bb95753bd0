"""A share of a real topic: rebalances, a process that sleeps through its session, transactions."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewPartitions  # type: ignore[attr-defined]
from hypothesis import given, settings
from hypothesis import strategies as st

from clickreel.ingest.run_ingest import IngestOptions, run_ingest
from clickreel.ingest.settings import IngestSettings
from clickreel.stream.broker import LostError
from clickreel.stream.cluster import Cluster
from clickreel.stream.consumer_group import ConsumerGroupSource
from clickreel.stream.fetch_batches import batches_from_messages
from tests.conftest import Kafka
from tests.ingest.messages import message, offsets
from tests.ingest.test_crash import PARTITIONS, Stage, check, stage

__all__ = ["stage"]

pytestmark = pytest.mark.stack


def wait_for(condition: Callable[[], bool]) -> None:
    """Wait for a condition, 90 seconds at most."""
    deadline = time.monotonic() + 90
    while not condition():
        assert time.monotonic() < deadline, "waited 90 seconds in vain"
        time.sleep(0.02)


def stopped(pid: int) -> bool:
    """Whether a process sleeps by a signal."""
    import psutil

    return bool(psutil.Process(pid).status() == psutil.STATUS_STOPPED)


@contextlib.contextmanager
def sleeping_ingest(stage: Stage) -> Iterator[subprocess.Popen[str]]:
    """An ingest that has stopped just before its second insert."""
    command = [sys.executable, "-m", "clickreel", "ingest", "--profile", str(stage.file), "--topic", stage.topic]
    command += ["--group", stage.topic, "--metrics-port", "-1", "--flush-rows", "700"]
    command += ["--failpoint", "stop:before-insert:2"]
    home = {"CLICKREEL_HOME": str(stage.folder / "home")}
    with subprocess.Popen(command, env={**os.environ, **home}, stderr=subprocess.PIPE, text=True) as sleeper:
        try:
            wait_for(lambda: stopped(sleeper.pid))
            assert 0 < landed(stage) < stage.sent
            yield sleeper
        finally:
            sleeper.kill()


def landed(stage: Stage) -> int:
    """Rows in the landing table."""
    return int(stage.client.command("SELECT count() FROM dvd_clicks_landing"))


def test_a_process_that_wakes_up_while_another_has_its_place_stores_nothing(stage: Stage) -> None:
    """It sleeps just before its insert, a successor lands everything and goes on; then it sends its block, and is refused.

    One of the two ends, and says why. Mostly it is the one that slept; where its client notices that the session is over before the
    group has told it whose the place is, it takes its place back.
    """
    stop, said = threading.Event(), []
    settings = IngestSettings(topic=stage.topic, group=stage.topic, metrics_port=-1)

    def succeed() -> None:
        try:
            run_ingest(stage.profile, settings, IngestOptions(), stop=stop)
        except LostError as exc:
            said.append(exc.message)

    successor = threading.Thread(target=succeed, daemon=True)
    with sleeping_ingest(stage) as sleeper:
        successor.start()
        wait_for(lambda: landed(stage) == stage.sent)
        os.kill(sleeper.pid, signal.SIGCONT)
        wait_for(lambda: sleeper.poll() is not None or not successor.is_alive())
        stage.send(3000)
        wait_for(lambda: landed(stage) >= stage.sent)
        stop.set()
        successor.join(60)
        has_ended = sleeper.poll() is not None
        sleeper.send_signal(signal.SIGTERM)
        said.append(sleeper.communicate(timeout=180)[1])
    assert sleeper.returncode == (1 if has_ended else 0)
    assert sum("another process has taken the place of instance 1" in words for words in said) == 1
    check(stage)


def test_a_process_that_wakes_up_when_its_place_is_free_again_goes_on(stage: Stage) -> None:
    """A successor has landed everything and gone; the block from before is refused all the same, and what comes later is landed."""
    cluster = Cluster(stage.profile)
    with sleeping_ingest(stage) as sleeper:
        stage.finish()
        wait_for(lambda: not any(member.group == stage.topic for member in cluster.members(stage.topic)))
        os.kill(sleeper.pid, signal.SIGCONT)
        stage.send(3000)
        wait_for(lambda: landed(stage) >= stage.sent)
        sleeper.send_signal(signal.SIGTERM)
        sleeper.communicate(timeout=180)
    assert sleeper.returncode == 0
    check(stage)


def test_two_processes_share_the_work_and_hand_it_over(stage: Stage) -> None:
    """Each lands its partitions; when one ends, the other lands the rest."""
    stops = [threading.Event(), threading.Event()]
    threads = [
        threading.Thread(
            target=run_ingest,
            daemon=True,
            args=(
                stage.profile,
                IngestSettings(topic=stage.topic, group=stage.topic, instance=name, metrics_port=-1),
                IngestOptions(),
            ),
            kwargs={"stop": stop},
        )
        for name, stop in zip(("a", "b"), stops, strict=True)
    ]
    threads[0].start()

    def landed() -> int:
        return int(stage.client.command("SELECT count() FROM dvd_clicks_landing"))

    wait_for(lambda: landed() == stage.sent)
    threads[1].start()
    writers = "SELECT uniqExact(splitByChar('/', writer)[3]) FROM (SELECT argMax(writer, claim) AS writer FROM dvd_clicks_claims GROUP BY partition)"
    wait_for(lambda: stage.client.command(writers) == 2)
    stage.send(3000)
    wait_for(lambda: landed() == stage.sent)
    stops[0].set()
    threads[0].join(30)
    stage.send(3000)
    wait_for(lambda: landed() == stage.sent)
    stops[1].set()
    threads[1].join(30)
    check(stage)


def test_markers_of_transactions_become_gaps(kafka: Kafka, stage: Stage) -> None:
    """A commit takes an offset that is never served; an aborted record too. Neither is a loss."""
    stage.finish()
    producer = Producer({"bootstrap.servers": kafka.bootstrap, "transactional.id": stage.topic})
    producer.init_transactions(30)
    for number, keep in ((0, True), (1, False), (2, True)):
        producer.begin_transaction()
        key, value = message(stage.sent + number)
        producer.produce(stage.topic, value, key, 0)
        producer.flush(10)
        producer.commit_transaction(30) if keep else producer.abort_transaction(30)
    stage.finish()
    before = stage.sent // PARTITIONS
    assert offsets(stage.client)[0] == list(range(before + 5))
    kinds = stage.client.rows(
        f"SELECT _offset, error FROM dvd_clicks_landing WHERE _partition = 0 AND _offset >= {before} ORDER BY _offset"
    )
    assert kinds == [(before, ""), (before + 1, "gap"), (before + 2, "gap"), (before + 3, "gap"), (before + 4, "")]
    stage.finish()  # the last marker has no row yet; that is no reason to wait


def test_the_generation_is_read(stage: Stage) -> None:
    """It is told to people in the claims; librdkafka shows it only inside an opaque text."""
    source = ConsumerGroupSource(stage.profile, stage.topic, f"{stage.topic}-other", "1")
    wait_for(lambda: bool(source.assignment(0.1).partitions))
    assert source.assignment(0).generation >= 1
    source.close()  # in a callback of which librdkafka would wait for ever if it were asked for the generation


class Told:
    """Stands for a message of librdkafka's client, which nobody but itself can make."""

    def __init__(self, partition: int, offset: int) -> None:
        self.place = (partition, offset)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(1, 9), st.sampled_from([0, 0, 0, 1, 5])), max_size=20))
def test_messages_are_sorted_into_partitions(stretches: list[tuple[int, int, int]]) -> None:
    """Whatever the interleaving and the gaps: each message is in its batch, in order, with what belongs to it."""
    nexts, messages = [0, 0, 0], []
    for partition, length, gap in stretches:
        nexts[partition] += gap
        messages += [Told(partition, nexts[partition] + number) for number in range(length)]
        nexts[partition] += length
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("clickreel.stream.fetch_batches.Message", Asked)
        found = batches_from_messages(messages)  # type: ignore[arg-type]
    for batch in found:
        mine = [message.place[1] for message in messages if message.place[0] == batch.partition]
        assert batch.offsets.tolist() == mine
        assert batch.timestamps_ms.tolist() == [-1 if offset % 2 else offset for offset in mine]
        assert batch.keys.to_pylist() == [b"%d" % offset for offset in mine]
        assert batch.values.to_pylist() == [b"%d/%d" % (batch.partition, offset) for offset in mine]
        assert batch.headers == {row: [("n", b"h")] for row, offset in enumerate(mine) if offset % 3 == 0}
    assert sum(map(len, found)) == len(messages)


class Asked:
    """The methods of a message."""

    partition = staticmethod(lambda told: told.place[0])
    offset = staticmethod(lambda told: told.place[1])
    key = staticmethod(lambda told: b"%d" % told.place[1])
    value = staticmethod(lambda told: b"%d/%d" % told.place)
    timestamp = staticmethod(lambda told: (told.place[1] % 2 == 0, told.place[1]))
    headers = staticmethod(lambda told: [("n", b"h")] if told.place[1] % 3 == 0 else None)


def test_a_second_ingest_is_refused_while_the_first_lives(stage: Stage) -> None:
    """It ends with words before it joins; the first one lands on as if nothing had been."""
    command = [sys.executable, "-m", "clickreel", "ingest", "--profile", str(stage.file), "--topic", stage.topic]
    command += ["--metrics-port", "-1"]
    environ = {**os.environ, "CLICKREEL_HOME": str(stage.folder / "home")}
    first = subprocess.Popen(command, env=environ, stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: stage.client.rows("SELECT count() FROM dvd_clicks_landing") == [(stage.sent,)])
        second = subprocess.run(
            [*command, "--until-caught-up"], env=environ, capture_output=True, text=True, timeout=120, check=False
        )
        assert second.returncode == 1, second.stderr
        assert f"process {first.pid} on" in second.stderr
        assert f"lands {stage.topic} already" in second.stderr
        stage.send(300)
        wait_for(lambda: stage.client.rows("SELECT count() FROM dvd_clicks_landing") == [(stage.sent,)])
        assert first.poll() is None
    finally:
        first.terminate()
    assert first.wait(60) == 0
    check(stage)


def test_catching_up_ends_at_the_last_stable_offset(
    kafka: Kafka, stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    """A transaction that is left open holds back what follows; it is said."""
    stage.finish()
    producer = Producer({"bootstrap.servers": kafka.bootstrap, "transactional.id": stage.topic})
    producer.init_transactions(30)
    producer.begin_transaction()
    key, value = message(10)
    producer.produce(stage.topic, value, key, 0)
    producer.flush(10)
    stage.finish()
    assert offsets(stage.client)[0] == list(range(stage.sent // PARTITIONS))
    assert sum("open transaction" in record.getMessage() for record in caplog.records) == 1
    producer.abort_transaction(30)


def test_partitions_that_are_added_are_landed(stage: Stage) -> None:
    """Within half a minute, without a restart."""
    stop = threading.Event()
    thread = threading.Thread(
        target=run_ingest,
        args=(stage.profile, IngestSettings(topic=stage.topic, group=stage.topic, metrics_port=-1), IngestOptions()),
        kwargs={"stop": stop},
        daemon=True,
    )
    thread.start()
    wait_for(lambda: stage.client.rows("SELECT count() FROM dvd_clicks_landing") == [(stage.sent,)])
    admin = AdminClient({"bootstrap.servers": stage.profile.bootstrap})
    admin.create_partitions([NewPartitions(stage.topic, 4)])[stage.topic].result(30)
    producer = Producer({"bootstrap.servers": stage.profile.bootstrap})
    key, value = message(7)
    producer.produce(stage.topic, value, key, 3)
    assert producer.flush(20) == 0
    wait_for(lambda: offsets(stage.client).get(3) == [0])
    stop.set()
    thread.join(60)
