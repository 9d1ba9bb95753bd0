"""The producer: each event once, in order, at its time, whatever happens to it."""

from __future__ import annotations

import dataclasses
import random
import threading
import time
from collections import Counter
from collections.abc import Sequence

import pytest

from clickreel.errors import ClickreelError, UnreachableError, UsageError
from clickreel.simulate.settings import WorldSettings
from clickreel.simulate.world import World
from clickreel.stream.broker import Broker, TopicState
from clickreel.stream.memory import CrashError, MemoryBroker
from clickreel.stream.produce_request import ProduceRequest, ProducerSettings, ProduceStats, backfill_start
from clickreel.stream.producer import Producer
from clickreel.stream.producer_lease import SecondWriterError, Shard
from clickreel.stream.record_batch import Record
from clickreel.stream.send_schedule import wall_clock
from clickreel.stream.topic_admin import ensure_topic
from clickreel.stream.topic_settings import TopicSettings
from tests.stream.expected import expected, first, held, pairs

T0 = 1_764_000_000_000
PLAIN = World(WorldSettings(seed=7, rate=10.0))
FLAWED = World(
    WorldSettings(seed=8, rate=10.0, flaws="late=4%,late_batch=2%,out_of_order=5%,duplicate=5%,malformed=4%")
)
OTHER = World(WorldSettings(seed=9, rate=10.0))


def make(broker: Broker, topic: str, partitions: int = 4) -> TopicState:
    """A topic that keeps its records, however old they say they are."""
    return ensure_topic(broker, TopicSettings(name=topic, partitions=partitions, retention="forever"))[0]


def order(start_ms: int = T0, **more: object) -> ProduceRequest:
    """An order that begins at T0."""
    return dataclasses.replace(ProduceRequest(lambda: start_ms), **more)  # type: ignore[arg-type]


def produce(broker: Broker, state: TopicState, world: World, what: ProduceRequest) -> ProduceStats:
    """Produce it; a broker in memory has nothing under way that had to be waited for."""
    sleep = (lambda _: None) if isinstance(broker, MemoryBroker) else time.sleep
    return Producer(broker, state, world, what, sleep=sleep).run()


@pytest.mark.parametrize("world", [PLAIN, FLAWED], ids=["plain", "flawed"])
def test_a_span_of_the_timeline_arrives_whole_and_in_order(broker: Broker, topic: str, world: World) -> None:
    """Bytes, partitions and order are those of the simulator; the timestamp is the time of delivery; all is accounted for."""
    state = make(broker, topic)
    stats = produce(broker, state, world, order(until_ms=T0 + 240_000))
    wanted = expected(world, 4, T0, T0 + 240_000)
    assert pairs(broker, topic) == wanted
    assert (stats.sent, stats.acknowledged, stats.failed) == (sum(map(len, wanted)),) * 2 + (0,)
    assert stats.bytes == sum(len(k or b"") + len(v or b"") for one in wanted for k, v in one)
    stamps = [record.timestamp_ms for record in held(broker, topic)[0]]
    assert stamps == sorted(stamps)
    assert stamps[0] >= T0
    assert stamps[-1] < T0 + 240_000


def test_a_count_is_the_calls_number_and_the_run_goes_on(broker: Broker, topic: str) -> None:
    """Two calls of 700 are the first 1,400 events."""
    state = make(broker, topic)
    for resumed in (False, True):
        stats = produce(broker, state, PLAIN, order(count=700))
        assert (stats.sent, stats.acknowledged, stats.resumed) == (700, 700, resumed)
    assert pairs(broker, topic) == first(PLAIN, 4, T0, 1400)


def test_a_total_counts_from_the_runs_first_record(broker: Broker, topic: str) -> None:
    """900 after 500 are 400 more, and 900 again none."""
    state = make(broker, topic)
    produce(broker, state, PLAIN, order(count=500))
    assert [produce(broker, state, PLAIN, order(count=900, total=True)).sent for _ in range(2)] == [400, 0]
    assert pairs(broker, topic) == first(PLAIN, 4, T0, 900)


