"""One writer per run: who owns it, who is dead, who is waited for, who is refused."""

from __future__ import annotations

import dataclasses
import subprocess
import sys

import psutil
import pytest

from clickreel.errors import ClickreelError, UnreachableError
from clickreel.stream.broker import Broker, Commit, LostError, TopicState
from clickreel.stream.memory import MemoryBroker
from clickreel.stream.producer_lease import (
    CommitMetadata,
    LeaseHolder,
    ProducerLease,
    RunInUseError,
    SecondWriterError,
    Shard,
)
from clickreel.stream.topic_admin import ensure_topic
from clickreel.stream.topic_settings import TopicSettings

ME = LeaseHolder.current()
ELSEWHERE = dataclasses.replace(ME, host="far-away", system="00000000")


def dead() -> LeaseHolder:
    """A process of this machine that is no more."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return dataclasses.replace(ME, pid=process.pid)


def state(broker: Broker, topic: str) -> TopicState:
    """A topic of two partitions."""
    return ensure_topic(broker, TopicSettings(name=topic, partitions=2))[0]


def occupy(broker: Broker, topic: TopicState, owner: LeaseHolder, run: str = "r", suffix: str = "") -> None:
    """Another process's place in the group, with its metadata."""
    group = f"clickreel-writer.{run}@{topic.name}{suffix}"
    member = broker.join(group, topic.name, str(owner))
    member.commit({0: Commit(0, CommitMetadata(str(owner), topic_id=topic.topic_id, start_ms=5, stored=3).dump())})


@pytest.mark.parametrize("host", ["laptop", "a-b-c.example", "vm"])
def test_an_owner_can_be_written_and_read(host: str) -> None:
    """Also with dashes in the name of the machine."""
    owner = LeaseHolder(host, "0123abcd", 42, 1_764_000_000_000)
    assert LeaseHolder.parse(str(owner)) == owner
    assert LeaseHolder.parse("rdkafka") is None
    assert LeaseHolder.parse("clickreel-x") is None


def test_a_process_is_known_by_id_and_start() -> None:
    """The same id with another start is another process; on another machine nothing can be said."""
    assert ME.state() == "alive"
    assert dataclasses.replace(ME, started=ME.started - 5_000).state() == "dead"
    assert dead().state() == "dead"
    assert ELSEWHERE.state() == "elsewhere"


def test_metadata_survives_a_round_trip_and_foreign_metadata_is_ignored() -> None:
    """It fits into Kafka's limit; foreign metadata is ignored."""
    metadata = CommitMetadata(
        "clickreel-" + "x" * 200, topic_id="i" * 22, partitions=600, start_ms=1, first=2, deliver_ms=3, nth=4, stored=5
    )
    assert CommitMetadata.load(metadata.dump()) == metadata
    assert len(metadata.dump()) < 1_000
    for text in ("", "hello", "[]", '{"other": 1}'):
        assert CommitMetadata.load(text) is None


def test_a_dead_process_of_this_machine_is_not_waited_for(broker: Broker, topic: str) -> None:
    """Its place is taken at once; its note tells that it did not say goodbye."""
    where = state(broker, topic)
    occupy(broker, where, dead())
    slept: list[float] = []
    claim = ProducerLease(broker, where, "r", sleep=slept.append)
    assert slept == []
    assert not claim.released_cleanly
    assert claim.committed[0].stored == 3
    claim.release({})


def test_a_released_lease_is_not_waited_for_and_leaves_nothing_in_flight(broker: Broker, topic: str) -> None:
    """A static member lingers in the group; its note says that it has gone."""
    where = state(broker, topic)
    first = ProducerLease(broker, where, "r")
    first.release({0: (7, CommitMetadata("", start_ms=9, stored=7))})
    second = ProducerLease(broker, where, "r", sleep=lambda _: pytest.fail("nobody is there"))
    assert second.released_cleanly
    assert (second.committed[0].start_ms, second.committed[0].stored) == (9, 7)
    assert second.run_start_ms() == 9
    second.release({})


