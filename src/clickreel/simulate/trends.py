"""What happens to films: bursts, launches and removals, each week a function of (seed, week).

A burst is a film that goes viral. It ramps up over half an hour to two hours, first among the people who like such films anyway, and then
decays as a power law, exponent 0.5 to 1.0 (Crane, Sornette, PNAS 2008; Dezso et al. 2005), over a Poisson background. Most bursts are small:
their sizes fall as log-uniform over a factor of 25 (Cheng et al., WWW 2014: cascades of all sizes, mostly small). A launch is a film that was
not there for eight weeks and arrives, at any hour, with a burst; a removal takes a film away for eight weeks. Eight weeks and not for ever, because a
world has no beginning: for ever would have emptied the catalogue long ago.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from clickreel.simulate.draws import F64, Purpose, child1, poisson, root, uniform1
from clickreel.simulate.intervention import Intervention
from clickreel.simulate.rhythm import DAY_MS, HOUR_MS, MINUTE_MS
from clickreel.simulate.settings import WorldSettings
from clickreel.simulate.taste import Taste

WEEK_MS = 7 * DAY_MS
ABSENT_MS = 56 * DAY_MS
BURST_MS = 14 * DAY_MS  # a burst is cut off after this; what is left of it by then is less than 2 % of its peak
SMALLEST, SMALL_RANGE = 0.012, 25.0  # of the small bursts, as parts of the largest peak
# Among its own audience a burst starts so much higher, among others so much lower: 1.5 / 0.4 is 3.75 times as high.
_OWN_MORE, _OTHERS_LESS = 0.5, 0.6
_SPREAD_OUT = 6.0  # ramps after which it has spread by two thirds
_TOGETHER_MAX = 0.8  # all bursts together take at most this share of the lists
_TELLING = 4e-4  # a share of the lists below which a burst is no longer felt
_STEP_MS = 4 * MINUTE_MS


@dataclass(frozen=True, slots=True)
class Burst:
    """A film that goes viral.

    Attributes:
        film: Place of the film in the catalogue.
        start_ms: When it begins.
        peak: Share of the lists that hold it at its peak.
        exponent: Of the power law by which the share decays.
        scale_ms: Time after which the decay sets in.
        ramp_ms: Time in which it rises.
        cause: ``viral``, ``ripple`` (a small one) or ``launch``.
    """

    film: int
    start_ms: int
    peak: float
    exponent: float
    scale_ms: int
    ramp_ms: int
    cause: str

    def share(self, ts_ms: NDArray[np.int64]) -> F64:
        """Share of the lists that hold the film, at each instant, over all people."""
        age = np.maximum(ts_ms - self.start_ms, 0)
        rise = -np.expm1(-age / self.ramp_ms)
        decayed = (1.0 + np.maximum(age - 2 * self.ramp_ms, 0) / self.scale_ms) ** -self.exponent
        felt = (ts_ms >= self.start_ms) & (age < BURST_MS)
        return np.where(felt, self.peak * rise * decayed, 0.0)

    def shares(self, ts_ms: NDArray[np.int64]) -> tuple[F64, F64]:
        """The same among others and among its own audience."""
        news = np.exp(-np.maximum(ts_ms - self.start_ms, 0) / (_SPREAD_OUT * self.ramp_ms))
        share = self.share(ts_ms)
        share[share < _TELLING] = 0.0
        return share * (1 - _OTHERS_LESS * news), share * (1 + _OWN_MORE * news)


@dataclass(frozen=True, slots=True)
class Absence:
    """A film that is not in the catalogue in [start_ms, end_ms); ``cause`` is ``launch`` (it comes after) or ``removal``."""

    film: int
    start_ms: int
    end_ms: int
    cause: str


class FilmTrends:
    """The bursts, launches and removals of a world."""

    def __init__(self, settings: WorldSettings, taste: Taste, more: list[Burst] | None = None) -> None:
        self._settings = settings
        self._more = more or []  # bursts that the settings do not know
        self._segment = taste.segment
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
            for burst in found + self._more
            if burst.start_ms < end_ms
            and burst.start_ms + BURST_MS > start_ms
            and not self._is_absent(burst.film, burst.start_ms)
        ]

    def absences(self, start_ms: int, end_ms: int) -> list[Absence]:
        """The absences that touch [start_ms, end_ms)."""
        found: list[Absence] = []
        for week in range((start_ms - ABSENT_MS) // WEEK_MS, (end_ms + ABSENT_MS) // WEEK_MS + 1):
            found += self._week(week)[1]
        return [absence for absence in found if absence.start_ms < end_ms and absence.end_ms > start_ms]

    def absent(self, ts_ms: int) -> NDArray[np.int64]:
        """The films that are not there at an instant."""
        return np.array(sorted({absence.film for absence in self.absences(ts_ms, ts_ms + 1)}), np.int64)

    def model_live_ms(self, week: int) -> int:
        """When the week's model of the ranker goes live: at any hour."""
        return week * WEEK_MS + int(uniform1(root(self._settings.seed, Purpose.RANKER, week + (1 << 32))) * WEEK_MS)

    def last_change_ms(self, ts_ms: int) -> int:
        """The last instant up to ``ts_ms`` at which a film came or went, or a model of the ranker went live."""
        week = ts_ms // WEEK_MS
        instants = [self.model_live_ms(week - 1), self.model_live_ms(week)]
        for absence in self.absences((week - 1) * WEEK_MS, ts_ms + 1):
            instants += [absence.start_ms, absence.end_ms]
        return max(instant for instant in instants if instant <= ts_ms)

    def next_change_ms(self, ts_ms: int) -> int:
        """The first instant after ``ts_ms`` at which one of these happens again."""
        week = ts_ms // WEEK_MS
        instants = [self.model_live_ms(week), self.model_live_ms(week + 1)]
        for absence in self.absences(ts_ms, (week + 2) * WEEK_MS):
            instants += [absence.start_ms, absence.end_ms]
        return min(instant for instant in instants if instant > ts_ms)

    def _is_absent(self, film: int, ts_ms: int) -> bool:
        return any(absence.film == film for absence in self.absences(ts_ms, ts_ms + 1))

    def _make_week(self, week: int) -> tuple[list[Burst], list[Absence]]:
        settings = self._settings
        key = root(settings.seed, Purpose.BURST, week + (1 << 32))
        bursts = [
            self._burst(child1(key, 16 + n), week) for n in range(self._count(child1(key, 0), settings.bursts_per_week))
        ]
        absences: list[Absence] = []
        for n in range(min(self._count(child1(key, 1), settings.launches_per_week), self._moves_max)):
            burst = self._burst(child1(key, 1016 + n), week)
            start, peak = (
                burst.start_ms,
                settings.burst_peak * (0.15 + 0.35 * uniform1(child1(child1(key, 1016 + n), 7))),
            )
            absences.append(Absence(burst.film, start - ABSENT_MS, start, "launch"))
            # It is new for days where a viral film is for hours.
            bursts.append(Burst(burst.film, start, peak, burst.exponent, 6 * burst.scale_ms, burst.ramp_ms, "launch"))
        for n in range(min(self._count(child1(key, 2), settings.removals_per_week), self._moves_max)):
            burst = self._burst(child1(key, 2016 + n), week)
            absences.append(Absence(burst.film, burst.start_ms, burst.start_ms + ABSENT_MS, "removal"))
        return sorted(bursts, key=lambda burst: burst.start_ms), absences

    @staticmethod
    def _count(key: int, mean: float) -> int:
        return int(poisson(np.array([uniform1(key)]), np.array([mean]), 200)[0])

    def _burst(self, key: int, week: int) -> Burst:
        film, when, size, exponent, scale, kind, ramp = (uniform1(child1(key, n)) for n in range(7))
        small = kind < self._settings.small_bursts
        return Burst(
            film=int(self._films[int(film * len(self._films))]),
            start_ms=week * WEEK_MS + int(when * WEEK_MS),
            peak=self._settings.burst_peak * (SMALLEST * SMALL_RANGE**size if small else 0.6 + 0.4 * size),
            exponent=0.5 + 0.5 * exponent,
            scale_ms=int((0.3 + 0.4 * scale) * HOUR_MS),
            ramp_ms=int((10 + 30 * ramp) * MINUTE_MS),
            cause="ripple" if small else "viral",
        )


