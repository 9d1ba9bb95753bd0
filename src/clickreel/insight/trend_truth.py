"""What is true about the bursts of a simulated world, as a detector may be judged by it: openings, how each burst rises, the least delay."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clickreel.contract.vocabulary import EVENT_TYPES
from clickreel.insight.rise_detector import F64, MINUTES_A_DAY
from clickreel.simulate.ledger import burst_end_ms
from clickreel.simulate.rhythm import DAY_MS, MINUTE_MS
from clickreel.simulate.trends import Burst
from clickreel.simulate.world import World

DETAIL = EVENT_TYPES.index("detail_view")
WEEK_MIN = 7 * MINUTES_A_DAY
# A burst that is not found within a day is missed; its rise is followed for as long as its bound may need.
HORIZON_MIN = MINUTES_A_DAY
FOLLOWED_MIN = 2 * MINUTES_A_DAY
# Hours of one alarm for one film in the books: the night's quiet does not end a burst, and after the end of a burst it may be told for as long.
SLACK_MIN = 180
# Ages, in ramps of the burst, between which the openings' answer to its lists is measured.
_AGES = np.array([0, 0.25, 0.5, 0.75, 1, 1.5, 2, 3, 4, 6, 10, 20, np.inf])
_PRIOR_OPENINGS = 2.0


@dataclass(frozen=True)
class SimulatedOpenings:
    """People who open a film for the first time on a day, by minute and film, and what is true about the films.

    Attributes:
        counts: uint16[minutes, films].
        bursts: The bursts and launches that are felt.
        spans: For each film the minutes [first, last] in which it draws more than its share.
        begin_ms: Where minute 0 is.
    """

    counts: NDArray[np.uint16]
    bursts: list[Burst]
    spans: dict[int, list[tuple[float, float]]]
    begin_ms: int


def simulate_openings(world: World, begin_ms: int, days: int) -> SimulatedOpenings:
    """Simulate a world and count its openings."""
    films = len(world.catalogue)
    order = np.argsort(world.catalogue.film_id)
    cursor = world.cursor(begin_ms)
    counts = np.zeros((days * MINUTES_A_DAY, films), np.uint16)
    for day in range(days):
        events = cursor.advance(begin_ms + (day + 1) * DAY_MS).events
        events = events.take(events.event_type == DETAIL)
        film = order[np.searchsorted(world.catalogue.film_id, events.film, sorter=order)]
        # Events are in order of time: of equal ones np.unique gives the first.
        _, first = np.unique(events.user.astype(np.int64) * films + film, return_index=True)
        minute = (events.ts_ms[first] - begin_ms) // MINUTE_MS
        np.add.at(counts, (minute, film[first]), 1)
    end_ms = begin_ms + days * DAY_MS
    bursts = world.model.trends.bursts(begin_ms, end_ms)
    spans: dict[int, list[tuple[float, float]]] = {}
    for burst in bursts:
        spans.setdefault(burst.film, []).append(
            ((burst.start_ms - begin_ms) / MINUTE_MS, (burst_end_ms(burst) - begin_ms) / MINUTE_MS)
        )
    for absence in world.model.trends.absences(begin_ms, end_ms):
        # A film that comes back is a new one to whoever counts people.
        back = (absence.end_ms - begin_ms) / MINUTE_MS
        spans.setdefault(absence.film, []).append((back, back + WEEK_MIN))
    return SimulatedOpenings(counts, bursts, spans, begin_ms)


@dataclass
class BurstTruth:
    """One burst.

    Attributes:
        film, start, cause: Which film, the minute it begins, and the ledger's name for it.
        usual: People a minute without it, for each minute from ``start`` on (l0).
        more: People a minute that it adds (l1 - l0).
    """

    film: int
    start: int
    cause: str
    usual: F64
    more: F64

    @property
    def extra_3h(self) -> float:
        """People it adds in its first three hours."""
        return float(self.more[:180].sum())

    def bound_min(self, arl_h: float) -> float:
        """Lorden's bound for a rise that builds up: minutes until its information reaches ``ln(ARL)``; infinite when it never does.

        Information is gathered at the Kullback-Leibler rate ``l1 ln(l1/l0) - l1 + l0``; with a constant ``l1`` this is ``ln(ARL) / KL``.
        """
        risen = self.usual + self.more
        gathered = np.cumsum(risen * np.log(risen / self.usual) - self.more)
        place = int(np.searchsorted(gathered, np.log(arl_h)))
        return place + 1.0 if place < len(gathered) else np.inf

    def constant_bound_min(self, arl_h: float) -> float:
        """The same as if the mean rise of the first three hours were there at once."""
        usual, risen = self.usual[:180].mean(), (self.usual + self.more)[:180].mean()
        rate = risen * np.log(risen / usual) - risen + usual
        return float(np.log(arl_h) / rate) if rate > 0 else np.inf


def burst_truths(worlds: list[SimulatedOpenings], warm_up: int) -> list[list[BurstTruth]]:
    """The bursts that begin after the warm-up, world by world, with the rise each one means for the openings.

    The ledger gives the share of the lists that hold the film, minute by minute. How many openings follow is measured: their course over
    the burst's age from all bursts together (people open a film some time after they see it, and at first it is shown to few of those whom
    it will reach), their height from the burst's own half day, shrunk towards the mean of all.
    """
    shares = [list(_shares(world, warm_up)) for world in worlds]
    every = [one for group in shares for one in group]
    response = np.ones(len(_AGES) - 1)
    for _ in range(3):
        heights = _heights(every, response)
        seen = sum(np.bincount(one.age, one.seen - one.usual, len(response)) for one in every)
        meant = sum(
            np.bincount(one.age, height * one.share, len(response)) for one, height in zip(every, heights, strict=True)
        )
        response = np.maximum(seen / np.maximum(meant, 1e-9), 0.02)
    height = dict(zip(map(id, every), _heights(every, response), strict=True))
    return [
        [
            BurstTruth(
                one.burst.film, one.start, one.burst.cause, one.usual, height[id(one)] * response[one.age] * one.share
            )
            for one in group
        ]
        for group in shares
    ]


@dataclass
class _Course:
    burst: Burst
    start: int
    usual: F64
    share: F64  # of the lists, times the openings of all films
    seen: F64
    age: NDArray[np.int64]


def _shares(world: SimulatedOpenings, warm_up: int) -> Iterator[_Course]:
    everything = world.counts.sum(axis=1, dtype=np.float64)
    smooth = np.maximum(np.convolve(everything, np.full(60, 1 / 60), "same"), 1e-3)
    for burst in world.bursts:
        start = (burst.start_ms - world.begin_ms) // MINUTE_MS
        if not max(warm_up, WEEK_MIN) <= start <= len(everything) - HORIZON_MIN:
            continue
        week = slice(start - WEEK_MIN, start)
        level = (world.counts[week, burst.film].sum(dtype=np.int64) + 0.5) / (everything[week].sum() + 0.5)
        minutes = np.arange(start, min(start + FOLLOWED_MIN, len(everything)))
        ts_ms = world.begin_ms + minutes * MINUTE_MS + MINUTE_MS // 2
        age = np.maximum(ts_ms - burst.start_ms, 0) / burst.ramp_ms
        yield _Course(
            burst,
            int(start),
            level * smooth[minutes],
            burst.share(ts_ms) * smooth[minutes],
            world.counts[minutes, burst.film].astype(np.float64),
            np.digitize(age, _AGES) - 1,
        )


def _heights(courses: list[_Course], response: F64) -> list[float]:
    half_day = slice(0, 720)
    more = [float((one.seen - one.usual)[half_day].sum()) for one in courses]
    meant = [float((response[one.age] * one.share)[half_day].sum()) for one in courses]
    mean = max(sum(more), 1e-9) / max(sum(meant), 1e-9)
    return [
        max(_PRIOR_OPENINGS + extra, 0.1) / (_PRIOR_OPENINGS / mean + reach)
        for extra, reach in zip(more, meant, strict=True)
    ]