@pytest.mark.parametrize("world", [PLAIN, FLAWED], ids=["plain", "flawed"])
@pytest.mark.parametrize("seed", range(3))
def test_after_any_crash_it_goes_on_where_each_partition_is(world: World, seed: int, topic: str) -> None:
    """Crashes after 0 to 300 records, partitions at different places, notes up to date or lost: nothing lost, doubled or moved."""
    dice = random.Random(seed)
    broker = MemoryBroker(queue_records=dice.choice([50, 400]), stored_per_poll=dice.choice([1, 7, 60]))
    state = make(broker, topic, dice.choice([1, 3, 4]))
    crashes = 0
    while True:
        broker.crash_after = dice.choice([0, 1, 2, dice.randrange(300)])
        if crashes > 8:
            broker.crash_after = None
        try:
            produce(broker, state, world, order(count=2_000, total=True))
            break
        except CrashError:
            crashes += 1
    assert crashes > 5
    assert pairs(broker, topic) == first(world, state.partitions, T0, 2_000)


@pytest.mark.parametrize("world", [PLAIN, FLAWED], ids=["plain", "flawed"])
def test_it_goes_on_without_any_note(world: World, topic: str) -> None:
    """The notes in the group are a convenience: after a week they are gone, and the records alone tell the place."""
    broker = MemoryBroker(stored_per_poll=5)
    state = make(broker, topic, 3)
    for stop in (900, 40, 100):
        broker.crash_after = stop
        with pytest.raises(CrashError):
            produce(broker, state, world, order(until_ms=T0 + 120_000))
        assert all(pairs(broker, topic))
        broker.forget(f"clickreel-writer.{world.run}@{topic}")
    broker.crash_after = None
    assert produce(broker, state, world, order(T0 + 999_999, until_ms=T0 + 120_000)).resumed
    found, wanted = pairs(broker, topic), expected(world, 3, T0, T0 + 120_000)
    assert found == wanted


def test_a_beginning_that_nothing_tells_is_not_guessed(topic: str) -> None:
    """Without the notes, a partition that is still empty may have missed the run's first events, or none."""
    broker = MemoryBroker(stored_per_poll=5)
    state = make(broker, topic, 3)
    broker.crash_after = 20
    with pytest.raises(CrashError):
        produce(broker, state, PLAIN, order(until_ms=T0 + 120_000))
    assert not all(pairs(broker, topic))
    broker.forget(f"clickreel-writer.{PLAIN.run}@{topic}")
    broker.crash_after = None
    before = pairs(broker, topic)
    with pytest.raises(ClickreelError, match="where the run began is unknown") as caught:
        produce(broker, state, PLAIN, order(until_ms=T0 + 120_000))
    assert caught.value.hint == "give the run another --run NAME, and it begins anew"
    assert pairs(broker, topic) == before


@pytest.mark.parametrize("world", [PLAIN, FLAWED], ids=["plain", "flawed"])
def test_records_of_other_runs_in_between_are_searched_through(broker: Broker, topic: str, world: World) -> None:
    """Another run writes thousands of records behind ours, then ours goes on."""
    state = make(broker, topic, 2)
    produce(broker, state, world, order(until_ms=T0 + 40_000))
    produce(broker, state, OTHER, order(until_ms=T0 + 400_000))
    produce(broker, state, world, order(until_ms=T0 + 80_000))
    tag = {world.run: expected(world, 2, T0, T0 + 80_000), OTHER.run: expected(OTHER, 2, T0, T0 + 400_000)}
    for partition, found in enumerate(pairs(broker, topic)):
        ours, theirs = tag[world.run][partition], tag[OTHER.run][partition]
        mine = set(ours)
        assert [pair for pair in found if pair in mine] == ours
        assert [pair for pair in found if pair not in mine] == theirs


