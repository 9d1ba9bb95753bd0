"""What happens to films: bursts, launches and removals, each week a function of (seed, week).

A burst is a film that goes viral: the share of the lists it is put into jumps and then decays as a power law, exponent 0.5 to 1.0 (Crane, Sornette,
PNAS 2008; Dezso et al. 2005), over a Poisson background. A launch is a film that was not there for eight weeks and arrives with a burst; a removal takes a film away
for eight weeks. Eight weeks and not for ever, because a world has no beginning: for ever would have emptied the catalogue long ago.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from clickreel.simulate.draws import F64, Purpose, child1, poisson, root, uniform1
from clickreel.simulate.settings import WorldSettings
from clickreel.simulate.taste import Taste
from clickreel.simulate.traffic import DAY_MS, HOUR_MS

WEEK_MS = 7 * DAY_MS
ABSENT_DAYS = 56
BURST_MS = 14 * DAY_MS  # a burst is cut off after this; what is left of it by then is less than 2 % of its peak
_TOGETHER_MAX = 0.8  # all bursts together take at most this share of the lists


@dataclass(frozen=True, slots=True)
class Burst:
    """A film that goes viral.

    Attributes:
        film: Place of the film in the catalogue.
        start_ms: When it begins.
        peak: Share of the lists that hold it at the beginning.
        exponent: Of the power law by which the share decays.
        scale_ms: Time after which the decay sets in.
        cause: ``viral`` or ``launch``.
    """

    film: int
    start_ms: int
    peak: float
    exponent: float
    scale_ms: int
    cause: str

    def share(self, ts_ms: NDArray[np.int64]) -> F64:
        """Share of the lists that hold the film, at each instant."""
        age = ts_ms - self.start_ms
        decayed = self.peak * (1.0 + np.maximum(age, 0) / self.scale_ms) ** -self.exponent
        return np.where((age >= 0) & (age < BURST_MS), decayed, 0.0)


@dataclass(frozen=True, slots=True)
class Absence:
    """A film that is not in the catalogue on the days [first_day, end_day); ``cause`` is ``launch`` (it comes after) or ``removal``."""

    film: int
    first_day: int
    end_day: int
    cause: str


class FilmTrends:
    """The bursts, launches and removals of a world."""

    def __init__(self, settings: WorldSettings, taste: Taste) -> None:
        self._settings = settings
        # Bursts do not come to the films that are popular anyway: the top twentieth has its own rise and fall.
        by_rank = np.argsort(-taste.weight, kind="stable")
        self._films = by_rank[len(by_rank) // 20 :]
        # So that a small catalogue is never emptied: at most a hundredth of it comes or goes in a week.
        self._moves_max = len(by_rank) // 100
        self._week = lru_cache(maxsize=256)(self._make_week)

    def bursts(self, start_ms: int, end_ms: int) -> list[Burst]:
        """The bursts that are felt in [start_ms, end_ms), in order of their start; of films that are there when it begins."""
        found: list[Burst] = []
        for week in range((start_ms - BURST_MS) // WEEK_MS, end_ms // WEEK_MS + 1):
            found += self._week(week)[0]
        return [
            burst
            for burst in found
            if burst.start_ms < end_ms
            and burst.start_ms + BURST_MS > start_ms
            and not self._absent_on(burst.film, burst.start_ms // DAY_MS)
        ]

    def absences(self, first_day: int, end_day: int) -> list[Absence]:
        """The absences that touch the days [first_day, end_day)."""
        found: list[Absence] = []
        for week in range((first_day - ABSENT_DAYS) // 7, (end_day + ABSENT_DAYS) // 7 + 1):
            found += self._week(week)[1]
        return [absence for absence in found if absence.first_day < end_day and absence.end_day > first_day]

    def absent(self, day: int) -> NDArray[np.int64]:
        """The films that are not there on a day."""
        return np.array(sorted({absence.film for absence in self.absences(day, day + 1)}), np.int64)

    def _absent_on(self, film: int, day: int) -> bool:
        return any(absence.film == film for absence in self.absences(day, day + 1))

    def _make_week(self, week: int) -> tuple[list[Burst], list[Absence]]:
        settings = self._settings
        key = root(settings.seed, Purpose.BURST, week + (1 << 32))
        bursts = [
            self._burst(child1(key, 16 + n), week) for n in range(self._count(child1(key, 0), settings.bursts_per_week))
        ]
        absences: list[Absence] = []
        for n in range(min(self._count(child1(key, 1), settings.launches_per_week), self._moves_max)):
            burst = self._burst(child1(key, 1016 + n), week)
            day = burst.start_ms // DAY_MS
            absences.append(Absence(burst.film, day - ABSENT_DAYS, day, "launch"))
            bursts.append(Burst(burst.film, day * DAY_MS, burst.peak / 2, burst.exponent, burst.scale_ms, "launch"))
        for n in range(min(self._count(child1(key, 2), settings.removals_per_week), self._moves_max)):
            burst = self._burst(child1(key, 2016 + n), week)
            day = burst.start_ms // DAY_MS
            absences.append(Absence(burst.film, day, day + ABSENT_DAYS, "removal"))
        return sorted(bursts, key=lambda burst: burst.start_ms), absences

    @staticmethod
    def _count(key: int, mean: float) -> int:
        return int(poisson(np.array([uniform1(key)]), np.array([mean]), 200)[0])

    def _burst(self, key: int, week: int) -> Burst:
        film, when, size, exponent, scale = (uniform1(child1(key, n)) for n in range(5))
        return Burst(
            film=int(self._films[int(film * len(self._films))]),
            start_ms=week * WEEK_MS + int(when * WEEK_MS),
            peak=self._settings.burst_peak * (0.6 + 0.4 * size),
            exponent=0.5 + 0.5 * exponent,
            scale_ms=int((0.3 + 0.4 * scale) * HOUR_MS),
            cause="viral",
        )


def pick_burst(bursts: list[Burst], ts_ms: NDArray[np.int64], u: F64) -> NDArray[np.int32]:
    """Which viral film each list holds: its place in the catalogue, -1 for none.

    Args:
        bursts: Those that are felt.
        ts_ms: When each list is shown.
        u: One uniform per list.
    """
    film = np.full(len(ts_ms), -1, np.int32)
    reached = np.zeros(len(ts_ms))
    for burst in bursts:
        before = reached
        reached = np.minimum(before + burst.share(ts_ms), _TOGETHER_MAX)
        film[(u >= before) & (u < reached)] = burst.film
    return film
