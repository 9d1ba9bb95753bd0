"""The lists people are shown: what an imperfect ranker makes of what it can know.

It knows what is popular, what each person has liked for long (two segments of taste, a few favourites), which category somebody opened and what
somebody searched for. It does not know what somebody is in the mood for: nothing here depends on a session's hidden interest.

A list is drawn from three short pools of films, 64 candidates in all:

* the home list: what is popular (24), the person's first taste (24) and second taste (16);
* a browse list: the films of a category;
* the list of a search, and "because you liked ...": the films nearest to a film.

The order of each list is a Plackett-Luce draw from the pools' scores (Gumbel noise added to log scores), by person, page and the day of the
person's own: every list is somebody's, and is renewed at an hour that is theirs. The score is ``rho * truth + sqrt(1 - rho**2) * noise``: rho is a
setting, a tenth of the noise is drawn anew with each weekly model of the ranker. The pools change when a film comes or goes or a
model goes live, at any hour, and are otherwise the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clickreel.simulate.draws import (
    F64,
    GOLDEN,
    U64,
    Purpose,
    child,
    child1,
    gumbel,
    gumbel_steps,
    mix,
    mix32,
    normal,
    root,
)
from clickreel.simulate.settings import WorldSettings
from clickreel.simulate.taste import Taste
from clickreel.simulate.trends import WEEK_MS, FilmTrends

PART, LAST_PART = 24, 16  # films of the first two pools of a list, and of the third
WIDTH = 2 * PART + LAST_PART
TASTE_VARIANTS = 8  # pools of a segment's films, which differ in their tails
CATEGORY_VARIANTS = 4
_HEAD = 8  # films that stand in all variants
_NEAR_CANDIDATES = 2 * PART + PART
POPULAR_LESS = -1.6  # log score of a popular film against one of the person's own taste
OWN_TASTE_MORE = 1.6  # and what it gains where it is of that taste
SECOND_TASTE_LESS = -0.7
BROWSE_TASTE = 0.7  # how far a category's list follows the taste of a segment; the rest is popularity
LASTING_ERROR = 0.9  # part of the variance of the ranker's error that stays when a new model goes live
NEAR_SPREAD = 0.6
_ALL_WEEKS = 1 << 20
_OTHER_CATEGORY = -7.0  # log score of a film in a category's list that is not of it: only when nothing else is left
_ABSENT = np.float32(-1e30)

# Scores are whole numbers of 2**-20, 40 added: sums of 26 bits, so that with the place (6 bits) they sort as one 32-bit number.
_UNIT, _LIFT = 1 << 20, 40.0
_NOISE_BITS = 12
GUMBEL = gumbel_steps(_NOISE_BITS, _UNIT)
_TOP = np.uint32((1 << 26) - 1)
_COLUMN = (np.arange(WIDTH, dtype=np.uint32) + np.uint32(1)) * np.uint32(GOLDEN & 0xFFFFFFFF)
_PLACE = np.arange(WIDTH, dtype=np.uint32)
POPULAR_POOL, EMPTY_POOL = 0, 1
_PART_OF, _WITHIN = np.divmod(np.arange(WIDTH), PART)
_ROWS_AT_ONCE = 2048  # lists drawn at once: their candidates stay in the processor's second-level cache


@dataclass(frozen=True)
class RankedLists:
    """The pools of candidates in force, one row a pool, best first.

    Attributes:
        films: Films as places in the catalogue, -1 where a pool is shorter (int32[rows, PART]).
        scores: Their scores, 0 where there is no film (uint32[rows, PART]).
        counts: Number of films of each pool (int64[rows]).
        first_counts: The same among the first ``LAST_PART`` (int64[rows]).
        popular_segment: Segment of each film of pool 0, what is popular (int64[PART]).
        taste: First row of the segments' pools: row ``taste + segment * TASTE_VARIANTS + variant``.
        second: First row of the same with lower scores, for second tastes.
        category: First row of the categories' pools: rows ``category + (segment * CATEGORY_VARIANTS + variant) * 3`` and the two after.
        near: First row of the near pools: rows ``near + film * 3`` and the two after.
        related: For each segment another one, that stands in for a second taste equal to the first (int64[segments]).
        present: The films that are there (int32[m]).
        anchors: Cumulative shares of the films by which a segment is searched, one row a segment (float64[k, n]).
    """

    films: NDArray[np.int32]
    scores: NDArray[np.uint32]
    counts: NDArray[np.int64]
    first_counts: NDArray[np.int64]
    popular_segment: NDArray[np.int64]
    taste: int
    second: int
    category: int
    near: int
    related: NDArray[np.int64]
    present: NDArray[np.int32]
    anchors: F64

    def lengths(self, pools: NDArray[np.int64]) -> NDArray[np.int64]:
        """Number of films of lists drawn from three pools each (int64[n, 3])."""
        length: NDArray[np.int64] = self.counts[pools[:, 0]] + self.counts[pools[:, 1]] + self.first_counts[pools[:, 2]]
        return length

    def draw(self, key: U64, pools: NDArray[np.int64], tastes: NDArray[np.int64]) -> NDArray[np.uint8]:
        """The order of each list: places among its 64 candidates, best first.

        Args:
            key: Key of each list: equal keys and pools give equal lists.
            pools: Its three pools (int64[n, 3]).
            tastes: First and second taste of its person, for lists that begin with what is popular (int64[n, 2]).
        """
        order = np.empty((len(key), WIDTH), np.uint8)
        seeds = (key >> np.uint64(32)).astype(np.uint32)
        more = np.uint32(round(OWN_TASTE_MORE * _UNIT))
        for first in range(0, len(key), _ROWS_AT_ONCE):
            part = slice(first, first + _ROWS_AT_ONCE)
            noise = mix32(seeds[part, None] ^ _COLUMN)
            noise >>= np.uint32(32 - _NOISE_BITS)
            score = GUMBEL[noise]
            rows = pools[part]
            score[:, :PART] += self.scores[rows[:, 0]]
            score[:, PART : 2 * PART] += self.scores[rows[:, 1]]
            score[:, 2 * PART :] += self.scores[rows[:, 2], :LAST_PART]
            popular = np.flatnonzero(rows[:, 0] == POPULAR_POOL)
            if len(popular):
                liked = self.popular_segment == tastes[part][popular, :1]
                liked |= self.popular_segment == tastes[part][popular, 1:]
                score[popular, :PART] += liked * more
            np.subtract(_TOP, score, out=score)
            score <<= np.uint32(6)
            score |= _PLACE
            score.sort(axis=1)
            score &= np.uint32(WIDTH - 1)
            order[part] = score
        return order

    def at(self, pools: NDArray[np.int64], lists: NDArray[np.int64], place: NDArray[np.uint8]) -> NDArray[np.int32]:
        """The film at a place among the candidates of a list; ``lists`` are rows of ``pools``."""
        film: NDArray[np.int32] = self.films.ravel()[pools.ravel()[lists * 3 + _PART_OF[place]] * PART + _WITHIN[place]]
        return film


def list_keys(person: U64, page: NDArray[np.int64], about: NDArray[np.int64], day: NDArray[np.int64]) -> U64:
    """The key of each list: whose, of which kind, about what, and on which of the person's own days."""
    return child(mix(person ^ ((page << 56) | (about << 24)).astype(np.uint64)), day)


