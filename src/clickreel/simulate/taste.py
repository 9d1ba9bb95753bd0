"""What people like: how popular each film is, and which films belong together.

Popularity falls with rank as a broken power law, exponent 0.6 in the head and 1.5 in the tail with the break at a tenth of the catalogue
(measured for media on the web by Guo et al., PODC 2008, and Niconico; a pure Zipf law is too steep at the top: 39 % in the top 1 %).

Taste has structure: the films fall into segments of some thirty, each with a main and a second category. A film belongs to one
segment, and is liked a little less in the segments that share a category. Films of one segment are watched by the same people: this is what a
recommender can learn.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clickreel.simulate.draws import F64, Purpose, bell, child, normal, root
from clickreel.simulate.films import Catalogue

_HEAD, _TAIL = 0.6, 1.5
_FILMS_PER_SEGMENT = 32
_SEGMENTS_MAX = 64
# Log affinity of a film to a segment that is its own, shares its main category, shares any category, shares nothing.
_OWN, _MAIN, _SHARED, _FAR = 0.0, -2.7, -3.5, -5.2
NEWER_MORE = 0.40
_PERSONAL = 0.5  # spread of the affinity between two films of equal category: no category explains all of taste

# Weight of a category in the morning (5-11 h), by day (11-18 h), in the evening (18-23 h) and at night, where it is not 1.
_BY_DAYPART = {
    "Comedy": (2.2, 1.2, 0.9, 0.7), "Family": (2.0, 1.8, 0.8, 0.3), "Animation": (2.4, 1.6, 0.6, 0.3), "Documentary": (1.5, 1.4, 0.8, 0.7),
    "Thriller": (0.4, 0.7, 1.3, 2.4), "Horror": (0.2, 0.5, 1.3, 3.0), "Crime": (0.6, 0.8, 1.3, 1.8), "Mystery": (0.6, 0.9, 1.2, 1.7),
    "Romance": (0.9, 0.9, 1.3, 1.0), "Children": (2.4, 1.8, 0.4, 0.1),
}  # fmt: skip
DAYPARTS = 4
# 0 morning, 1 day, 2 evening, 3 night, for each hour of the people's clock.
DAYPART_OF_HOUR = np.repeat([3, 0, 1, 2, 3], [5, 6, 7, 5, 1])


@dataclass(frozen=True)
class Taste:
    """The structure of taste in a world. n films, k segments, c categories.

    Attributes:
        weight: Popularity of each film, sum 1 (float64[n]).
        segment: The segment each film belongs to (int64[n]).
        segment_category: Main category of each segment, as a place in ``categories`` (int64[k]).
        segment_share: Share of the sessions that are in the mood of a segment (float64[k], sum 1).
        daypart_share: The same when the hour decides, per daypart (float64[4, k], rows sum to 1).
        log_liking: Log of popularity times affinity: how much a segment likes a film (float64[k, n]).
        categories: Names of the categories.
        has_category: Whether a film is in a category (bool[c, n]).
    """

    weight: F64
    segment: NDArray[np.int64]
    segment_category: NDArray[np.int64]
    segment_share: F64
    daypart_share: F64
    log_liking: F64
    categories: tuple[str, ...]
    has_category: NDArray[np.bool_]


def taste(seed: int, catalogue: Catalogue, steepness: float = 1.0) -> Taste:
    """The taste of a world: a function of its seed and its films.

    Args:
        seed: Of the world.
        catalogue: Its films.
        steepness: Factor of the exponents by which popularity falls with rank.
    """
    count = len(catalogue)
    names = catalogue.category_names()
    place = {name: i for i, name in enumerate(names)}
    has = np.zeros((len(names), count), bool)
    for film, of_film in enumerate(catalogue.categories):
        has[[place[name] for name in of_film], film] = True
    main = np.array([place[of_film[0]] for of_film in catalogue.categories])
    weight = _popularity(seed, catalogue, steepness)
    segment, segment_category = _segments(seed, catalogue, main, weight)
    log_liking = np.log(weight) + _affinity(seed, segment, segment_category, main, has)
    share = np.bincount(segment, weight, len(segment_category))
    by_part = np.array(
        [[_BY_DAYPART.get(names[c], (1.0,) * DAYPARTS)[part] for c in segment_category] for part in range(DAYPARTS)]
    )
    by_part *= share
    return Taste(
        weight=weight,
        segment=segment,
        segment_category=segment_category,
        segment_share=share / share.sum(),
        daypart_share=by_part / by_part.sum(axis=1, keepdims=True),
        log_liking=log_liking,
        categories=names,
        has_category=has,
    )


def _popularity(seed: int, catalogue: Catalogue, steepness: float) -> F64:
    """The broken power law over ranks dealt out by the seed."""
    count = len(catalogue)
    rank = np.empty(count)
    keys = child(root(seed, Purpose.POPULARITY), catalogue.film_id)
    # New films are popular for a while: the year has a say in the rank (ties and unknown years have none).
    chance = bell(keys)
    known = catalogue.year > 0
    if known.any():
        newer = np.zeros(count)
        spread = max(float(catalogue.year[known].std()), 1.0)
        newer[known] = (catalogue.year[known] - float(catalogue.year[known].mean())) / spread
        chance -= NEWER_MORE * newer
    rank[np.lexsort((keys, chance))] = np.arange(1, count + 1)
    broken_at = max(count / 10, 1.0)
    weight: F64 = np.where(rank <= broken_at, rank**-_HEAD, broken_at ** (_TAIL - _HEAD) * rank**-_TAIL)
    weight **= steepness
    weight /= weight.sum()
    return weight


def _segments(
    seed: int, catalogue: Catalogue, main: NDArray[np.int64], weight: F64
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Split each main category into segments of about equal number of films.

    Within a category the films are dealt out in order of popularity, back and forth, so that no segment holds all of its hits.
    """
    count = len(catalogue)
    per_segment = max(_FILMS_PER_SEGMENT, count / _SEGMENTS_MAX)
    segment = np.zeros(count, np.int64)
    category_of: list[int] = []
    keys = child(root(seed, Purpose.SEGMENTS), catalogue.film_id)
    for category in range(int(main.max()) + 1):
        films = np.flatnonzero(main == category)
        if len(films) == 0:
            continue
        parts = max(1, round(len(films) / per_segment))
        order = films[np.lexsort((keys[films], -weight[films]))]
        lap, place = np.divmod(np.arange(len(films)), parts)
        segment[order] = len(category_of) + np.where(lap % 2 == 0, place, parts - 1 - place)
        category_of += [category] * parts
    return segment, np.array(category_of)


def _affinity(
    seed: int,
    segment: NDArray[np.int64],
    segment_category: NDArray[np.int64],
    main: NDArray[np.int64],
    has: NDArray[np.bool_],
) -> F64:
    """Log affinity of each segment (row) to each film (column)."""
    k, n = len(segment_category), len(segment)
    affinity = np.full((k, n), _FAR)
    affinity[has[segment_category]] = _SHARED
    affinity[segment_category[:, None] == main] = _MAIN
    affinity += _PERSONAL * normal(child(root(seed, Purpose.TASTE), np.arange(k * n)), 0).reshape(k, n)
    affinity[segment, np.arange(n)] = _OWN
    return affinity


def pick(cumulative: F64, u: F64) -> NDArray[np.int64]:
    """Draw from a discrete distribution by inversion.

    Args:
        cumulative: Cumulative shares; the last is about 1.
        u: Uniforms in (0, 1).
    """
    return np.minimum(np.searchsorted(cumulative, u), len(cumulative) - 1)
