"""Which films trend: the rule of :mod:`clickreel.insight.trending`, asked of the warehouse."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from clickreel.insight.queries import text
from clickreel.insight.trending import TrendingRule
from clickreel.insight.window import Window
from clickreel.warehouse.client import Client

HOUR_MS = 3_600_000


@dataclass(frozen=True)
class Trend:
    """One film.

    Attributes:
        film_id: Its id.
        title: Its title; empty where the dictionary does not know it.
        viewers: People who opened it in the window, counted once an hour.
        expected: How many its own baseline makes one expect; ``None`` without a baseline.
        sigmas: How many spreads ``viewers`` lies above that; ``None`` without a baseline.
        trending: The verdict.
    """

    film_id: int
    title: str
    viewers: int
    expected: float | None
    sigmas: float | None
    trending: bool


@dataclass(frozen=True)
class TrendingFilms:
    """The films of a window, trending ones first.

    Attributes:
        window: The window.
        ready: Whether there is baseline enough for a verdict; without it the films are those opened most, and none trends.
        baseline_h: Hours before the window, within the baseline's length, in which a film was opened.
        needed_h: How many are needed for a verdict.
        films: The films.
    """

    window: Window
    ready: bool
    baseline_h: int
    needed_h: int
    films: tuple[Trend, ...]

    def as_json(self) -> dict[str, Any]:
        """All of it, for ``--json``."""
        films = [
            {
                "rank": rank,
                "film_id": film.film_id,
                "title": film.title,
                "viewers": film.viewers,
                "expected": film.expected,
                "sigmas": film.sigmas,
                "trending": film.trending,
            }
            for rank, film in enumerate(self.films, 1)
        ]
        return {
            "window": self.window.as_json(),
            "ready": self.ready,
            "baseline_h": self.baseline_h,
            "needed_h": self.needed_h,
            "films": films,
        }


def trends(client: Client, window: Window, *, rule: TrendingRule | None = None, limit: int = 20) -> TrendingFilms:
    """Judge the films of a window.

    Args:
        client: The warehouse.
        window: The window; its length takes the place of the rule's ``window_h``.
        rule: The rule's numbers.
        limit: How many films.
    """
    rule = rule or TrendingRule()
    stretch = {"end_ms": window.end_ms, "window_ms": window.length_ms, "baseline_ms": rule.baseline_h * HOUR_MS}
    # Hours with openings, not the age of the oldest event: one event of long ago is no baseline.
    ((baseline_h,),) = client.rows(text("baseline_hours"), stretch)
    ready = baseline_h >= rule.warm_up_h
    rows = client.rows(
        text("trending"),
        {
            **stretch,
            "warm": int(ready),
            "min_count": rule.min_count,
            "factor": rule.factor,
            "sigmas": rule.sigmas,
            "limit": limit,
        },
    )
    films = tuple(
        Trend(
            int(film),
            str(title),
            int(viewers),
            float(wanted) if ready else None,
            float(sigmas) if ready else None,
            bool(verdict),
        )
        for film, title, viewers, wanted, sigmas, verdict in rows
    )
    return TrendingFilms(window, ready, int(baseline_h), int(rule.warm_up_h), films)