@pytest.mark.parametrize("has_notes", [True, False])
def test_a_run_is_found_however_many_records_of_others_are_behind_it(
    topic: str, monkeypatch: pytest.MonkeyPatch, has_notes: bool
) -> None:
    """By its notes; without them by the time at which it begins."""
    monkeypatch.setattr("clickreel.stream.resume._SEARCH_ROWS", 500)
    broker = MemoryBroker()
    state = make(broker, topic, 2)
    produce(broker, state, PLAIN, order(until_ms=T0 + 40_000))
    produce(broker, state, OTHER, order(until_ms=T0 + 1_200_000))
    if not has_notes:
        broker.forget(f"clickreel-writer.{PLAIN.run}@{topic}")
    assert produce(broker, state, PLAIN, order(until_ms=T0 + 80_000)).resumed
    for found, wanted in zip(pairs(broker, topic), expected(PLAIN, 2, T0, T0 + 80_000), strict=True):
        assert [pair for pair in found if pair in set(wanted)] == wanted


def test_a_new_run_begins_in_a_topic_that_others_have_filled(topic: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Records from before its beginning cannot be its own; what a run of its name wrote long ago stays as it is."""
    monkeypatch.setattr("clickreel.stream.resume._SEARCH_ROWS", 500)
    broker = MemoryBroker()
    state = make(broker, topic, 2)
    produce(broker, state, PLAIN, order(until_ms=T0 + 40_000))
    produce(broker, state, OTHER, order(until_ms=T0 + 1_200_000))
    broker.forget(f"clickreel-writer.{PLAIN.run}@{topic}")
    later = T0 + 1_300_000
    for world in (PLAIN, FLAWED):
        assert not produce(broker, state, world, order(later, until_ms=later + 40_000)).resumed
    for partition, found in enumerate(pairs(broker, topic)):
        ours = expected(PLAIN, 2, T0, T0 + 40_000)[partition] + expected(PLAIN, 2, later, later + 40_000)[partition]
        assert [pair for pair in found if pair in set(ours)] == ours


def test_two_runs_write_at_the_same_time(broker: Broker, topic: str) -> None:
    """Each finds records of the other between its own, and neither minds."""
    state = make(broker, topic, 2)
    failures: list[BaseException] = []

    def one(world: World) -> None:
        try:
            produce(broker, state, world, order(until_ms=T0 + 240_000))
        except BaseException as exc:  # noqa: BLE001
            failures.append(exc)

    threads = [threading.Thread(target=one, args=(world,)) for world in (PLAIN, OTHER)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    for partition, found in enumerate(pairs(broker, topic)):
        ours = expected(PLAIN, 2, T0, T0 + 240_000)[partition]
        assert [pair for pair in found if pair in set(ours)] == ours


def test_a_run_of_other_settings_under_the_same_name_is_refused(broker: Broker, topic: str) -> None:
    """The ids say it is the run; the world says it never made them."""
    state = make(broker, topic)
    named = [World(WorldSettings(seed=seed, rate=10.0, run="mine")) for seed in (1, 2)]
    produce(broker, state, named[0], order(count=300))
    with pytest.raises(ClickreelError, match="was written with other settings"):
        produce(broker, state, named[1], order(count=300))
    assert sum(map(len, pairs(broker, topic))) == 300


def test_a_grown_topic_is_refused(topic: str) -> None:
    """More partitions move users; said from the note, and from the records when the note is gone."""
    broker = MemoryBroker()
    produce(broker, make(broker, topic, 3), PLAIN, order(count=300))
    broker.grow(topic, 6)
    state = broker.topic(topic)
    assert state is not None
    with pytest.raises(ClickreelError, match=r"has 6 partitions, but run .* was written to 3 partitions"):
        produce(broker, state, PLAIN, order(count=300))
    broker.forget(f"clickreel-writer.{PLAIN.run}@{topic}")
    with pytest.raises(ClickreelError, match="was written to another number of partitions"):
        produce(broker, state, PLAIN, order(count=300))


def test_a_place_that_the_retention_has_removed_is_refused(topic: str) -> None:
    """It would have to guess."""
    broker = MemoryBroker()
    state = make(broker, topic, 2)
    produce(broker, state, PLAIN, order(count=300))
    for partition, bounds in enumerate(broker.bounds(topic)):
        broker.truncate(topic, partition, bounds.high)
    with pytest.raises(ClickreelError, match=r"the retention of .* has removed the place where run") as caught:
        produce(broker, state, PLAIN, order(count=300))
    assert "retention" in caught.value.hint


def put(broker: Broker, topic: str, partition: int, records: Sequence[Record]) -> None:
    """Somebody with another client writes records."""
    writer = broker.writer(topic, lambda *_: None)
    writer.send(partition, [r.key for r in records], [r.value or b"" for r in records], [T0] * len(records))
    writer.flush(5)


def test_copies_that_somebody_has_made_of_our_records_do_not_stop_the_run(broker: Broker, topic: str) -> None:
    """Trying a client on the topic: the last message again, changed, in another partition, without a key; forty old ones behind it."""
    state = make(broker, topic, 2)
    produce(broker, state, PLAIN, order(count=800))
    old = held(broker, topic)
    strays = [
        (0, old[0][-3:-1]),
        (0, [old[0][-1]._replace(value=(old[0][-1].value or b"").replace(b'"page":"', b'"page":"x'))]),
        (1, old[0][-2:]),
        (1, [old[0][-2]._replace(key=None), old[1][-2]._replace(key=b"somebody")]),
        (1, old[1][100:140]),
    ]
    for partition, records in strays:
        put(broker, topic, partition, records)
    assert produce(broker, state, PLAIN, order(count=200)).resumed
    strays.append((0, held(broker, topic)[0][-1:]))
    put(broker, topic, *strays[-1])
    produce(broker, state, PLAIN, order(count=100))
    for partition, found in enumerate(pairs(broker, topic)):
        foreign = Counter((r.key, r.value) for at, records in strays for r in records if at == partition)
        assert Counter(found) - foreign == Counter(first(PLAIN, 2, T0, 1100)[partition])


def test_copies_do_not_hide_that_the_topic_has_grown(topic: str) -> None:
    """Where the committed metadata is gone, many records in the wrong partition are a changed topic, few are somebody's copies."""
    broker = MemoryBroker()
    state = make(broker, topic, 3)
    produce(broker, state, PLAIN, order(count=300))
    put(broker, topic, 1, held(broker, topic)[0][-2:])
    broker.forget(f"clickreel-writer.{PLAIN.run}@{topic}")
    assert produce(broker, state, PLAIN, order(count=100)).resumed


def test_events_that_the_run_has_not_reached_are_a_second_writers(topic: str) -> None:
    """They would come twice: no copy is ahead of what it was copied from."""
    broker = MemoryBroker()
    state = make(broker, topic, 1)
    produce(broker, state, PLAIN, order(count=400))
    ahead = expected(PLAIN, 1, T0, T0 + 3_600_000)[0][410:420]
    template = held(broker, topic)[0][0]
    put(broker, topic, 0, [template._replace(key=key, value=value) for key, value in ahead])
    with pytest.raises(ClickreelError, match="two programs have written it"):
        produce(broker, state, PLAIN, order(count=300))


def test_a_second_writer_between_our_records_stops_us(topic: str) -> None:
    """What the lock cannot keep out (a request that was on the way) is seen by its offset, and said."""
    broker = MemoryBroker(queue_records=200, stored_per_poll=20)
    state = make(broker, topic, 1)
    produce(broker, state, PLAIN, order(count=100))
    copy = held(broker, topic)[0][-5:]
    done = threading.Event()

    def meddle(stats: ProduceStats) -> None:
        if stats.sent > 100 and not done.is_set():
            done.set()
            writer = broker.writer(topic, lambda *_: None)
            writer.send(0, [r.key for r in copy], [r.value or b"" for r in copy], [T0] * 5)
            writer.flush(1)

    now = time.time_ns() // 1_000_000
    live = World(WorldSettings(seed=7, rate=200.0))
    copy = [record._replace(value=pairs_of(live, now)) for record in copy]
    with pytest.raises(SecondWriterError, match="another program writes run"):
        Producer(broker, state, live, order(now - 2_000), report=meddle).run()


def pairs_of(world: World, now: int) -> bytes:
    """Some event of a world."""
    value = first(world, 1, now - 60_000, 1)[0][0][1]
    assert value is not None
    return value


def test_a_live_writer_is_refused_by_name_and_a_dead_one_is_not_waited_for(broker: Broker, topic: str) -> None:
    """The second writer of a run is told who the first is; once that one has ended it may begin at once."""
    state = make(broker, topic, 2)
    stop = threading.Event()
    begun = threading.Event()
    live = World(WorldSettings(seed=7, rate=100.0, run=f"live-{topic}"))
    producer = Producer(broker, state, live, order(wall_clock()), stop=stop, report=lambda _: begun.set())
    thread = threading.Thread(target=producer.run)
    thread.start()
    try:
        assert begun.wait(60)
        with pytest.raises(ClickreelError, match=rf"run live-{topic} is being written to {topic} by process \d+ on "):
            produce(broker, state, live, order(wall_clock(), count=10))
    finally:
        stop.set()
        thread.join()
    since = time.monotonic()
    assert produce(broker, state, live, order(wall_clock(), count=10)).acknowledged == 10
    assert time.monotonic() - since < 5


def test_shards_write_disjoint_partitions_that_make_up_the_run(broker: Broker, topic: str) -> None:
    """Two processes, half of the partitions each; a writer of the whole run is kept out meanwhile."""
    state = make(broker, topic)
    for index in (0, 1):
        produce(broker, state, PLAIN, order(count=1_000, total=True, shard=Shard(index, 2)))
    assert pairs(broker, topic) == first(PLAIN, 4, T0, 1_000)


@pytest.mark.parametrize("broker", ["kafka"], indirect=True)
def test_a_backfill_crosses_into_now_without_a_seam(broker: Broker, topic: str) -> None:
    """The past at full speed, then the clock's pace; events per second across the seam go on, as evenly as people click."""
    state = make(broker, topic, 2)
    world = World(WorldSettings(seed=7, rate=200.0))
    world.cursor(wall_clock() - 20_000).advance(wall_clock())  # a busy machine takes its time to people the day
    now = wall_clock()
    start = now - 20_000
    began = time.monotonic()
    stats = produce(broker, state, world, order(start, until_ms=now + 4_500))
    assert time.monotonic() - began > 4.0
    assert pairs(broker, topic) == expected(world, 2, start, now + 4_500)
    records = [record for one in held(broker, topic) for record in one]
    assert all(record.timestamp_ms <= wall_clock() for record in records)
    per_second = [sum(start + 1000 * s <= r.timestamp_ms < start + 1000 * (s + 1) for r in records) for s in range(22)]
    assert all(150 <= n <= 250 for n in per_second), per_second
    assert 0.92 * 4400 <= sum(per_second) <= 1.08 * 4400, per_second
    assert stats.live_sent > 0


def test_speed_plays_the_timeline_faster(broker: Broker, topic: str) -> None:
    """Ten times as fast: twenty seconds of the timeline in two."""
    state = make(broker, topic, 2)
    began = time.monotonic()
    produce(broker, state, PLAIN, order(T0, until_ms=T0 + 20_000, speed=10.0))
    assert 1.8 < time.monotonic() - began < 8
    assert pairs(broker, topic) == expected(PLAIN, 2, T0, T0 + 20_000)


def test_a_stop_waits_for_what_is_under_way(broker: Broker, topic: str) -> None:
    """And the stats adds up; the next call goes on behind it, in each partition."""
    state = make(broker, topic, 2)
    stop = threading.Event()

    def enough(stats: ProduceStats) -> None:
        if stats.sent > 500:
            stop.set()

    stats = Producer(broker, state, PLAIN, order(T0 - 1_200_000), stop=stop, report=enough).run()
    assert stats.sent == stats.acknowledged == sum(map(len, pairs(broker, topic)))
    assert stats.sent > 500
    produce(broker, state, PLAIN, order(until_ms=T0))
    assert pairs(broker, topic) == expected(PLAIN, 2, T0 - 1_200_000, T0)


def test_a_broker_that_comes_back_is_waited_for(topic: str) -> None:
    """Nothing is lost while it is away; the queue fills up, then goes on."""
    broker = MemoryBroker(queue_records=300, stored_per_poll=1)
    state = make(broker, topic, 2)
    until = [time.monotonic() + 3600]

    def away(stats: ProduceStats) -> None:
        if stats.sent > 100 and until[0] > time.monotonic() + 60:
            broker.down, until[0] = True, time.monotonic() + 0.5
        elif time.monotonic() > until[0]:
            broker.down = False

    stats = Producer(broker, state, PLAIN, order(count=20_000), report=away).run()
    assert until[0] < time.monotonic(), "it was never away"
    assert stats.acknowledged == 20_000
    assert pairs(broker, topic) == first(PLAIN, 2, T0, 20_000)


def test_a_broker_that_stays_away_is_given_up(topic: str) -> None:
    """In words, with what is not stored counted as failed; the next call goes on behind what is."""
    broker = MemoryBroker(queue_records=300, stored_per_poll=1)
    state = make(broker, topic, 2)

    def away(stats: ProduceStats) -> None:
        broker.down = stats.sent > 100

    settings = ProducerSettings(late_request_s=0.0, stall_s=0.3, give_up_s=1.0)
    producer = Producer(broker, state, PLAIN, order(count=20_000), settings=settings, report=away)
    with pytest.raises(UnreachableError, match=r"does not answer|has acknowledged nothing for"):
        producer.run()
    assert producer.stats.failed > 0
    assert producer.stats.restarts > 0
    broker.down = False
    produce(broker, state, PLAIN, order(count=20_000, total=True))
    assert pairs(broker, topic) == first(PLAIN, 2, T0, 20_000)


@pytest.mark.parametrize("total", [False, True], ids=["count", "total"])
def test_a_stalled_client_is_replaced_and_the_count_is_kept(topic: str, total: bool) -> None:
    """Three outages, each longer than the watchdog: what the dropped clients had queued is sent again, what they had stored is not."""
    broker = MemoryBroker(queue_records=300, stored_per_poll=1)
    state = make(broker, topic, 2)
    outages = [1_000, 5_000, 9_000]
    messages: list[str] = []

    def away(stats: ProduceStats) -> None:
        if stats.waiting:
            messages.append(stats.waiting)
            broker.down = False
        elif outages and stats.acknowledged > outages[0]:
            broker.down = bool(outages.pop(0))

    settings = ProducerSettings(late_request_s=0.0, stall_s=0.2, give_up_s=60.0)
    request = order(count=12_000, total=total)
    stats = Producer(broker, state, PLAIN, request, settings=settings, report=away).run()
    assert (stats.sent, stats.acknowledged, stats.restarts) == (12_000, 12_000, 3)
    assert sum(stats.errors.values()) >= 3
    assert stats.errors["stalled"] >= 1
    assert any("resuming with a new client" in message for message in messages)
    assert pairs(broker, topic) == first(PLAIN, 2, T0, 12_000)


def test_a_stop_during_the_wait_for_late_requests_leaves_the_lease_unreleased(topic: str) -> None:
    """The next producer has to wait as well: what the killed one had under way may still arrive."""
    broker = MemoryBroker()
    state = make(broker, topic, 2)
    broker.crash_after = 100
    with pytest.raises(CrashError):
        produce(broker, state, PLAIN, order(count=2_000))
    broker.crash_after = None
    stop = threading.Event()
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        stop.set()

    Producer(broker, state, PLAIN, order(count=10), sleep=sleep, stop=stop).run()
    assert len(slept) == 1, "the stop was not answered at once"
    slept.clear()
    Producer(broker, state, PLAIN, order(count=10), sleep=slept.append).run()
    assert sum(slept) == pytest.approx(13.0)
    slept.clear()
    Producer(broker, state, PLAIN, order(count=10), sleep=slept.append).run()
    assert slept == []


def test_a_bare_count_ends_about_now() -> None:
    """Whatever the hour: the day's rhythm is counted, not reckoned."""
    world = World(WorldSettings(seed=7, mean_rate=50.0))
    for hour in (4, 20):
        now = T0 - T0 % 86_400_000 + hour * 3_600_000
        assert len(world.deliveries(backfill_start(world, 30_000, now), now)) == pytest.approx(30_000, abs=3)


def test_a_run_that_would_begin_before_1970_is_refused_in_words() -> None:
    """Kafka would refuse the retention that it needs, with a number that nobody has written."""
    world = World(WorldSettings(users=50))
    with pytest.raises(UsageError, match=r"99,999,999,999,999 events of run .* would begin before 1970"):
        backfill_start(world, 99_999_999_999_999, T0)
