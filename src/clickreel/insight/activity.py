"""Who is there: people, sessions and events over time, and how long sessions are."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from clickreel import timespec
from clickreel.insight import charts
from clickreel.insight.queries import text
from clickreel.insight.window import Window
from clickreel.warehouse.client import Client

# Bucket lengths that people read without counting, seconds; the first that gives at most this many buckets is taken.
STEPS_S = (10, 60, 300, 900, 3600, 21_600, 86_400, 604_800)
BUCKETS = 60
HOUR_S = 3600
# A session has ended when nothing came of it for half an hour; "now" are the last five minutes.
UNDER_WAY_MS, NOW_MS = 1_800_000, 300_000


@dataclass(frozen=True)
class Count:
    """What happened in a stretch of time.

    Attributes:
        begin_ms: Where it begins, milliseconds since 1970.
        users: People.
        sessions: Sessions.
        events: Events that landed, each once however often it was delivered.
        views: Events ``view``.
        details: Events ``detail_view``.
        trailers: Events ``watch_trailer``.
        saved: Events ``add_to_watchlist``.
        web: People on the web.
        mobile: People on a phone.
        tablet: People on a tablet.
    """

    begin_ms: int
    users: int
    sessions: int
    events: int
    views: int
    details: int
    trailers: int
    saved: int
    web: int
    mobile: int
    tablet: int

    def as_json(self) -> dict[str, Any]:
        """All of it, its begin as people read it (UTC)."""
        counts = dataclasses.asdict(self)
        return {"begin": timespec.format_instant(counts.pop("begin_ms")), **counts}


@dataclass(frozen=True)
class SessionFigures:
    """How long sessions are.

    Attributes:
        ended: Sessions with an event in the window, and none in its last 30 minutes.
        length_s_p50: Median length of those that began in the window and have ended, first to last event, seconds; ``None`` when none has.
        length_s_p95: The 95th percentile; likewise.
        events_mean: Events a session; likewise.
        under_way: Sessions with an event in the last 30 minutes of the window.
    """

    ended: int
    length_s_p50: float | None
    length_s_p95: float | None
    events_mean: float | None
    under_way: int


@dataclass(frozen=True)
class Activity:
    """A window's people.

    Attributes:
        window: The window.
        total: The whole window at once; people are counted once.
        now: The last five minutes.
        sessions: The sessions.
        step_s: Length of a bucket, seconds.
        buckets: The window in buckets; empty ones are left out.
    """

    window: Window
    total: Count
    now: Count
    sessions: SessionFigures
    step_s: int
    buckets: tuple[Count, ...]

    def as_json(self) -> dict[str, Any]:
        """All of it, for ``--json``."""
        return {
            "window": self.window.as_json(),
            "total": self.total.as_json(),
            "now": self.now.as_json(),
            "sessions": dataclasses.asdict(self.sessions),
            "step_s": self.step_s,
            "buckets": [count.as_json() for count in self.buckets],
        }


def activity(client: Client, window: Window, *, step_s: int | None = None) -> Activity:
    """Count who is there.

    Args:
        client: The warehouse.
        window: The window.
        step_s: Length of a bucket; by default one that gives at most 60.
    """
    step_s = step_s or next((step for step in STEPS_S if window.length_ms <= step * 1000 * BUCKETS), STEPS_S[-1])
    (lengths,) = charts.session_lengths(client, window).rows
    total = _total(client, window)
    under_way = _total(client, window, last_ms=UNDER_WAY_MS).sessions
    return Activity(
        window,
        total,
        _total(client, window, last_ms=NOW_MS),
        SessionFigures(
            total.sessions - under_way,
            lengths.duration_s_p50,
            lengths.duration_s_p95,
            lengths.clicks_mean,
            under_way,
        ),
        step_s,
        _counts(client, window, step_s),
    )


def _counts(client: Client, window: Window, step_s: int) -> tuple[Count, ...]:
    """The window in buckets; a step of 0 makes one of the whole window."""
    by_hours = step_s % HOUR_S == 0 and window.length_ms > HOUR_S * 1000
    seconds = "{hour} * 3600" if by_hours else "toUnixTimestamp(event_ts)"
    sql = text(
        "activity",
        bucket="intDiv(" + seconds + ", {step_s:Int64}) * {step_s:Int64} * 1000" if step_s else "{from_ms:Int64}",
        full="{full_hours}" if by_hours else "0",
        outside="{outside_hours}" if by_hours else "{in_window}",
    )
    return tuple(Count(*map(int, row)) for row in client.rows(sql, {**window.parameters, "step_s": step_s}))


def _total(client: Client, window: Window, last_ms: int | None = None) -> Count:
    """The whole window, or the last part of it, at once."""
    if last_ms is not None:
        window = dataclasses.replace(window, begin_ms=max(window.begin_ms, window.end_ms - last_ms))
    counts = _counts(client, window, 0)
    return counts[0] if counts else Count(window.begin_ms, *[0] * 10)
