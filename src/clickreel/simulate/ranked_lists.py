"""The lists people are shown: what an imperfect ranker makes of the catalogue, day by day.

Every list of a day stands in one table, a row a list, best first:

* ``home``: for each segment of taste, several variants (nobody sees exactly what another sees);
* ``browse``: for each segment the films of its main category, several variants;
* ``near``: for each film, the films that are watched by the same people ("more like this", and what follows in a search).

The ranker's score is ``rho * truth + sqrt(1 - rho**2) * noise``: rho is a setting, a tenth of the noise is drawn anew each week (a new model goes live each Thursday), and the order of each
variant is a Plackett-Luce draw from the scores (Gumbel noise added to the log scores) that lasts sixteen days. So the table is a function of (seed, day).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from clickreel.simulate.draws import F64, Purpose, child, child1, gumbel, normal, root
from clickreel.simulate.settings import WorldSettings
from clickreel.simulate.taste import Taste
from clickreel.simulate.trends import FilmTrends

DEPTH = 40  # films in a list; people look at 30 at most, the last one is spare
VARIANTS = 16  # of each segment's home list and browse list
NEAR_VARIANTS = 4  # of each film's near list
LASTS_DAYS = (
    16  # a variant; drawn anew every day, all at once, they would make films jump from day to day by several times
)
_NEAR_CANDIDATES = 96
_SHARPNESS = 1.0  # of the ranker: log scores are multiplied by it before the Gumbel noise
_NEAR_NOISE = 0.6
BROWSE_TASTE = 0.7  # how far a category's list follows the taste of who looks at it; the rest is popularity
LASTING_ERROR = 0.9  # part of the variance of the ranker's error that stays when a new model goes live
_ALL_WEEKS = 1 << 20
_OTHER_CATEGORY = -7.0  # log score of a film in a category's list that is not of it: only when nothing else is left
_ABSENT = np.float32(-1e30)


@dataclass(frozen=True)
class RankedLists:
    """The lists of one day.

    Attributes:
        films: Films as places in the catalogue, best first (int32[rows, depth]).
        home: First row of the home lists: row ``home + segment * VARIANTS + variant``.
        browse: First row of the browse lists: row ``browse + segment * VARIANTS + variant``.
        near: First row of the near lists: row ``near + film * NEAR_VARIANTS + variant``.
        present: The films that are there on the day (int32[m]).
        anchors: Cumulative shares of the films by which a segment is searched, one row a segment (float64[k, n]).
    """

    films: NDArray[np.int32]
    home: int
    browse: int
    near: int
    present: NDArray[np.int32]
    anchors: F64


class Ranker:
    """Makes the lists of each day."""

    def __init__(self, settings: WorldSettings, taste: Taste, trends: FilmTrends) -> None:
        self._settings = settings
        self._taste = taste
        self._trends = trends
        self._depth = min(DEPTH, len(taste.weight))
        self._candidates, self._nearness = self._neighbours()
        # A day's lists serve every block of that day; a block near midnight needs two days, a parallel reader two more.
        self.day = lru_cache(maxsize=4)(self._make_day)
        self._week_scores = lru_cache(maxsize=3)(self._make_week_scores)

    def _make_day(self, day: int) -> RankedLists:
        taste = self._taste
        absent = self._trends.absent(day)
        home_scores, browse_scores = self._week_scores(day // 7)
        key = root(self._settings.seed, Purpose.SHELF)
        home = [self._draw(scores, absent, child1(key, row), day) for row, scores in enumerate(home_scores)]
        browse = [
            self._draw(scores, absent, child1(key, 10_000 + row), day) for row, scores in enumerate(browse_scores)
        ]
        near = self._near(absent, day)
        liking = np.exp(taste.log_liking)
        liking[:, absent] = 0.0
        anchors = np.cumsum(liking, axis=1)
        return RankedLists(
            films=np.concatenate([*home, *browse, near]),
            home=0,
            browse=len(home) * VARIANTS,
            near=(len(home) + len(browse)) * VARIANTS,
            present=np.setdiff1d(np.arange(len(taste.weight), dtype=np.int32), absent).astype(np.int32),
            anchors=anchors / anchors[:, -1:],
        )

    def _make_week_scores(self, week: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """What the ranker of a week thinks of each film: for each segment, and for each segment in its main category."""
        taste, rho = self._taste, self._settings.ranker
        n = len(taste.weight)
        of_category = np.where(taste.has_category[taste.segment_category], 0.0, _OTHER_CATEGORY)
        in_category = of_category + BROWSE_TASTE * taste.log_liking + (1 - BROWSE_TASTE) * np.log(taste.weight)
        scores = []
        for part, truth in enumerate((taste.log_liking, in_category)):
            errors = [
                normal(child(root(self._settings.seed, Purpose.RANKER, version, part), np.arange(truth.size)), 0)
                for version in (_ALL_WEEKS, week)
            ]
            noise = LASTING_ERROR**0.5 * errors[0] + (1 - LASTING_ERROR) ** 0.5 * errors[1]
            noise = noise.reshape(truth.shape) * np.log(taste.weight).std()
            scores.append((_SHARPNESS * (rho * truth + (1 - rho**2) ** 0.5 * noise)).astype(np.float32))
        assert scores[0].shape[1] == n
        return scores[0], scores[1]

    def _draw(self, scores: NDArray[np.float32], absent: NDArray[np.int64], key: int, day: int) -> NDArray[np.int32]:
        """Several Plackett-Luce orders of the films, their best ``depth``."""
        noisy = _noise(key, VARIANTS, len(scores), day) + scores
        noisy[:, absent] = _ABSENT
        return _best(noisy, self._depth)

    def _neighbours(self) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """For each film the films nearest to it, and how near: liked in its segment, and a closeness of each pair of its own."""
        taste = self._taste
        n = len(taste.weight)
        width = min(_NEAR_CANDIDATES, n - 1)
        candidates = np.zeros((n, width), np.int32)
        nearness = np.zeros((n, width), np.float32)
        for segment, liking in enumerate(taste.log_liking):
            films = np.flatnonzero(taste.segment == segment)
            if width == 0 or len(films) == 0:
                continue
            pool = np.argsort(-liking, kind="stable")[: min(2 * _NEAR_CANDIDATES, n)]
            key = root(self._settings.seed, Purpose.NEAR, 1 << 40, segment)
            pairs = child(key, (films[:, None] * n + pool).ravel()).reshape(len(films), -1)
            score = (liking[pool] + normal(pairs, 0)).astype(np.float32)
            score[films[:, None] == pool] = _ABSENT
            best = _best(score, width)
            candidates[films] = pool[best]
            nearness[films] = np.take_along_axis(score, best, axis=1)
        return candidates, nearness

    def _near(self, absent: NDArray[np.int64], day: int) -> NDArray[np.int32]:
        """The near lists of a day: for each film, its neighbours in several orders that differ a little."""
        n, width = self._candidates.shape
        own = np.repeat(np.arange(n, dtype=np.int32), NEAR_VARIANTS)[:, None]
        if width == 0:
            return own
        noise = _noise(root(self._settings.seed, Purpose.NEAR), NEAR_VARIANTS, n * width, day)
        noisy = self._nearness + _NEAR_NOISE * noise.reshape(NEAR_VARIANTS, n, width)
        if len(absent):
            gone = np.zeros(n, bool)
            gone[absent] = True
            noisy[:, gone[self._candidates]] = _ABSENT
        best = _best(noisy.transpose(1, 0, 2).reshape(n * NEAR_VARIANTS, width), min(self._depth, width))
        films = np.take_along_axis(np.repeat(self._candidates, NEAR_VARIANTS, axis=0), best, axis=1)
        # In a catalogue smaller than a list the film itself is the spare one.
        return films if width >= self._depth else np.concatenate([films, own], axis=1)


def _noise(key: int, variants: int, count: int, day: int) -> NDArray[np.float32]:
    """Gumbel noise of each variant of a list, for each of ``count`` films. A variant lasts 16 days, and each day one in sixteen is renewed."""
    number = np.arange(variants)
    epoch = (day + number * (LASTS_DAYS // variants)) // LASTS_DAYS
    keys = child(child(key, number), epoch)
    return gumbel(child(np.repeat(keys, count), np.tile(np.arange(count), variants))).reshape(variants, count)


def _best(scores: NDArray[np.float32], count: int) -> NDArray[np.int32]:
    """Columns of the ``count`` highest scores of each row, highest first."""
    if count < scores.shape[1]:
        chosen = np.argpartition(-scores, count - 1, axis=1)[:, :count]
    else:
        chosen = np.broadcast_to(np.arange(scores.shape[1]), scores.shape)
    order = np.argsort(-np.take_along_axis(scores, chosen, axis=1), axis=1, kind="stable")
    return np.take_along_axis(chosen, order, axis=1).astype(np.int32)