def test_a_living_process_is_refused_by_name(broker: Broker, topic: str) -> None:
    """With what leads on; not with a command that ends the service of a stack."""
    where = state(broker, topic)
    first = ProducerLease(broker, where, "r")
    with pytest.raises(ClickreelError, match=rf"run r is being written to {topic} by process {ME.pid} on ") as caught:
        ProducerLease(broker, where, "r")
    assert "another --seed or --run NAME" in caught.value.hint
    assert "kill" not in caught.value.hint
    first.check()
    ProducerLease(broker, where, "another").release({})
    first.release({})


def test_another_machines_silence_is_waited_out() -> None:
    """It is refused while its member is there, and followed once the coordinator has forgotten it."""
    broker = MemoryBroker()
    where = state(broker, "t")
    occupy(broker, where, ELSEWHERE)
    with pytest.raises(ClickreelError, match="on far-away"):
        ProducerLease(broker, where, "r", sleep=lambda _: None)
    naps = iter(range(8))

    def sleep(_: float) -> None:
        if next(naps) == 7:
            broker.expire("clickreel-writer.r@t")

    assert not ProducerLease(broker, where, "r", sleep=sleep).released_cleanly


def test_of_two_that_start_together_one_is_stopped_before_its_first_record(topic: str) -> None:
    """The other takes the place between joining and claiming: the claim is refused."""
    broker = MemoryBroker()
    where = state(broker, topic)
    join = broker.join

    class Racing(MemoryBroker):
        """Another writer joins right behind every joining."""

    racing = Racing()
    racing.__dict__ = broker.__dict__

    def twice(group: str, name: str, owner: str) -> object:
        member = join(group, name, owner)
        join(group, name, str(ELSEWHERE))
        return member

    racing.join = twice  # type: ignore[method-assign, assignment]
    with pytest.raises(ClickreelError, match="is being written to"):
        ProducerLease(racing, where, "r")


def test_who_is_replaced_is_told_and_can_commit_nothing(broker: Broker, topic: str) -> None:
    """The note of the new one stands."""
    where = state(broker, topic)
    claim = ProducerLease(broker, where, "r")
    occupy(broker, where, ELSEWHERE)
    with pytest.raises(SecondWriterError, match=r"was taken over by process .* on far-away"):
        claim.commit_start({0: (1, CommitMetadata("", start_ms=1))})
    with pytest.raises(SecondWriterError, match="far-away"):
        claim.check()
    claim.commit_progress({0: (1, CommitMetadata("", start_ms=1))})
    found = CommitMetadata.load(broker.committed(f"clickreel-writer.r@{topic}", topic)[0].metadata)
    assert found is not None
    assert found.owner == str(ELSEWHERE)
    claim.abandon()


def test_a_holder_that_was_forgotten_joins_again_if_nobody_has_taken_the_lease(topic: str) -> None:
    """A coordinator that was away for longer than the session. Whoever has only joined meanwhile is stopped before its first record."""
    broker = MemoryBroker()
    where = state(broker, topic)
    group = f"clickreel-writer.r@{topic}"
    claim = ProducerLease(broker, where, "r")
    broker.expire(group)
    claim.check()
    stranger = broker.join(group, topic, str(ELSEWHERE))
    claim.check()
    with pytest.raises(LostError):
        stranger.commit({0: Commit(0, CommitMetadata(str(ELSEWHERE)).dump())})
    claim.commit_start({0: (1, CommitMetadata("", start_ms=1))})
    claim.release({})


def test_while_the_coordinator_cannot_be_asked_nothing_is_known(topic: str) -> None:
    """Not a loss, and no right to write either."""
    broker = MemoryBroker()
    claim = ProducerLease(broker, state(broker, topic), "r")
    broker.expire(f"clickreel-writer.r@{topic}")
    broker.down = True
    with pytest.raises(UnreachableError):
        claim.check()
    broker.down = False
    claim.check()
    claim.release({})


def test_shards_of_one_division_agree_and_all_else_does_not(broker: Broker, topic: str) -> None:
    """0/2 and 1/2 write side by side; the whole, the same shard and another division are refused."""
    where = state(broker, topic)
    claims = [ProducerLease(broker, where, "r", Shard(index, 2)) for index in (0, 1)]
    for shard in (Shard(), Shard(0, 2), Shard(0, 3)):
        with pytest.raises(ClickreelError, match="is being written to"):
            ProducerLease(broker, where, "r", shard)
    for claim in claims:
        claim.check()
        claim.release({})
    ProducerLease(broker, where, "r").release({})