class Ranker:
    """Makes the pools of the lists.

    Which films stand in which pool is fixed for a world; what changes is which of them are there, and the scores.

    Args:
        settings: Quality of the ranker.
        taste: What people like.
        trends: Which films are there.
    """

    def __init__(self, settings: WorldSettings, taste: Taste, trends: FilmTrends) -> None:
        self._settings = settings
        self._taste = taste
        self._trends = trends
        self._related = _related(taste)
        self._films, self._nearness = self._fixed_pools()
        # Pools serve until something changes; a block near a change needs two, a parallel reader two more.
        self._pools = lru_cache(maxsize=4)(self._make_pools)
        self._week_scores = lru_cache(maxsize=3)(self._make_week_scores)

    def lists(self, change_ms: int) -> RankedLists:
        """The pools in force from an instant of change on, until the next one; see :meth:`FilmTrends.last_change_ms`."""
        return self._pools(change_ms)

    def _fixed_pools(self) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """The films of all pools, and the nearness of those of the near pools."""
        taste = self._taste
        home, browse = self._make_week_scores(None)
        own = taste.segment, np.arange(len(taste.weight))
        popular = np.argsort(-np.log(taste.weight) - home[own] + taste.log_liking[own], kind="stable")
        popular = popular[: min(PART, len(taste.weight) // 4)]
        key = root(self._settings.seed, Purpose.POOL)
        tastes, categories = [], []
        for segment, category in enumerate(taste.segment_category):
            films = np.setdiff1d(np.flatnonzero(taste.segment == segment), popular)
            tastes.append(_variants(films, home[segment], child1(key, segment), TASTE_VARIANTS, PART))
            films = np.flatnonzero(taste.has_category[category])
            if len(films) < WIDTH:
                films = np.arange(len(taste.weight))
            drawn = _variants(films, browse[segment], child1(key, 10_000 + segment), CATEGORY_VARIANTS, 3 * PART)
            categories.append(_dealt(drawn))
        near, nearness = self._neighbours()
        popular_rows = np.full((2, PART), -1)
        popular_rows[POPULAR_POOL, : len(popular)] = popular
        films = np.concatenate([popular_rows, *tastes, *tastes, *categories, _dealt(near)])
        return films.astype(np.int32), _dealt(nearness)

    def _make_pools(self, change_ms: int) -> RankedLists:
        taste, k = self._taste, len(self._taste.segment_category)
        absent = self._trends.absent(change_ms)
        week = change_ms // WEEK_MS
        home, browse = self._week_scores(week if change_ms >= self._trends.model_live_ms(week) else week - 1)
        there = np.ones(len(taste.weight) + 1, bool)
        there[absent] = False
        there[-1] = False
        films = np.where(there[self._films], self._films, -1)
        first_near = 2 + k * (2 * TASTE_VARIANTS + 3 * CATEGORY_VARIANTS)
        alone = np.flatnonzero((films[first_near:].reshape(-1, 3 * PART) < 0).all(axis=1))
        films[first_near + 3 * alone, 0] = alone  # nothing is near: the film itself
        segment = np.arange(k)
        second = np.repeat(segment, TASTE_VARIANTS)
        scores = np.concatenate(
            [
                np.log(taste.weight).astype(np.float32)[films[:2]] + np.float32(POPULAR_LESS),
                home[np.repeat(segment, TASTE_VARIANTS)[:, None], films[2 : 2 + k * TASTE_VARIANTS]],
                home[second[:, None], films[2 + k * TASTE_VARIANTS : 2 + 2 * k * TASTE_VARIANTS]]
                + np.float32(SECOND_TASTE_LESS),
                browse[
                    np.repeat(segment, 3 * CATEGORY_VARIANTS)[:, None], films[2 + 2 * k * TASTE_VARIANTS : first_near]
                ],
                self._nearness / np.float32(NEAR_SPREAD),
            ]
        )
        # Films before gaps, in the order they had.
        order = np.argsort(films < 0, axis=1, kind="stable")
        films, scores = np.take_along_axis(films, order, axis=1), np.take_along_axis(scores, order, axis=1)
        valid = films >= 0
        liking = np.exp(taste.log_liking)
        liking[:, absent] = 0.0
        anchors = np.cumsum(liking, axis=1)
        return RankedLists(
            films=films,
            scores=np.where(valid, np.round((np.clip(scores, -28, 6) + _LIFT) * _UNIT), 0).astype(np.uint32),
            counts=valid.sum(axis=1),
            first_counts=valid[:, :LAST_PART].sum(axis=1),
            popular_segment=np.where(valid[POPULAR_POOL], taste.segment[films[POPULAR_POOL]], -1),
            taste=2,
            second=2 + k * TASTE_VARIANTS,
            category=2 + 2 * k * TASTE_VARIANTS,
            near=first_near,
            related=self._related,
            present=np.flatnonzero(there[:-1]).astype(np.int32),
            anchors=anchors / anchors[:, -1:],
        )

    def _make_week_scores(self, week: int | None) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """What the ranker of a week thinks of each film: for each segment, and for each segment in its main category.

        Without a week: what it thinks on the mean of all weeks.
        """
        taste, rho = self._taste, self._settings.ranker
        of_category = np.where(taste.has_category[taste.segment_category], 0.0, _OTHER_CATEGORY)
        in_category = of_category + BROWSE_TASTE * taste.log_liking + (1 - BROWSE_TASTE) * np.log(taste.weight)
        scores = []
        for part, truth in enumerate((taste.log_liking, in_category)):
            errors = [
                normal(child(root(self._settings.seed, Purpose.RANKER, version, part), np.arange(truth.size)), 0)
                for version in ((_ALL_WEEKS,) if week is None else (_ALL_WEEKS, week))
            ]
            noise = LASTING_ERROR**0.5 * errors[0]
            if week is not None:
                noise += (1 - LASTING_ERROR) ** 0.5 * errors[1]
            noise = noise.reshape(truth.shape) * np.log(taste.weight).std()
            scores.append((rho * truth + (1 - rho**2) ** 0.5 * noise).astype(np.float32))
        return scores[0], scores[1]

    def _neighbours(self) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """For each film the films nearest to it, and how near: liked in its segment, and a closeness of each pair of its own."""
        taste = self._taste
        n = len(taste.weight)
        width = min(_NEAR_CANDIDATES, n - 1)
        near = np.full((n, _NEAR_CANDIDATES), -1)
        nearness = np.zeros((n, _NEAR_CANDIDATES), np.float32)
        for segment, liking in enumerate(taste.log_liking):
            films = np.flatnonzero(taste.segment == segment)
            if width == 0 or len(films) == 0:
                continue
            pool = np.argsort(-liking, kind="stable")[: min(2 * _NEAR_CANDIDATES, n)]
            key = root(self._settings.seed, Purpose.NEAR, 1 << 40, segment)
            pairs = child(key, (films[:, None] * n + pool).ravel()).reshape(len(films), -1)
            score = (liking[pool] + normal(pairs, 0)).astype(np.float32)
            score[films[:, None] == pool] = _ABSENT
            best = np.argsort(-score, axis=1, kind="stable")[:, :width]
            near[films, :width] = pool[best]
            nearness[films, :width] = np.take_along_axis(score, best, axis=1)
        return near, nearness


def _variants(
    films: NDArray[np.int64], score: NDArray[np.float32], key: int, variants: int, count: int
) -> NDArray[np.int64]:
    """Pools of some films: the best stand in all of them, the rest is drawn by score (Plackett-Luce), so that every film has its chance.

    Returns:
        ``variants`` rows of ``count`` films, best first, filled with -1.
    """
    best = films[np.argsort(-score[films], kind="stable")]
    rest = best[_HEAD:]
    keys = child(child(key, np.repeat(np.arange(variants), len(rest))), np.tile(rest, variants))
    noisy = score[rest] + gumbel(keys).reshape(variants, len(rest))
    chosen = rest[np.argsort(-noisy, axis=1, kind="stable")[:, : max(count - _HEAD, 0)]]
    order = np.argsort(-score[chosen], axis=1, kind="stable")
    pools = np.full((variants, count), -1)
    head = best[:_HEAD]
    pools[:, : len(head)] = head
    pools[:, len(head) : len(head) + chosen.shape[1]] = np.take_along_axis(chosen, order, axis=1)
    return pools


def _dealt(rows: NDArray[Any]) -> NDArray[Any]:
    """Rows of three pools' length as three rows each, dealt out in turn, so that each pool holds good ones."""
    return rows.reshape(len(rows), PART, 3).transpose(0, 2, 1).reshape(-1, PART)


def _related(taste: Taste) -> NDArray[np.int64]:
    """For each segment the next one of its category, or else the next one of all."""
    k = len(taste.segment_category)
    related = (np.arange(k) + 1) % k
    for segment in range(k):
        same = np.flatnonzero(taste.segment_category == taste.segment_category[segment])
        if len(same) > 1:
            related[segment] = same[(np.searchsorted(same, segment) + 1) % len(same)]
    return related
