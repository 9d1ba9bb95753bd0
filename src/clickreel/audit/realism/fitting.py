"""Settings by which a world has the statistics of a real click log: fitted on one half of its sessions, judged on the other.

Nine statistics are met by nine settings. Each setting moves its own statistic most, so one is put right after the other, with the slope of
the step before (a secant), round by round; a small world is made for each trial. The peak hour follows without a search. What a log is too short
for (a week), or does not say (whose a session is), is not fitted. Nor is drift, which is told beside them: no setting moves it far (``interest_lasts`` takes it
from 2.1 down to 1.5).
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from clickreel.audit.realism.click_log import ClickLog, longest_gap_s
from clickreel.audit.realism.columns import DAY_MS, HOUR_MS, timeline
from clickreel.audit.realism.session_recommenders import NextItemTask, drift_curve
from clickreel.audit.realism.world_columns import columns_of_world, weeks
from clickreel.errors import UsageError
from clickreel.simulate.settings import WorldSettings
from clickreel.simulate.world import World

_ROUNDS = 4
_TOLERANCE = 0.10
_STEP_MAX = 0.7  # of a statistic's logarithm, in one step
_SUNDAY = 6


@dataclass(frozen=True, slots=True)
class LogStatistics:
    """What is known of a click log.

    Attributes:
        mean_length: Clicks of a session, of those with two.
        length_p95: 95th percentile of them.
        median_gap_s: Median time between two clicks.
        longest_gap_p95_s: 95th percentile, over sessions, of the longest.
        repeats: Share of the clicks whose item was clicked before in the session.
        peak_hour: Hour of the day (UTC) in the middle of the busiest six.
        top_share: Share of the clicks on the top tenth of the items.
        drift: Hits after one click over hits after six, among the twenty items that go best with a click.
        busy_hours: Clicks of the busiest six hours of the day in a row over those of the quietest six.
        weekend: Clicks of a Saturday or Sunday over those of a Monday to Thursday; NaN where the log is shorter than a week.
        returns: Share of the sessions after which the user begins another within a day; NaN where the log names no users.
    """

    mean_length: float
    length_p95: float
    median_gap_s: float
    longest_gap_p95_s: float
    repeats: float
    peak_hour: float
    top_share: float
    drift: float
    busy_hours: float = math.nan
    weekend: float = math.nan
    returns: float = math.nan

    @staticmethod
    def from_log(log: ClickLog) -> LogStatistics:
        """Measure a log."""
        if log.sessions < 200:
            raise UsageError(f"{log.sessions} sessions of two clicks are too few to fit", hint="give a longer log")
        length = np.diff(log.starts)
        hours = np.bincount(log.ts_ms % DAY_MS // HOUR_MS, minlength=24)
        around = np.array([np.roll(hours, -hour)[:6].sum() for hour in range(24)])
        items = np.sort(np.bincount(log.item))[::-1]
        task = NextItemTask.from_log(log)
        curve = drift_curve(task) if task else [math.nan]
        # Whole numbers step; between them the share of sessions decides.
        smooth = np.percentile(length + np.random.default_rng(0).random(len(length)), 95)
        return LogStatistics(
            mean_length=float(length.mean()),
            length_p95=float(smooth),
            median_gap_s=float(np.exp(np.median(log.log_gaps))),
            longest_gap_p95_s=longest_gap_s(log, 95),
            repeats=float(log.repeats.mean()),
            peak_hour=float((np.argmax(around) + 3) % 24),
            top_share=float(items[: max(1, len(items) // 10)].sum() / items.sum()),
            drift=float(curve[0] / curve[-1]) if curve[-1] else math.nan,
            busy_hours=float(around.max() / max(around.min(), 1)),
            weekend=_weekend(log),
            returns=_returns(log),
        )

    def as_json(self) -> dict[str, float | None]:
        """By name; what is not known is null."""
        return {name: None if math.isnan(value) else value for name, value in asdict(self).items()}

    @staticmethod
    def from_json(path: Path) -> LogStatistics:
        """Read the statistics that ``clickreel fit LOG --statistics FILE`` wrote.

        Raises:
            UsageError: It is no such file.
        """
        try:
            values = json.loads(path.read_text()).items()
            return LogStatistics(**{name: math.nan if value is None else float(value) for name, value in values})
        except (ValueError, TypeError, AttributeError) as exc:
            raise UsageError(
                f"{path} holds no statistics of a log", hint=f"clickreel fit LOG --statistics {path}"
            ) from exc


def _weekend(log: ClickLog) -> float:
    """Clicks of a day at the weekend over those of a Monday to Thursday, of the whole weeks at the log's beginning."""
    days = (log.ts_ms - log.ts_ms.min()) // DAY_MS
    whole = (int(days.max()) + 1) // 7 * 7
    if not whole:
        return math.nan
    clicks = np.bincount((log.ts_ms[days < whole] // DAY_MS + 3) % 7, minlength=7)  # 1970-01-01 was a Thursday
    return float(clicks[_SUNDAY - 1 :].mean() / max(clicks[:4].mean(), 1))


def _returns(log: ClickLog) -> float:
    """Share of the sessions, but those of the last day, after whose start their user starts another within a day."""
    if log.user is None:
        return math.nan
    first = log.starts[:-1]
    user, start_ms = log.user[first], log.ts_ms[first]
    order = np.lexsort((start_ms, user))
    user, start_ms = user[order], start_ms[order]
    again = np.zeros(len(user), bool)
    again[:-1] = (user[1:] == user[:-1]) & (np.diff(start_ms) <= DAY_MS)
    judged = start_ms <= log.ts_ms.max() - DAY_MS
    return float(again[judged].mean()) if judged.any() else math.nan


@dataclass(frozen=True, slots=True)
class Knob:
    """A statistic and the setting that moves it most.

    Attributes:
        statistic: Its name in :class:`LogStatistics`.
        setting: Its name in the world's settings.
        low, high: Bounds of the setting.
        slope: What to expect of it at first: how the statistic's logarithm moves with the setting, or with the setting's logarithm.
        by_factor: Whether the setting is moved by a factor; else by an addend.
    """

    statistic: str
    setting: str
    low: float
    high: float
    slope: float = 1.0
    by_factor: bool = True

    def moved(self, value: float, off: float, slope: float) -> float:
        """The setting that puts right a statistic whose logarithm is off by so much."""
        step = float(np.clip(off, -_STEP_MAX, _STEP_MAX)) / slope
        return float(np.clip(value * math.exp(step) if self.by_factor else value + step, self.low, self.high))

    def distance(self, before: float, after: float) -> float:
        """How far the setting was moved, as the slope counts it."""
        return math.log(after / before) if self.by_factor else after - before

    def slope_seen(self, rise: float, distance: float) -> float:
        """The slope that a step has shown, kept near what is to be expected: chance has a part in it."""
        return float(np.clip(rise / distance / self.slope, 0.2, 5.0)) * self.slope


KNOBS = (
    Knob("median_gap_s", "dwell_factor", 0.05, 5.0),
    Knob("longest_gap_p95_s", "distractions", 0.005, 0.6),
    Knob("repeats", "page_again", 0.001, 0.9),
    Knob("mean_length", "visits_mean", 1.05, 30.0),
    Knob("length_p95", "visits_sigma", 0.2, 2.0),
    Knob("top_share", "popularity", 0.05, 3.0, slope=0.5),
    Knob("busy_hours", "day_swing", 0.0, 2.0, slope=1.5, by_factor=False),
    Knob("weekend", "week_swing", -5.0, 5.0, slope=0.15, by_factor=False),
    Knob("returns", "events_per_user", 0.05, 300.0, slope=0.4),
)


@dataclass(frozen=True)
class FittedWorld:
    """The result of a fit.

    Attributes:
        settings: By name: those that were fitted.
        ours: Statistics of the fitted world.
        theirs: Statistics of the half of the log that was not fitted on.
    """

    settings: dict[str, float]
    ours: LogStatistics
    theirs: LogStatistics

    def deviations(self) -> dict[str, float]:
        """Relative deviation of each fitted statistic."""
        names = [knob.statistic for knob in KNOBS if not math.isnan(getattr(self.theirs, knob.statistic))]
        return {name: getattr(self.ours, name) / getattr(self.theirs, name) - 1 for name in names}

    @property
    def ok(self) -> bool:
        """Whether each fitted statistic is within a tenth of the other half's."""
        return all(abs(deviation) <= _TOLERANCE for deviation in self.deviations().values())

    def toml(self) -> str:
        """A scenario file."""
        lines = ["# Fitted by clickreel fit; put the lines below [world] into clickreel.toml.", "[world]"]
        return "\n".join([*lines, *(f"{name} = {value:.4g}" for name, value in self.settings.items()), ""])

    def as_json(self) -> dict[str, object]:
        """The answer of ``clickreel fit --json``."""
        return {
            "ok": self.ok,
            "settings": self.settings,
            "ours": self.ours.as_json(),
            "theirs": self.theirs.as_json(),
            "deviation": self.deviations(),
        }


def statistics_of_world(settings: WorldSettings, days: int) -> LogStatistics:
    """Measure a world made on the spot; bots are left out, as shops leave them out of the logs they publish."""
    world = World(replace(settings, bots=0.0))
    return LogStatistics.from_log(ClickLog.from_timeline(timeline(columns_of_world(world, *weeks(days)))))


def _with(settings: WorldSettings, found: dict[str, float]) -> WorldSettings:
    values: dict[str, Any] = dict(found)
    return replace(settings, **values)


def fit_world(
    half: LogStatistics,
    other: LogStatistics,
    *,
    users: int = 3000,
    days: int = 14,
    progress: Callable[[str], None] | None = None,
) -> FittedWorld:
    """Find settings by which a world has the statistics of a log.

    Args:
        half: What is fitted on.
        other: What the result is judged by.
        users: Size of the worlds that are tried.
        days: Their length.
        progress: Called with a line after each trial.
    """
    start = WorldSettings(users=users)
    knobs = [knob for knob in KNOBS if not math.isnan(getattr(half, knob.statistic))]
    found = {knob.setting: float(getattr(start, knob.setting)) for knob in knobs}
    found["time_zone_h"] = float((statistics_of_world(start, days).peak_hour - half.peak_hour + 12) % 24 - 12)
    slope = {knob: knob.slope for knob in knobs}
    ours = statistics_of_world(_with(start, found), days)
    for _ in range(_ROUNDS):
        for knob in knobs:
            name, at = knob.statistic, found[knob.setting]
            off = _log_ratio(getattr(half, name), getattr(ours, name))
            if math.isnan(off) or abs(off) < _TOLERANCE / 4:
                continue
            value = knob.moved(at, off, slope[knob])
            if (distance := knob.distance(at, value)) == 0.0:
                continue
            before, found[knob.setting] = getattr(ours, name), value
            ours = statistics_of_world(_with(start, found), days)
            if not math.isnan(rise := _log_ratio(getattr(ours, name), before)):
                slope[knob] = knob.slope_seen(rise, distance)
            if progress is not None:
                progress(
                    f"{knob.setting} {value:.4g}: {name} {getattr(ours, name):.4g}, wanted {getattr(half, name):.4g}"
                )
    return FittedWorld(found, ours, other)


def _log_ratio(value: float, to: float) -> float:
    return math.log(max(value, 1e-6) / max(to, 1e-6))
