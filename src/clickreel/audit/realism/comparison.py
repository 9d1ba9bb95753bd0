"""Two click logs side by side: can they be told apart, do recommenders fare alike on them, do interests last as long?"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from clickreel.audit.realism.click_log import FEATURES, ClickLog, longest_gap_s, own_pace, successive_correlation
from clickreel.audit.realism.session_recommenders import ALGORITHMS, NextItemTask, drift_curve, scores
from clickreel.audit.realism.two_sample import TwoSampleTest, classify
from clickreel.errors import UsageError

_SESSIONS_MIN = 200


@dataclass(frozen=True)
class LogSummary:
    """What one log looks like.

    Attributes:
        figures: Figure by name.
        scores: Mean reciprocal rank by algorithm; empty where the log is too small to ask.
        drift: Share of hits at lag 1 to 6.
    """

    figures: dict[str, float]
    scores: dict[str, float]
    drift: list[float]

    @staticmethod
    def from_log(log: ClickLog) -> LogSummary:
        """Measure a log."""
        task = NextItemTask.from_log(log)
        length = np.diff(log.starts)
        gaps = np.exp(log.log_gaps)
        figures = {
            "sessions": float(log.sessions),
            "items": float(log.items),
            "mean length": float(length.mean()),
            "length p95": float(np.percentile(length, 95)),
            "repeats": float(log.repeats.mean()),
            "median gap (s)": float(np.median(gaps)),
            "longest gap p95 (s)": longest_gap_s(log, 95),
            "successive gaps": successive_correlation(log),
            "own pace": own_pace(log),
        }
        return LogSummary(figures, scores(task) if task else {}, drift_curve(task) if task else [])


@dataclass(frozen=True)
class LogComparison:
    """Two logs compared.

    Attributes:
        test: The two-sample test between them.
        floor: The same between two halves of the first: what chance finds.
        first, second: What each looks like.
    """

    test: TwoSampleTest
    floor: TwoSampleTest
    first: LogSummary
    second: LogSummary

    @property
    def tau(self) -> float:
        """Kendall's tau of the algorithms' ranks on the two logs: 1 is the same order; NaN where one is too small."""
        from scipy.stats import kendalltau

        if not self.first.scores or not self.second.scores:
            return math.nan
        pair = [[side.scores[name] for name in ALGORITHMS] for side in (self.first, self.second)]
        return float(kendalltau(*pair).statistic)

    def tells(self) -> list[tuple[str, float]]:
        """The features by how much they give away, most first."""
        return sorted(zip(FEATURES, self.test.tells.tolist(), strict=True), key=lambda pair: -pair[1])

    def as_json(self) -> dict[str, Any]:
        """The answer of ``clickreel realism compare --json``."""

        def finite(value: float) -> float | None:
            return value if math.isfinite(value) else None

        sides = [
            {"figures": side.figures, "mrr20": side.scores, "drift": [finite(hit) for hit in side.drift]}
            for side in (self.first, self.second)
        ]
        return {
            "auc": finite(self.test.auc),
            "floor": finite(self.floor.auc),
            "tells": {name: finite(lost) for name, lost in self.tells()},
            "tau": finite(self.tau),
            "logs": sides,
        }


def compare_logs(first: ClickLog, second: ClickLog, *, seed: int = 0) -> LogComparison:
    """Compare two logs; the larger is sampled down to the smaller.

    Raises:
        UsageError: One of them has hardly any session of two clicks.
    """
    for name, log in (("first", first), ("second", second)):
        if log.sessions < _SESSIONS_MIN:
            raise UsageError(
                f"the {name} log has {log.sessions} sessions of two clicks and more (at least {_SESSIONS_MIN})",
                hint="compare longer logs",
            )
    halves = (first.half(0).features(), first.half(1).features())
    return LogComparison(
        test=classify(first.features(), second.features(), seed=seed),
        floor=classify(*halves, seed=seed, tells=False),
        first=LogSummary.from_log(first),
        second=LogSummary.from_log(second),
    )