def test_a_topic_made_anew_is_another_topic(topic: str) -> None:
    """The metadata of the old one says nothing of it."""
    broker = MemoryBroker()
    where = state(broker, topic)
    ProducerLease(broker, where, "r").release({0: (7, CommitMetadata("", start_ms=9, stored=7))})
    again = dataclasses.replace(where, topic_id="another")
    claim = ProducerLease(broker, again, "r")
    assert claim.committed == {}
    assert claim.run_start_ms() is None


@pytest.mark.parametrize(("minutes", "gone"), [(14, False), (16, True), (None, False)])
def test_a_holder_that_is_silent_for_a_quarter_of_an_hour_has_nothing_in_flight(
    topic: str, minutes: int | None, gone: bool
) -> None:
    """By the time of its last commit; a version that did not write the time says nothing."""
    broker, now = MemoryBroker(), 1_764_000_000_000
    where = state(broker, topic)
    holder = dead()
    member = broker.join(f"clickreel-writer.r@{topic}", topic, str(holder))
    committed_ms = 0 if minutes is None else now - minutes * 60_000
    metadata = CommitMetadata(str(holder), topic_id=where.topic_id, start_ms=5, committed_ms=committed_ms)
    member.commit({0: Commit(0, metadata.dump())})
    lease = ProducerLease(broker, where, "r", clock=lambda: now)
    assert (lease.released_cleanly, lease.is_long_gone, lease.is_safe_to_release) == (False, gone, gone)


def test_a_lease_that_is_not_safe_to_release_stays_unreleased(topic: str) -> None:
    """The next holder waits for the same late requests; once they have been waited for, it need not."""
    broker = MemoryBroker()
    where = state(broker, topic)
    occupy(broker, where, dead())
    for safe, cleanly in ((False, False), (True, False), (True, True)):
        lease = ProducerLease(broker, where, "r")
        assert lease.released_cleanly is cleanly
        lease.is_safe_to_release = safe
        lease.release({})


@pytest.mark.parametrize(("suffix", "shard"), [("", Shard(0, 2)), ("~1of2", Shard())])
def test_a_crash_of_the_whole_run_counts_for_its_shards_and_the_reverse(topic: str, suffix: str, shard: Shard) -> None:
    """They write the same partitions under other groups: what one has in flight concerns the other."""
    broker = MemoryBroker()
    where = state(broker, topic)
    occupy(broker, where, dead(), suffix=suffix)
    assert not ProducerLease(broker, where, "r", shard).released_cleanly


def test_only_an_own_lease_that_nobody_has_taken_can_be_retaken(topic: str) -> None:
    """After a silence of the cluster the same process comes back; without asking for it, it would refuse itself."""
    broker = MemoryBroker()
    where = state(broker, topic)
    ProducerLease(broker, where, "r").abandon()
    occupy(broker, where, ME)
    with pytest.raises(RunInUseError):
        ProducerLease(broker, where, "r")
    assert not ProducerLease(broker, where, "r", retake=True).released_cleanly
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        other = dataclasses.replace(
            ME, pid=process.pid, started=round(psutil.Process(process.pid).create_time() * 1000)
        )
        occupy(broker, where, other)
        with pytest.raises(RunInUseError, match=f"by process {process.pid} on "):
            ProducerLease(broker, where, "r", retake=True)


def test_metadata_of_a_later_version_is_read_as_far_as_it_is_known() -> None:
    """A field that is added must not make an older producer take the run for a new one."""
    metadata = CommitMetadata("clickreel-x", start_ms=7, stored=3)
    later = metadata.dump().replace("{", '{"added_later":1,', 1)
    assert CommitMetadata.load(later) == metadata
    assert CommitMetadata.load("[1]") is None


def test_a_topic_that_was_made_again_is_gone_and_one_that_does_not_answer_is_not(topic: str) -> None:
    """A cluster that is away says nothing about its topics."""
    broker = MemoryBroker()
    lease = ProducerLease(broker, state(broker, topic), "r")
    assert not lease.is_topic_gone()
    broker.down = True
    assert not lease.is_topic_gone()
    broker.down = False
    broker.delete(topic)
    assert lease.is_topic_gone()
    state(broker, topic)
    assert lease.is_topic_gone()
