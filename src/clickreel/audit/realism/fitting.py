"""Settings by which a world has the statistics of a real click log: fitted on one half of its sessions, judged on the other.

Five statistics of sessions are met by five settings. Each setting moves its own statistic most, so one is put right after the other, on the logarithm of both and
with the slope of the step before (a secant), round by round; a small world is made for each trial. The peak hour follows without a search. What no setting
moves (popularity, drift) is told beside them, and is not fitted.
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

_ROUNDS = 3
_TOLERANCE = 0.10
_STEP_MAX = 0.7  # of the logarithm, in one step


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
        drift: Hits after one click over hits after six.
    """

    mean_length: float
    length_p95: float
    median_gap_s: float
    longest_gap_p95_s: float
    repeats: float
    peak_hour: float
    top_share: float
    drift: float

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
        )

    @staticmethod
    def from_json(path: Path) -> LogStatistics:
        """Read the statistics that ``clickreel fit LOG --statistics FILE`` wrote.

        Raises:
            UsageError: It is no such file.
        """
        try:
            return LogStatistics(**{name: float(value) for name, value in json.loads(path.read_text()).items()})
        except (ValueError, TypeError, AttributeError) as exc:
            raise UsageError(
                f"{path} holds no statistics of a log", hint=f"clickreel fit LOG --statistics {path}"
            ) from exc


# Statistic, the setting that moves it most, its bounds.
KNOBS = (
    ("median_gap_s", "dwell_factor", 0.05, 5.0),
    ("longest_gap_p95_s", "distractions", 0.005, 0.6),
    ("repeats", "page_again", 0.001, 0.9),
    ("mean_length", "visits_mean", 1.05, 30.0),
    ("length_p95", "visits_sigma", 0.2, 2.0),
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
        return {name: getattr(self.ours, name) / getattr(self.theirs, name) - 1 for name, *_ in KNOBS}

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
            "ours": asdict(self.ours),
            "theirs": asdict(self.theirs),
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
    users: int = 1500,
    days: int = 7,
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
    found = {knob: float(getattr(start, knob)) for _, knob, _, _ in KNOBS}
    found["time_zone_h"] = float((statistics_of_world(start, days).peak_hour - half.peak_hour + 12) % 24 - 12)
    slope = dict.fromkeys(found, 1.0)
    ours = statistics_of_world(_with(start, found), days)
    for _ in range(_ROUNDS):
        for name, knob, low, high in KNOBS:
            off = math.log(max(getattr(half, name), 1e-6) / max(getattr(ours, name), 1e-6))
            if abs(off) < _TOLERANCE / 4:
                continue
            step = float(np.clip(off / slope[knob], -_STEP_MAX, _STEP_MAX))
            value = float(np.clip(found[knob] * math.exp(step), low, high))
            moved = math.log(value / found[knob])
            if moved == 0.0:
                continue
            before, found[knob] = getattr(ours, name), value
            ours = statistics_of_world(_with(start, found), days)
            slope[knob] = float(np.clip(math.log(getattr(ours, name) / before) / moved, 0.2, 5.0))
            if progress is not None:
                progress(f"{knob} {value:.4g}: {name} {getattr(ours, name):.4g}, wanted {getattr(half, name):.4g}")
    return FittedWorld(found, ours, other)
