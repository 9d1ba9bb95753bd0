"""``clickreel produce``: the stream."""

from __future__ import annotations

import contextlib
import dataclasses
import signal
import sys
import threading
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clickreel.cli.output import Json, print_err, print_json
from clickreel.cli.target_options import ProfileFile, TopicName
from clickreel.cli.world_options import Films, Flaws, MeanRate, Rate, Run, Scenario, Seed, Users
from clickreel.heartbeat import Heartbeat
from clickreel.interrupts import end_requests

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from clickreel.simulate.world import World
    from clickreel.stream.broker import Broker, TopicState
    from clickreel.stream.produce_request import ProduceRequest, ProduceStats
    from clickreel.stream.producer_lease import Shard
    from clickreel.stream.producer_metrics import ProducerMetrics

# How often a line goes to a log; a terminal once a second.
_LOG_EVERY_S = 30.0
# A producer that was given no seed looks for a free one up to here.
_SEEDS_TRIED = 100


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(produce)


def produce(  # noqa: PLR0917 - one parameter an option
    rate: Rate = None,
    mean_rate: MeanRate = None,
    count: Annotated[
        int | None, typer.Option("--count", help="Stop after this many events; with --run: the run's total.")
    ] = None,
    seed: Seed = None,
    start: Annotated[
        str | None, typer.Option("--from", help="Start in the past: 14d, 6h, or a time. [default: now]")
    ] = None,
    until: Annotated[str | None, typer.Option("--until", help="Stop at this point: a time, +10m, or 2h (ago).")] = None,
    speed: Annotated[float | None, typer.Option("--speed", help="Play the timeline this many times as fast.")] = None,
    films: Films = None,
    users: Users = None,
    scenario: Scenario = None,
    flaws: Flaws = None,
    run: Run = None,
    shard: Annotated[
        str | None, typer.Option("--shard", help="Write only this share of the partitions: 0/2, 1/2.")
    ] = None,
    allow_deletion: Annotated[
        bool,
        typer.Option("--allow-deletion", help="Write history even if the topic's retention deletes it right away."),
    ] = False,
    topic: TopicName = None,
    profile: ProfileFile = None,
    json: Json = False,
) -> None:
    """Stream a world's clicks into the topic, each event exactly once, even across crashes.

    Example: `clickreel produce --rate 20 --count 1000 --seed 7`, or `clickreel produce --from 14d`

    A run goes on where it stopped, which is read from the topic. Without --seed and --run, a run that another process writes is left
    to it, and the next free seed is taken. A bare --count writes events that end about now, as fast as it can;
    with --rate or --mean-rate they come at the clock's pace. Ctrl-C waits for what is in flight and reports.
    """
    from clickreel.cli import target_options
    from clickreel.stream import topic_admin
    from clickreel.stream.cluster import Cluster

    _check(count, speed)
    share = _shard(shard)
    paced = rate is not None or mean_rate is not None or speed is not None
    options = {
        "seed": seed,
        "rate": rate,
        "mean_rate": mean_rate,
        "users": users,
        "films": films,
        "scenario": scenario,
        "flaws": flaws,
        "run": run,
    }
    target = target_options.profile(profile)
    cluster = Cluster(target)
    state = topic_admin.require_topic(cluster, target_options.topic_name(topic))
    topic_admin.require_plain_cleanup(state)

    def make_request(world: World) -> ProduceRequest:
        request = _request(world, start, until, count, paced=paced, total=run is not None, speed=speed, shard=share)
        keep = _keep_past(cluster, state, world, own=not target.source, allow_deletion=allow_deletion)
        return dataclasses.replace(request, before_first_record=keep)

    stop = threading.Event()
    with _signals(stop) as interrupted, _reporting(str(profile or ""), quiet=json) as progress:
        _produce_free_run(cluster, state, options, make_request, progress=progress, stop=stop)
        if interrupted():
            raise typer.Exit(130)


@contextlib.contextmanager
def _reporting(profile: str, *, quiet: bool) -> Iterator[_Progress]:
    """Heartbeats, metrics and lines about the producer, while the block runs."""
    from clickreel import log_setup, settings
    from clickreel.local.home import Home
    from clickreel.stream.produce_request import ProducerSettings
    from clickreel.stream.producer_metrics import STATE_FILE, ProducerMetrics, keep_state, serve_metrics

    metrics, service = ProducerMetrics(), log_setup.is_service()
    port = settings.load(ProducerSettings, "producer").metrics_port
    with (
        Heartbeat.from_environment() as heartbeat,
        # A service always has metrics; its state file says where.
        serve_metrics(metrics, 0 if port < 0 and service else port) as address,
        keep_state(metrics, Home.default().path / STATE_FILE if service else None, address),
    ):
        yield _Progress(profile, heartbeat, metrics, quiet=quiet)