def added_burst(film: int, change: Intervention) -> Burst:
    """A burst by hand: of a middle kind, but for its peak."""
    return Burst(film, change.start_ms, change.value, 0.75, HOUR_MS // 2, 25 * MINUTE_MS, "viral")


def pick_burst(
    bursts: list[Burst],
    ts_ms: NDArray[np.int64],
    u: F64,
    tastes: tuple[NDArray[np.int64], NDArray[np.int64]],
    segment: NDArray[np.int64],
) -> NDArray[np.int32]:
    """Which viral film each list holds: its place in the catalogue, -1 for none.

    Args:
        bursts: Those that are felt.
        ts_ms: When each list is shown.
        u: One uniform per list.
        tastes: First and second taste of each list's person, as segments.
        segment: The segment of each film.
    """
    film = np.full(len(ts_ms), -1, np.int32)
    if len(ts_ms) == 0:
        return film
    # Shares by steps of four minutes, at each step's beginning in absolute time: cheap, and the same however lists are batched.
    first = int(ts_ms.min()) // _STEP_MS
    steps = np.arange(first, int(ts_ms.max()) // _STEP_MS + 1) * _STEP_MS
    shares = [(burst.film, burst.shares(steps)) for burst in bursts]
    shares = [(number, pair) for number, pair in shares if pair[1].any()]
    if not shares:
        return film
    step = ts_ms // _STEP_MS - first
    most = np.minimum(np.sum([own for _, (_, own) in shares], axis=0), _TOGETHER_MAX)
    rows = np.flatnonzero(u < most[step])
    step, u, one, other = step[rows], u[rows], tastes[0][rows], tastes[1][rows]
    reached = np.zeros(len(rows))
    for number, (others, own) in shares:
        before = reached
        is_own = (one == segment[number]) | (other == segment[number])
        reached = np.minimum(before + np.where(is_own, own[step], others[step]), _TOGETHER_MAX)
        film[rows[(u >= before) & (u < reached)]] = number
    return film
