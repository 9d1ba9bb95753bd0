"""``clickreel produce``: the stream."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clickreel.cli.output import Json, print_err, print_json
from clickreel.cli.target_options import ProfileFile, TopicName
from clickreel.cli.world_options import Films, Flaws, MeanRate, Rate, Run, Scenario, Seed, Users

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

    from clickreel.simulate.world import World
    from clickreel.stream.broker import TopicState
    from clickreel.stream.producer import ProduceRequest, ProduceStats
    from clickreel.stream.producer_lease import Shard

# How often a line goes to a log; a terminal is told ten times a second.
_LOG_EVERY_S = 30.0


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(produce)


def produce(  # noqa: PLR0917 - one parameter an option
    rate: Rate = None,
    mean_rate: MeanRate = None,
    count: Annotated[
        int | None, typer.Option("--count", help="Stop after so many; with --run: the run's total.")
    ] = None,
    seed: Seed = None,
    start: Annotated[
        str | None, typer.Option("--from", help="Begin in the past: 14d, 6h, or a time. [default: now]")
    ] = None,
    until: Annotated[str | None, typer.Option("--until", help="Stop there: a time, +10m, or 2h (ago).")] = None,
    speed: Annotated[float | None, typer.Option("--speed", help="Play the timeline so many times as fast.")] = None,
    films: Films = None,
    users: Users = None,
    scenario: Scenario = None,
    flaws: Flaws = None,
    run: Run = None,
    shard: Annotated[
        str | None, typer.Option("--shard", help="Write a share of the partitions only: 0/2, 1/2.")
    ] = None,
    topic: TopicName = None,
    profile: ProfileFile = None,
    json: Json = False,
) -> None:
    """Stream a world's clicks into the topic, each event once, also across crashes.

    Example: [bold]clickreel produce --rate 20 --count 1000 --seed 7[/bold], or [bold]clickreel produce --from 14d[/bold]

    A run goes on where it stopped, which is read from the topic. A bare --count writes events that end about now, as fast as it can;
    with --rate or --mean-rate they come at the clock's pace. Ctrl-C waits for what is under way and reports.
    """
    from clickreel.cli.target_options import broker, topic_name
    from clickreel.cli.world_options import world as make_world
    from clickreel.stream import topic_admin
    from clickreel.stream.producer import Producer

    _check(count, speed)
    share = _shard(shard)
    paced = rate is not None or mean_rate is not None or speed is not None
    world = make_world(
        seed=seed, rate=rate, mean_rate=mean_rate, users=users, films=films, scenario=scenario, flaws=flaws, run=run
    )
    cluster = broker(profile)
    state = topic_admin.require_topic(cluster, topic_name(topic))
    topic_admin.require_plain_cleanup(state)
    order = _order(world, state, start, until, count, paced=paced, total=run is not None, speed=speed, shard=share)
    stop = threading.Event()
    watch = _Watch(world, str(profile or ""), quiet=json)
    producer = Producer(cluster, state, world, order, report=watch, stop=stop)
    with _signals(stop) as interrupted:
        try:
            producer.run()
        finally:
            watch.finish(producer.stats)
            if json and producer.stats.start_ms:
                print_json(summary(producer.stats))
        if interrupted():
            raise typer.Exit(130)


def _check(count: int | None, speed: float | None) -> None:
    from clickreel.errors import UsageError

    if count is not None and count < 1:
        raise UsageError(f"--count is {count}", hint="allowed: at least 1")
    if speed is not None and not 0 < speed <= 1e6:
        raise UsageError(f"--speed is {speed:g}", hint="allowed: above 0, up to 1,000,000")


def _shard(text: str | None) -> Shard:
    from clickreel.errors import UsageError
    from clickreel.stream.producer_lease import ALL_PARTITIONS, Shard

    if text is None:
        return ALL_PARTITIONS
    index, _, of = text.partition("/")
    if not (index.isdigit() and of.isdigit() and int(index) < int(of)):
        raise UsageError(f"--shard is {text!r}", hint="write it as INDEX/OF, from 0: 0/2 and 1/2")
    return Shard(int(index), int(of))


def _order(
    world: World,
    state: TopicState,
    start: str | None,
    until: str | None,
    count: int | None,
    *,
    paced: bool,
    total: bool,
    speed: float | None,
    shard: Shard,
) -> ProduceRequest:
    from clickreel import timespec
    from clickreel.errors import UsageError
    from clickreel.stream.producer import ProduceRequest, backfill_start
    from clickreel.stream.send_schedule import wall_clock
    from clickreel.stream.topic_admin import check_retention

    now = wall_clock()
    start_ms = None if start is None else timespec.instant_ms(start, now, "--from")
    if start_ms is not None and start_ms > now:
        raise UsageError(f"--from {start} lies in the future", hint="allowed: now, a span (14d), or a time in the past")
    until_ms = None
    if until is not None:
        ahead = until.strip().startswith("+")
        until_ms = (
            now + timespec.span_ms(until.strip()[1:], "--until")
            if ahead
            else timespec.instant_ms(until, now, "--until")
        )
        if until_ms <= (now if start_ms is None and count is None else start_ms or 0):
            raise UsageError(
                f"--until {until} is not after the beginning", hint="give --from an earlier time, or --until +10m"
            )

    def begin() -> int:
        bare = start_ms is None and count is not None and not paced
        begun = (
            backfill_start(world, count or 0, min(until_ms or now, now))
            if bare
            else now
            if start_ms is None
            else start_ms
        )
        warning = check_retention(state, begun, now)
        if warning:
            print_err(("warning:", "yellow"), f" the run begins at {timespec.format_instant(begun)}; {warning}")
        return begun

    return ProduceRequest(begin, until_ms, count, total, speed, shard)


def summary(stats: ProduceStats) -> dict[str, Any]:
    """What a call has done, as ``--json`` prints it."""
    latency = stats.latencies
    per_s = stats.acknowledged / stats.seconds if stats.seconds else 0.0
    live = stats.live_sent / stats.live_s if stats.live_s > 1 else None
    return {
        "run": stats.run,
        "topic": stats.topic,
        "sent": stats.sent,
        "acknowledged": stats.acknowledged,
        "failed": stats.failed,
        "seconds": round(stats.seconds, 3),
        "events_per_s": round(per_s, 3),
        "live_events_per_s": None if live is None else round(live, 3),
        "target_per_s": round(stats.target_per_s, 3),
        "bytes": stats.bytes,
        "latency_ms_p50": latency.quantile(0.5),
        "latency_ms_p99": latency.quantile(0.99),
        "resumed": stats.resumed,
        "start_ms": stats.start_ms,
        "position_ms": stats.position_ms,
        "partitions": [{"partition": p, "next_offset": offset} for p, offset in enumerate(stats.offsets)],
    }


class _Watch:
    """Shows the progress: one line that is rewritten on a terminal, one now and then in a log."""

    def __init__(self, world: World, profile: str, *, quiet: bool) -> None:
        self._world, self._profile, self._quiet = world, profile, quiet
        self._terminal = sys.stderr.isatty() and not quiet
        self._before = (time.monotonic(), 0, 0)
        self._shown = ""
        self._saved = self._behind = False
        self._next_s = 0.0

    def __call__(self, stats: ProduceStats) -> None:
        """Show it, if it is time to."""
        if not self._saved:
            self._begin(stats)
        if self._behind and not stats.behind and not self._quiet:
            self._say(f"run {stats.run} has caught up with the clock: {stats.target_per_s:,.0f} events/s from here on")
        self._behind = stats.behind
        now = time.monotonic()
        if self._quiet or now < self._next_s:
            return
        self._next_s = now + (1.0 if self._terminal else _LOG_EVERY_S)
        since, sent, size = self._before
        seconds = max(now - since, 1e-9)
        self._before = now, stats.sent, stats.bytes
        line = self._line(stats, (stats.sent - sent) / seconds, (stats.bytes - size) / seconds)
        if self._terminal:
            sys.stderr.write(f"\r\x1b[2K{line}")
            sys.stderr.flush()
        elif stats.sent:
            print_err(line)

    def _say(self, text: str) -> None:
        if self._terminal:
            sys.stderr.write("\r\x1b[2K")
        print_err(text)

    def _begin(self, stats: ProduceStats) -> None:
        from clickreel import timespec
        from clickreel.local import ready
        from clickreel.local.home import Home
        from clickreel.stream import saved_runs

        self._saved = True
        saved_runs.save_run(Home.default().path, self._world, stats, self._profile)
        ready.announce(stats.run)  # to the stack that may have started this process
        if not self._quiet:
            where = (
                f"goes on at {timespec.format_instant(stats.position_ms)}"
                if stats.resumed
                else f"begins at {timespec.format_instant(stats.start_ms)}"
            )
            print_err(f"run {stats.run} {where}, into {stats.topic}")

    @staticmethod
    def _line(stats: ProduceStats, per_s: float, bytes_per_s: float) -> str:
        from clickreel import timespec

        p99 = stats.latencies.quantile(0.99)
        parts = [
            timespec.format_instant(stats.position_ms)[:19],
            "past" if stats.behind else "live",
            f"{per_s:,.0f} events/s",
            f"{bytes_per_s / 1000:,.1f} kB/s",
            f"{stats.sent:,} sent",
            f"{stats.acknowledged:,} acknowledged",
        ]
        return "  ".join(parts + ([f"p99 {p99:.0f} ms"] if p99 is not None else []))

    def finish(self, stats: ProduceStats) -> None:
        """The last line."""
        if self._terminal and self._saved:
            sys.stderr.write("\r\x1b[2K")
        if self._quiet or not self._saved:
            return
        figures = summary(stats)
        live = figures["live_events_per_s"]
        rate = f", live {live:,.1f} of {stats.target_per_s:,.1f} events/s" if live is not None else ""
        print_err(
            f"run {stats.run}: {stats.sent:,} sent, {stats.acknowledged:,} acknowledged, {stats.failed:,} failed "
            f"in {stats.seconds:.1f} s ({figures['events_per_s']:,.0f} events/s){rate}"
        )


@contextlib.contextmanager
def _signals(stop: threading.Event) -> Iterator[Callable[[], bool]]:
    """Ctrl-C and SIGTERM ask for an orderly end; a second Ctrl-C does not wait for it. Gives a function: was there a Ctrl-C?"""
    interrupts: list[int] = []

    def asked(number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGINT:
            interrupts.append(number)
            if len(interrupts) > 1:
                raise KeyboardInterrupt
        stop.set()

    before = {number: signal.signal(number, asked) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(interrupts)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
