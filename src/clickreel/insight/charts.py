"""The charts: a named statement in ``sql/`` each, asked like a function, and :data:`CHARTS`, which lists them for commands and pages.

A click is an event of any type. What is counted are the events that landed, each once however often it was delivered. Dead letters are in no chart.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from clickreel import timespec
from clickreel.errors import UsageError
from clickreel.insight.queries import text
from clickreel.insight.tabular import Tabular
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
class ChartAnswer(Tabular, Generic[Row]):
    """The rows of a chart over a window."""

    name: str
    window: Window
    row_type: type[Row]
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

    def _table_rows(self) -> tuple[type[Row], tuple[Row, ...]]:
        return self.row_type, self.rows


@dataclass(frozen=True)
class Chart(Generic[Row]):
    """One chart: call it with a client and a window.

    Attributes:
        name: What commands call it; the statement's file has the same name.
        title: What stands above it.
        row_type: What its rows are.
        since: The window that fits it, as ``--since`` takes it.
        parameters: Parameters of the statement beside the window, with their defaults.
        projection: The projection that it reads, where it reads one alone.
    """

    name: str
    title: str
    row_type: type[Row]
    since: str = "24h"
    parameters: Mapping[str, int] = field(default_factory=dict)
    projection: str = ""

    @property
    def is_limited(self) -> bool:
        """Whether it shows the first so many films or categories."""
        return "limit" in self.parameters

    @property
    def sql(self) -> str:
        """Its statement, with ClickHouse's parameters in it."""
        return text(self.name)

    def __call__(self, client: Client, window: Window, **parameters: int) -> ChartAnswer[Row]:
        """Ask it; parameters that it does not have are a mistake of the caller."""
        assert parameters.keys() <= self.parameters.keys(), f"{self.name} has no such parameter"
        values = {**window.parameters, **self.parameters, **parameters}
        rows: Sequence[tuple[Any, ...]] = client.rows(self.sql, values, projection=self.projection)
        return ChartAnswer(self.name, window, self.row_type, tuple(self.row_type(*cells) for cells in rows))

    def answer(self, client: Client, window: Window, *, limit: int = LIMIT) -> ChartAnswer[Row]:
        """Ask it, with a limit where it has one."""
        return self(client, window, limit=limit) if self.is_limited else self(client, window)


_LIMITED = {"limit": LIMIT}

active_now = Chart("active_now", "Active users now", ActiveNow, "5m")
clicks_per_minute = Chart("clicks_per_minute", "Clicks per minute", MinuteClicks, "1h", projection="device_minutes")
popular_films = Chart("popular_films", "Most popular films", FilmClicks, parameters=_LIMITED, projection="film_hours")
event_types = Chart("event_types", "Event types", EventTypeClicks)
devices = Chart("devices", "Devices", DeviceClicks)
popular_categories = Chart(
    "popular_categories", "Most popular categories", CategoryClicks, parameters=_LIMITED, projection="film_hours"
)
device_event_types = Chart(
    "device_event_types", "Activity by device and event type", DeviceEventTypeClicks, projection="device_minutes"
)
session_lengths = Chart("session_lengths", "Sessions: length, duration, bounce", SessionLengthFigures)
hours_of_week = Chart("hours_of_week", "Hour by weekday (UTC)", HourOfWeek, "28d", projection="people_hours")
retention = Chart("retention", "Retention by weekly cohort", RetainedPeople, "56d", {"period_s": WEEK_S})
session_funnel = Chart("session_funnel", "Ordered funnel per session", SessionFunnelStep)
film_entries = Chart("film_entries", "Films by referrer", FilmEntry, parameters=_LIMITED)
film_positions = Chart("film_positions", "Films by position in the list", FilmPosition, parameters=_LIMITED)

CHARTS: tuple[Chart[Any], ...] = (
    active_now,
    clicks_per_minute,
    popular_films,
    event_types,
    devices,
    popular_categories,
    device_event_types,
    session_lengths,
    hours_of_week,
    retention,
    session_funnel,
    film_entries,
    film_positions,
)


def chart_named(name: str) -> Chart[Any]:
    """The chart of a name; a hyphen may stand for an underscore.

    Raises:
        UsageError: There is none.
    """
    for chart in CHARTS:
        if chart.name == name.replace("-", "_"):
            return chart
    raise UsageError(f"no chart is called {name!r}", hint="clickreel chart lists them")
