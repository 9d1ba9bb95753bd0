"""Which films and categories trend: the detector of :mod:`clickreel.insight.rise_detector`, asked of the warehouse.

One statement counts people by film and minute; Python runs the detector over the day of the window and the day before.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clickreel import timespec
from clickreel.insight.queries import text
from clickreel.insight.rise_detector import F64, Openings, RiseRule, last_statistic, levels, onset
from clickreel.insight.window import Window
from clickreel.warehouse.client import Client

MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000
# The statement's text for what is watched. A film that the catalogue does not know has no category.
ITEMS = {
    "film": "film",
    "category": "arrayJoin(dictGetOrDefault('dvd_films', 'categories', toUInt64(film), ['']))",
}
# A category trends when it draws half as many people again as is usual for it.
CATEGORY_RULE = RiseRule(least_ratio=0.5)


@dataclass(frozen=True)
class Trend:
    """One film, or one category.

    Attributes:
        film_id: Its id; 0 for a category.
        title: Title of the film, empty where the dictionary does not know it; or the category.
        viewers: People who opened it in the window, for the first time that day (UTC).
        expected: How many its own level makes one expect; ``None`` without a baseline.
        ratio: ``viewers / expected``; of a trending film the same since its rise began. ``None`` without a baseline.
        statistic: Natural logarithm of the detector's statistic; ``None`` without a baseline.
        trending: The verdict: the statistic has reached the threshold.
        since_ms: When its rise most likely began; ``None`` unless it trends.
        people_since: People since then.
        expected_since: How many were expected since then.
    """

    film_id: int
    title: str
    viewers: int
    expected: float | None
    ratio: float | None
    statistic: float | None
    trending: bool
    since_ms: int | None = None
    people_since: int | None = None
    expected_since: float | None = None


@dataclass(frozen=True)
class TrendingFilms:
    """The films, or categories, of a window; trending ones first.

    Attributes:
        window: The window.
        ready: Whether there is baseline enough for a verdict; without it the films are those opened most, and none trends.
        baseline_h: Hours before the window, within the baseline's length, in which a film was opened.
        needed_h: How many are needed for a verdict.
        threshold: Natural logarithm of the statistic from which on a film trends.
        films: The films.
        by: ``film`` or ``category``.
    """

    window: Window
    ready: bool
    baseline_h: int
    needed_h: int
    threshold: float
    films: tuple[Trend, ...]
    by: str = "film"

    def as_json(self) -> dict[str, Any]:
        """All of it, for ``--json``."""
        return {
            "window": self.window.as_json(),
            "ready": self.ready,
            "baseline_h": self.baseline_h,
            "needed_h": self.needed_h,
            "threshold": self.threshold,
            "films" if self.by == "film" else "categories": [
                self._named(rank, trend)
                | {
                    "viewers": trend.viewers,
                    "expected": trend.expected,
                    "ratio": trend.ratio,
                    "statistic": trend.statistic,
                    "trending": trend.trending,
                    "since": None if trend.since_ms is None else timespec.format_instant(trend.since_ms),
                    "people_since": trend.people_since,
                    "expected_since": trend.expected_since,
                }
                for rank, trend in enumerate(self.films, 1)
            ],
        }

    def _named(self, rank: int, trend: Trend) -> dict[str, Any]:
        if self.by == "category":
            return {"rank": rank, "category": trend.title}
        return {"rank": rank, "film_id": trend.film_id, "title": trend.title}


@dataclass(frozen=True)
class _Counted:
    """What the statement counted: the items, their openings by minute, and their levels by day."""

    names: list[Any]
    openings: Openings
    level: F64
    begin_ms: int


def trends(
    client: Client, window: Window, *, rule: RiseRule | None = None, limit: int = 20, by: str = "film"
) -> TrendingFilms:
    """Judge the films of a window at its end.

    Args:
        client: The warehouse.
        window: The window in which people are counted for show; the detector looks at all minutes since the midnight before the last one.
        rule: The detector's numbers.
        limit: How many films.
        by: ``film`` or ``category``.
    """
    rule = rule or (CATEGORY_RULE if by == "category" else RiseRule())
    baseline_ms = rule.baseline_days * DAY_MS
    stretch = {"end_ms": window.end_ms, "window_ms": window.length_ms, "baseline_ms": baseline_ms}
    # Hours with openings, not the age of the oldest event: one event of long ago is no baseline.
    ((baseline_h,),) = client.rows(text("baseline_hours"), stretch, projection="device_minutes")
    ready = baseline_h >= rule.warm_up_h
    counted = _count(client, window, rule, by)
    threshold = rule.threshold(max(len(counted.names), 1))
    films = _judge(counted, window, rule, threshold, limit) if ready else _most_opened(counted, window, limit)
    return TrendingFilms(
        window, ready, int(baseline_h), rule.warm_up_h, math.log(threshold), _with_titles(client, films, by), by
    )


def _count(client: Client, window: Window, rule: RiseRule, by: str) -> _Counted:
    begin = min((window.end_ms - 1) // DAY_MS - 1, window.begin_ms // DAY_MS)
    first = begin - rule.baseline_days
    cells = client.columns(
        text("people_per_minute", item=ITEMS[by]),
        {"baseline_ms": first * DAY_MS, "minutes_ms": begin * DAY_MS, "end_ms": window.end_ms},
    )
    coded = cells["item"].combine_chunks().dictionary_encode()
    names = sorted(coded.dictionary.to_pylist())
    day, minute, people = (cells[name].to_numpy().astype(np.int64) for name in ("day_number", "minute", "people"))
    place = {name: number for number, name in enumerate(names)}
    item = np.array([place[name] for name in coded.dictionary.to_pylist()], np.int64)[coded.indices.to_numpy()]
    days = (window.end_ms - 1) // DAY_MS - first + 1
    daily = np.bincount((day - first) * len(names) + item, weights=people, minlength=days * len(names)).astype(np.int64)
    fine = np.flatnonzero(minute >= 0)
    fine = fine[np.argsort(minute[fine], kind="stable")]
    minutes = -(-(window.end_ms - begin * DAY_MS) // MINUTE_MS)
    openings = Openings(minute[fine], item[fine], people[fine], minutes, len(names))
    return _Counted(names, openings, levels(daily.reshape(days, len(names)), rule, rule.baseline_days), begin * DAY_MS)


def _in_window(counted: _Counted, window: Window) -> NDArray[np.int64]:
    """People by item from the minute on in which the window begins."""
    openings = counted.openings
    rows = openings.minute >= (window.begin_ms - counted.begin_ms) // MINUTE_MS
    return np.bincount(openings.item[rows], weights=openings.people[rows], minlength=openings.items).astype(np.int64)


def _most_opened(counted: _Counted, window: Window, limit: int) -> list[Trend]:
    viewers = _in_window(counted, window)
    order = [item for item in np.argsort(-viewers, kind="stable")[:limit].tolist() if viewers[item] > 0]
    return [_trend(counted.names[item], int(viewers[item])) for item in order]


def _trend(name: Any, viewers: int) -> Trend:
    film_id, title = (0, name) if isinstance(name, str) else (int(name), "")
    return Trend(film_id, title, viewers, None, None, None, trending=False)


def _judge(counted: _Counted, window: Window, rule: RiseRule, threshold: float, limit: int) -> list[Trend]:
    openings = counted.openings
    final = last_statistic(openings, counted.level, rule, threshold)
    viewers = _in_window(counted, window)
    cut = (window.begin_ms - counted.begin_ms) // MINUTE_MS
    of_day = np.add.reduceat(
        np.where(np.arange(openings.minutes) >= cut, openings.all_items(), 0.0),
        np.arange(0, openings.minutes, 1440),
    )
    wanted = of_day @ np.nan_to_num(counted.level)
    order = np.lexsort((-viewers, -final, final < threshold))
    found = []
    for item in [item for item in order.tolist() if viewers[item] > 0][:limit]:
        trending = bool(final[item] >= threshold)
        since, people, usual = None, int(viewers[item]), float(wanted[item])
        plain = _trend(counted.names[item], people)
        if trending:
            since = onset(openings, counted.level, item, rule)
            people, usual = since.people, since.expected
        found.append(
            Trend(
                plain.film_id,
                plain.title,
                plain.viewers,
                float(wanted[item]),
                people / usual if usual > 0 else None,
                math.log(max(final[item], 1e-9)),
                trending,
                None if since is None else counted.begin_ms + since.minute * MINUTE_MS,
                None if since is None else since.people,
                None if since is None else since.expected,
            )
        )
    return found


def _with_titles(client: Client, films: list[Trend], by: str) -> tuple[Trend, ...]:
    if by == "category" or not films:
        return tuple(films)
    rows = client.rows(
        "SELECT dictGetOrDefault('dvd_films', 'film_title', toUInt64(arrayJoin({ids:Array(Int32)})), '')",
        {"ids": [film.film_id for film in films]},
    )
    return tuple(replace(film, title=str(title)) for film, (title,) in zip(films, rows, strict=True))
