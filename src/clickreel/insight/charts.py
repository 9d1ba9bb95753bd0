"""The charts: a named statement in ``sql/`` each, a typed function, and :data:`CHARTS`, which lists them for commands and pages.

A click is an event of any type. What is counted is what landed: each offset of the topic once. Dead letters are in no chart.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from clickreel import timespec
from clickreel.insight.queries import text
from clickreel.insight.window import Window
from clickreel.warehouse.client import Client

WEEK_S = 604_800
LIMIT = 20

Row = TypeVar("Row")


@dataclass(frozen=True)
class ActiveNow:
    """The last five minutes of a window."""

    people: int
    sessions: int
    clicks: int


@dataclass(frozen=True)
class MinuteClicks:
    """A minute; ``begin_ms`` in milliseconds since 1970."""

    begin_ms: int
    clicks: int
    people: int


@dataclass(frozen=True)
class FilmClicks:
    """A film; ``title`` is empty where the catalogue does not know it, ``opened`` counts ``detail_view``."""

    film_id: int
    title: str
    clicks: int
    opened: int
    people: int


@dataclass(frozen=True)
class EventTypeClicks:
    """An event type, in whatever order it came."""

    event_type: str
    clicks: int
    sessions: int
    people: int


@dataclass(frozen=True)
class DeviceClicks:
    """A device; ``share`` is that of all clicks."""

    device: str
    clicks: int
    people: int
    share: float


@dataclass(frozen=True)
class CategoryClicks:
    """A category, empty for films that the catalogue does not know; ``share`` is that of all clicks, each counted once."""

    category: str
    clicks: int
    films: int
    share: float


@dataclass(frozen=True)
class DeviceEventTypeClicks:
    """A link from a device to an event type."""

    device: str
    event_type: str
    clicks: int


@dataclass(frozen=True)
class SessionLengthFigures:
    """Sessions that begin in the window; figures are of those that have ended, ``None`` when none has.

    ``bounce_ratio`` is the share of sessions with a single click; durations are from the first to the last click, seconds.
    """

    ended: int
    under_way: int
    clicks_mean: float | None
    clicks_p50: int | None
    duration_s_mean: float | None
    duration_s_p50: float | None
    duration_s_p95: float | None
    bounce_ratio: float | None


@dataclass(frozen=True)
class HourOfWeek:
    """A weekday, 1 is Monday, and an hour, UTC."""

    weekday: int
    hour: int
    clicks: int
    people: int


@dataclass(frozen=True)
class RetainedPeople:
    """People whose first period begins at ``cohort_ms``, seen ``later`` periods after it; ``share`` is that of the cohort."""

    cohort_ms: int
    later: int
    people: int
    share: float


@dataclass(frozen=True)
class SessionFunnelStep:
    """Sessions that took this step after all steps before it."""

    place: int
    event_type: str
    sessions: int


@dataclass(frozen=True)
class FilmEntry:
    """A film's clicks that came from a referrer."""

    film_id: int
    title: str
    referrer: str
    clicks: int
    opened: int


@dataclass(frozen=True)
class FilmPosition:
    """A film's clicks at a position of a list."""

    film_id: int
    title: str
    position: int
    clicks: int
    opened: int


@dataclass(frozen=True)
class ChartAnswer(Generic[Row]):
    """The rows of a chart over a window."""

    name: str
    window: Window
    rows: tuple[Row, ...]

    def as_json(self) -> dict[str, Any]:
        """All of it; instants as people read them (UTC)."""
        rows = [
            {
                key.removesuffix("_ms"): timespec.format_instant(value) if key.endswith("_ms") else value
                for key, value in dataclasses.asdict(row).items()  # type: ignore[call-overload]
            }
            for row in self.rows
        ]
        return {"chart": self.name, "window": self.window.as_json(), "rows": rows}


def _ask(client: Client, name: str, row: Callable[..., Row], window: Window, **parameters: int) -> ChartAnswer[Row]:
    rows: Sequence[tuple[Any, ...]] = client.rows(text(name), {**window.parameters, **parameters})
    return ChartAnswer(name, window, tuple(row(*cells) for cells in rows))


def active_now(client: Client, window: Window) -> ChartAnswer[ActiveNow]:
    """Who is active in the last five minutes of a window."""
    return _ask(client, "active_now", ActiveNow, window)


def clicks_per_minute(client: Client, window: Window) -> ChartAnswer[MinuteClicks]:
    """Clicks by the minute in which they happened."""
    return _ask(client, "clicks_per_minute", MinuteClicks, window)


