"""``clickreel monitor``: the topic second by second."""

from __future__ import annotations

import signal
import sys
import threading
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clickreel.cli.output import Json, print_out
from clickreel.cli.target_options import ProfileFile, TopicName
from clickreel.quantities import quantity

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import RenderableType

    from clickreel.stream.throughput_monitor import IntervalStats

    Standing = dict[str, Any] | None


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(monitor)


def monitor(
    seconds: Annotated[
        int | None, typer.Option("--seconds", help="Stop after this many seconds. [default: until Ctrl-C]")
    ] = None,
    group: Annotated[str | None, typer.Option("--group", help="A consumer group whose lag to show.")] = None,
    topic: TopicName = None,
    profile: ProfileFile = None,
    json: Json = False,
) -> None:
    """Show messages and bytes per second by partition, with skew, and lag in messages and seconds.

    Example: `clickreel monitor`, or `clickreel monitor --json --seconds 10`

    Freshness is the present less the newest event's time: seconds in a live stream, days in a backfill. While ingest runs in this
    home: how far it is behind, and how long after its record's timestamp a row can be queried, median (p50) and p99 of the last
    minute; while it catches up with a past there is no such figure.
    """
    from clickreel.cli.target_options import broker, topic_name
    from clickreel.errors import UsageError
    from clickreel.ingest.ingest_status import read_status
    from clickreel.interrupts import end_requests
    from clickreel.local.home import Home
    from clickreel.stream import throughput_monitor

    if seconds is not None and seconds < 1:
        raise UsageError(f"--seconds is {seconds}", hint="allowed: at least 1")
    stop = threading.Event()
    name = topic_name(topic)
    figures = throughput_monitor.watch(broker(profile), name, group=group, stop=stop)
    home = Home.default().path
    with end_requests(lambda _: stop.set(), signal.SIGTERM):
        if json:
            for count, second in enumerate(figures, start=1):
                sys.stdout.write(throughput_monitor.as_ndjson(second, read_status(home, name)).decode())
                sys.stdout.flush()
                if count == seconds:
                    break
        else:
            _draw(name, figures, seconds, lambda: read_status(home, name))


def _draw(topic: str, figures: object, seconds: int | None, landed: Callable[[], Standing]) -> None:
    from collections import deque
    from collections.abc import Iterator
    from typing import cast

    from rich.console import Console
    from rich.live import Live

    console = Console(highlight=False)
    if not console.is_terminal:  # in a file or a pipe a line a second
        for count, second in enumerate(cast("Iterator[IntervalStats]", figures), start=1):
            print_out(_head(topic, second, landed()))
            if count == seconds:
                return
        return
    history: deque[float] = deque(maxlen=60)
    with Live(f"{topic}: waiting for the first second", console=console, auto_refresh=False) as live:
        for count, second in enumerate(cast("Iterator[IntervalStats]", figures), start=1):
            history.append(sum(second.messages) / second.seconds)
            live.update(_picture(topic, second, list(history), landed()), refresh=True)
            if count == seconds:
                return


def _picture(topic: str, second: IntervalStats, history: list[float], landed: Standing) -> RenderableType:
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    from clickreel.foreign_text import printable
    from clickreel.stream.throughput_monitor import landing_lag

    bars = "▁▂▃▄▅▆▇█"
    top = max(history) or 1.0
    spark = "".join(bars[min(7, int(8 * value / top))] for value in history)
    rows = Table(box=None, pad_edge=False, header_style="bold")
    behind = landing_lag(second, landed)
    queryable = {one["partition"]: one for one in (landed or {}).get("partitions", ()) if "p99_ms" in one}
    for name in (
        "partition",
        "messages/s",
        "kB/s",
        "behind",
        "lag",
        "lag s",
        "to land",
        *(("p50 ms", "p99 ms") if queryable else ()),
    ):
        rows.add_column(name, justify="right")
    for p, (messages, size) in enumerate(zip(second.messages, second.bytes, strict=True)):
        lag = f"{second.lag[p]:,}" if second.lag else "-"
        age = second.lag_s[p] if second.lag else None
        rows.add_row(
            str(p),
            f"{messages / second.seconds:,.0f}",
            f"{size / second.seconds / 1000:,.1f}",
            f"{second.behind[p]:,}",
            lag,
            "-" if age is None else f"{age:,.0f}",
            f"{behind.messages[p]:,}" if behind else "-",
            *(f"{queryable[p][name]:.0f}" if p in queryable else "-" for name in ("p50_ms", "p99_ms") if queryable),
        )
    return Group(Text(printable(_head(topic, second, landed))), spark, rows)


def _head(topic: str, second: IntervalStats, landed: Standing) -> str:
    from clickreel import timespec

    fresh = "-" if second.freshness_ms is None else timespec.format_duration(max(0, second.freshness_ms))
    return (
        f"{topic}  {timespec.format_instant(second.at_ms)[:19]}  {sum(second.messages) / second.seconds:,.0f} messages/s  "
        f"{sum(second.bytes) / second.seconds / 1000:,.1f} kB/s  skew {second.skew:.2f}  newest event {fresh} old"
        f"{_landing(second, landed)}"
    )


def _landing(second: IntervalStats, landed: Standing) -> str:
    """How ingest stands: how soon a row can be queried, or how far it is behind."""
    from clickreel import timespec
    from clickreel.stream.throughput_monitor import landing_lag

    behind = landing_lag(second, landed)
    if landed is None or behind is None:
        return ""
    text = f"  ingest {quantity(sum(behind.messages), 'message')} behind"
    if sum(behind.messages):
        known = behind.oldest_s
        text += f" ({'since before the watching began' if known is None else timespec.format_duration(1000 * known)})"
    if landed.get("catching_up"):
        return f"{text}, catching up"
    return f"{text}  queryable after {landed['p50_ms']:.0f}/{landed['p99_ms']:.0f} ms" if "p99_ms" in landed else text
