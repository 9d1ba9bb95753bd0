"""What a producer is asked to do, and the figures of what it has done."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from clickreel.errors import ClickreelError, UsageError
from clickreel.settings import setting
from clickreel.simulate.world import World
from clickreel.stream.latency import Latencies
from clickreel.stream.producer_lease import ALL_PARTITIONS, Shard


@dataclass(frozen=True)
class ProducerSettings:
    """How a producer deals with a cluster that is slow or away."""

    late_request_s: float = setting(
        13.0,
        "How long a request of a producer that was killed may still reach the log; the next one waits so long. 13 s outlast a path that "
        "was cut for 6 s, TCP's own retransmissions included.",
        minimum=0.0,
        maximum=600.0,
    )  # fmt: skip
    stall_s: float = setting(
        30.0, "Nothing acknowledged for so long: a new client is made, and the run resumes.", minimum=1.0, maximum=600.0
    )
    give_up_s: float = setting(
        120.0,
        "Nothing acknowledged for so long: the producer ends with words. A broker that was killed takes half a minute and more to "
        "check its logs on a busy machine.",
        minimum=1.0,
        maximum=86_400.0,
    )  # fmt: skip
    metrics_port: int = setting(
        -1,
        "Port of the Prometheus metrics on 127.0.0.1; 0 takes a free one, -1 serves none.",
        minimum=-1,
        maximum=65_535,
    )


@dataclass(frozen=True)
class ProduceRequest:
    """What to produce.

    Attributes:
        start: Tells where the run begins; asked only when it is a new one. A run that exists goes on where it is.
        until_ms: Deliveries from this instant on are left out; ``None`` for no end.
        count: How many records; ``None`` for no limit.
        total: Whether ``count`` is the run's total, from its first record on, rather than this call's number.
        speed: Seconds of the timeline in a second, see :class:`~clickreel.stream.send_schedule.SendSchedule`.
        shard: The share of the partitions.
        before_first_record: Called once with the oldest timestamp that will be written, before anything is; it may refuse.
    """

    start: Callable[[], int]
    until_ms: int | None = None
    count: int | None = None
    total: bool = False
    speed: float | None = None
    shard: Shard = ALL_PARTITIONS
    before_first_record: Callable[[int], None] = lambda _: None


@dataclass
class ProduceStats:
    """What one call has done; every delivery is in one of three states.

    Attributes:
        run: Name of the run.
        topic: The topic.
        start_ms: Where the run begins.
        resumed: Whether the run had records in the topic before.
        sent: Records handed to the client.
        acknowledged: Records that all in-sync replicas have.
        bytes: Bytes of keys and values sent.
        seconds: From the first record to the last acknowledgement.
        live_sent: Records sent at the clock's pace.
        live_s: For how long.
        target_per_s: Records a second that the run should have at the clock's pace.
        position_ms: How far the timeline is: what was to be delivered before this instant has been sent.
        behind: Whether there is past still to write.
        latencies: From handing a record over to its acknowledgement.
        offsets: By partition: the offset after our last acknowledged record.
        restarts: How often the client was replaced because nothing was acknowledged.
        errors: How many errors there were by kind (:attr:`clickreel.errors.ClickreelError.kind`), those included after which it went on.
        waiting: What it waits for, in words; empty while it works.
    """

    run: str
    topic: str
    start_ms: int = 0
    resumed: bool = False
    sent: int = 0
    acknowledged: int = 0
    bytes: int = 0
    seconds: float = 0.0
    live_sent: int = 0
    live_s: float = 0.0
    target_per_s: float = 0.0
    position_ms: int = 0
    behind: bool = True
    latencies: Latencies = field(default_factory=Latencies)
    offsets: list[int] = field(default_factory=list)
    restarts: int = 0
    # Those that are expected begin at 0: Prometheus sees no increase in a counter that begins at 1.
    errors: Counter[str] = field(default_factory=lambda: Counter(unreachable=0, stalled=0))
    waiting: str = ""

    @property
    def failed(self) -> int:
        """Records sent that are not known to be stored."""
        return self.sent - self.acknowledged


Report = Callable[[ProduceStats], None]


def backfill_start(world: World, count: int, now_ms: int) -> int:
    """Where a run must begin for its first ``count`` deliveries to end about now.

    Whole weeks are estimated by the mean rate, the rest is counted, so that the hour of day does not matter.
    """
    week_ms = 604_800_000
    per_week = world.expected_rate * week_ms / 1000
    weeks = int(max(0, count / per_week - 1)) if per_week else 0
    if weeks * week_ms >= now_ms:
        raise UsageError(
            f"{count:,} events of run {world.run} would begin before 1970", hint="give a higher --rate or --mean-rate"
        )
    left, end = count - round(weeks * per_week), now_ms
    span = max(1_000, int(1.2 * left / world.expected_rate * 1000))
    while left > 0:
        start = end - min(span, 3_600_000)
        ms = world.deliveries(start, end).deliver_ms
        if len(ms) >= left:
            return int(ms[len(ms) - left]) - weeks * week_ms
        left -= len(ms)
        end = start
        if now_ms - end > 60 * week_ms:
            raise ClickreelError(
                f"{count:,} events of run {world.run} would begin over a year ago",
                hint="give --from, or a higher --rate or --mean-rate",
            )
    return end - weeks * week_ms