def popular_films(client: Client, window: Window, *, limit: int = LIMIT) -> ChartAnswer[FilmClicks]:
    """The films with the most clicks."""
    return _ask(client, "popular_films", FilmClicks, window, limit=limit)


def event_types(client: Client, window: Window) -> ChartAnswer[EventTypeClicks]:
    """Clicks, sessions and people by event type."""
    return _ask(client, "event_types", EventTypeClicks, window)


def devices(client: Client, window: Window) -> ChartAnswer[DeviceClicks]:
    """Clicks and people by device."""
    return _ask(client, "devices", DeviceClicks, window)


def popular_categories(client: Client, window: Window, *, limit: int = LIMIT) -> ChartAnswer[CategoryClicks]:
    """The categories with the most clicks; a film counts once in each of its own."""
    return _ask(client, "popular_categories", CategoryClicks, window, limit=limit)


def device_event_types(client: Client, window: Window) -> ChartAnswer[DeviceEventTypeClicks]:
    """Clicks from each device to each event type."""
    return _ask(client, "device_event_types", DeviceEventTypeClicks, window)


def session_lengths(client: Client, window: Window) -> ChartAnswer[SessionLengthFigures]:
    """How long sessions are, and how many have a single click."""
    return _ask(client, "session_lengths", SessionLengthFigures, window)


def hours_of_week(client: Client, window: Window) -> ChartAnswer[HourOfWeek]:
    """Clicks by weekday and hour."""
    return _ask(client, "hours_of_week", HourOfWeek, window)


def retention(client: Client, window: Window, *, period_s: int = WEEK_S) -> ChartAnswer[RetainedPeople]:
    """How many people of each cohort come again; a period is a week or a day."""
    assert period_s in (WEEK_S, 86_400)
    return _ask(client, "retention", RetainedPeople, window, period_s=period_s)


def session_funnel(client: Client, window: Window) -> ChartAnswer[SessionFunnelStep]:
    """Sessions that took the steps in their order, with whatever film."""
    return _ask(client, "session_funnel", SessionFunnelStep, window)


def film_entries(client: Client, window: Window, *, limit: int = LIMIT) -> ChartAnswer[FilmEntry]:
    """The films with the most clicks, by referrer."""
    return _ask(client, "film_entries", FilmEntry, window, limit=limit)


def film_positions(client: Client, window: Window, *, limit: int = LIMIT) -> ChartAnswer[FilmPosition]:
    """The films with the most clicks, by their position in the list."""
    return _ask(client, "film_positions", FilmPosition, window, limit=limit)


@dataclass(frozen=True)
class Chart:
    """One chart.

    Attributes:
        name: What commands call it; the statement's file has the same name.
        title: What stands above it.
        ask: The typed function; it takes a client, a window, and ``limit`` where ``limited``.
        since: The window that fits it, as ``--since`` takes it.
        limited: Whether it shows the first so many films or categories.
    """

    name: str
    title: str
    ask: Callable[..., ChartAnswer[Any]]
    since: str = "24h"
    limited: bool = False

    @property
    def sql(self) -> str:
        """Its statement, with ClickHouse's parameters in it."""
        return text(self.name)

    def answer(self, client: Client, window: Window, *, limit: int = LIMIT) -> ChartAnswer[Any]:
        """Ask it."""
        return self.ask(client, window, limit=limit) if self.limited else self.ask(client, window)


CHARTS: tuple[Chart, ...] = (
    Chart("active_now", "Active users now", active_now, "5m"),
    Chart("clicks_per_minute", "Clicks per minute", clicks_per_minute, "1h"),
    Chart("popular_films", "Most popular films", popular_films, limited=True),
    Chart("event_types", "Event types", event_types),
    Chart("devices", "Devices", devices),
    Chart("popular_categories", "Most popular categories", popular_categories, limited=True),
    Chart("device_event_types", "Activity by device and event type", device_event_types),
    Chart("session_lengths", "Sessions: length, duration, bounce", session_lengths),
    Chart("hours_of_week", "Hour by weekday (UTC)", hours_of_week, "28d"),
    Chart("retention", "Retention by weekly cohort", retention, "56d"),
    Chart("session_funnel", "Ordered funnel per session", session_funnel),
    Chart("film_entries", "Films by referrer", film_entries, limited=True),
    Chart("film_positions", "Films by position in the list", film_positions, limited=True),
)