def _produce_free_run(
    cluster: Broker,
    state: TopicState,
    options: dict[str, Any],
    make_request: Callable[[World], ProduceRequest],
    *,
    progress: _Progress,
    stop: threading.Event,
) -> None:
    """Produce the run of the options; when they do not say which, and another process writes it, that of the next free seed."""
    from clickreel import log_setup, settings
    from clickreel.cli.world_options import world as make_world
    from clickreel.local.home import Home
    from clickreel.simulate.settings import WorldSettings
    from clickreel.stream import saved_runs
    from clickreel.stream.produce_request import ProducerSettings
    from clickreel.stream.producer import Producer
    from clickreel.stream.producer_lease import RunInUseError

    world = make_world(**options)
    chosen = options["seed"] is not None or world.settings.run or world.settings.seed != WorldSettings().seed
    if (renamed := saved_runs.find_renamed(Home.default().path, world, state.name)) is not None:
        print_err(f"run {renamed} goes on; an earlier version of clickreel named it, this one would say {world.run}")
        world = make_world(**{**options, "run": renamed})
    how = settings.load(ProducerSettings, "producer")
    while True:
        progress.world = world
        producer = Producer(cluster, state, world, make_request(world), settings=how, report=progress, stop=stop)
        try:
            producer.run()
        except RunInUseError as exc:
            if chosen or log_setup.is_service() or world.settings.seed >= _SEEDS_TRIED:
                raise
            world = make_world(**{**options, "seed": world.settings.seed + 1})
            print_err(f"{exc.message}; this one streams run {world.run} (--seed {world.settings.seed})")
        else:
            return
        finally:
            progress.finish(producer.stats)


def _keep_past(
    cluster: Broker, state: TopicState, world: World, *, own: bool, allow_deletion: bool
) -> Callable[[int], None]:
    """What is done about the topic's retention before the first record."""
    from clickreel.stream import retention
    from clickreel.stream.send_schedule import wall_clock

    def keep(from_ms: int) -> None:
        if own:
            raised = retention.keep_backfill(cluster, state, from_ms, wall_clock(), world.expected_rate)
            if raised:
                print_err(f"topic {state.name}: {raised}")
        elif not allow_deletion:
            retention.require_retention(state, from_ms, wall_clock(), world.expected_rate)

    return keep


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


def _request(
    world: World,
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
    from clickreel.stream.produce_request import ProduceRequest, backfill_start
    from clickreel.stream.send_schedule import wall_clock

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
                f"--until {until} is not after the start", hint="give --from an earlier time, or --until +10m"
            )

    def begin() -> int:
        if start_ms is not None:
            return start_ms
        return backfill_start(world, count, min(until_ms or now, now)) if count is not None and not paced else now

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


def _past(stats: ProduceStats) -> str:
    """How far the backfill has come, in words; empty once the run has caught up with the clock."""
    from clickreel import timespec

    if not stats.start_ms or not stats.behind:
        return ""
    share = (stats.position_ms - stats.start_ms) / max(time.time() * 1000 - stats.start_ms, 1)
    return (
        f"backfilling since {timespec.format_instant(stats.start_ms)[:16]}, "
        f"{min(max(share, 0), 1):.0%}, at {timespec.format_instant(stats.position_ms)[:16]}"
    )


class _Progress:
    """Shows the progress: one line that is rewritten on a terminal, one now and then in a log."""

    world: World

    def __init__(self, profile: str, heartbeat: Heartbeat, metrics: ProducerMetrics, *, quiet: bool) -> None:
        self._profile, self._heartbeat, self._metrics, self._quiet = profile, heartbeat, metrics, quiet
        self._terminal = sys.stderr.isatty() and not quiet
        self._before = (time.monotonic(), 0, 0)
        self._saved = self._behind = False
        self._next_s, self._acknowledged = 0.0, 0
        self._waiting = ""

    def __call__(self, stats: ProduceStats) -> None:
        """Show it, if it is time to."""
        from clickreel import log_setup

        self._metrics.stats = stats
        self._beat(stats)
        if stats.waiting != self._waiting:
            self._waiting = stats.waiting
            if stats.waiting and not self._quiet and not log_setup.is_service():  # its log has the line already
                self._print(f"run {stats.run}: {stats.waiting}")
        if not stats.start_ms:
            return
        if not self._saved:
            self._begin(stats)
        if self._behind and not stats.behind and not self._quiet:
            self._print(
                f"run {stats.run} has caught up with the clock: {stats.target_per_s:,.0f} events/s from here on"
            )
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

    def _beat(self, stats: ProduceStats) -> None:
        """Liveness is what was acknowledged, or that nothing was due."""
        if stats.waiting:
            self._heartbeat.waiting(stats.waiting)
        elif stats.acknowledged > self._acknowledged or not stats.failed:
            self._heartbeat.progress(_past(stats))
            if stats.start_ms:
                self._heartbeat.ready(stats.run, _past(stats))
        self._acknowledged = stats.acknowledged

    def _print(self, text: str) -> None:
        if self._terminal:
            sys.stderr.write("\r\x1b[2K")
        print_err(text)

    def _begin(self, stats: ProduceStats) -> None:
        from clickreel import timespec
        from clickreel.local.home import Home
        from clickreel.stream import saved_runs

        self._saved = True
        saved_runs.save_run(Home.default().path, self.world, stats, self._profile)
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
        """The last line, or with ``--json`` the answer."""
        if self._quiet and stats.start_ms:
            print_json(summary(stats))
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

    def asked(number: int) -> None:
        if number == signal.SIGINT:
            interrupts.append(number)
            if len(interrupts) > 1:
                raise KeyboardInterrupt
        stop.set()

    with end_requests(asked, signal.SIGINT, signal.SIGTERM):
        yield lambda: bool(interrupts)
