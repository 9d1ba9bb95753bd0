"""The rhythm of day and week, in several time zones, and the weather."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from clickreel.simulate.draws import F64, U64, Purpose, bell, bell1, child, child1, draw, root
from clickreel.simulate.population import PersonStream
from clickreel.simulate.settings import WorldSettings

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS
SILENCE_MS = 30 * MINUTE_MS  # a session ends after this long without an event
EVENT_SLACK_MS = 8 * MINUTE_MS  # how far a flat rate may move an event
HABIT_H = 3.0  # spread of the hour that people prefer: larks and owls (Roenneberg et al. 2007: about 2 h)
_NEW_YEAR_2026 = 20_454
_HOLIDAYS = ((1, 1), (5, 1), (12, 24), (12, 25), (12, 26), (12, 31))
_HOLIDAY_FACTOR = 1.3
# The weather of a day is its own and a little of the days before, less the mean of the weeks around: over a fortnight it adds up to nothing.
_WEATHER_LAGS = (1.0, 0.5, 0.25)
_WEATHER_AROUND = 8

# One person's day, before habits and time zones widen it.
HOURS = np.array(
    [0.28, 0.14, 0.07, 0.05, 0.05, 0.06, 0.12, 0.22, 0.33, 0.39, 0.42, 0.45,
     0.50, 0.50, 0.48, 0.50, 0.57, 0.72, 1.00, 1.32, 1.58, 1.50, 0.95, 0.50]
)  # fmt: skip
WEEKDAYS = np.array([0.94, 0.92, 0.93, 0.97, 1.06, 1.13, 1.05])  # from Monday; mean 1


class Rhythm:
    """How traffic is spread over days and hours.

    Args:
        settings: The world's settings.
    """

    def __init__(self, settings: WorldSettings) -> None:
        self._settings = settings
        self._zones = settings.zones
        self._zone_cumulative = np.cumsum([share for _, share in self._zones])
        self._profiles = [[_profile(settings, weekday, hours) for hours, _ in self._zones] for weekday in range(7)]
        week = WEEKDAYS**settings.week_swing if settings.weekly else np.ones(7)
        sizes = week * [
            sum(share * profile[1] for (_, share), profile in zip(self._zones, day, strict=True))
            for day in self._profiles
        ]
        # Whatever the shape of the week, its mean day is the mean day.
        self._weekday_factor = sizes / sizes.mean()
        self._weather = root(settings.seed, Purpose.WEATHER)
        self.day_factor = lru_cache(maxsize=64)(self._day_factor)

    def starts(self, day: int, u: F64, person: U64) -> NDArray[np.int64]:
        """Milliseconds of the UTC day at which candidates start.

        Args:
            day: The UTC day.
            u: One uniform a candidate.
            person: Key of each one's person.
        """
        if self._settings.flat:
            return (u * DAY_MS).astype(np.int64)
        habit = bell(child(person, PersonStream.HABIT)) * (HABIT_H * HOUR_MS)
        profiles = self._profiles[(day + 3) % 7]
        at = np.empty(len(u))
        zone = zones_of(self._zone_cumulative, person)
        for number, (cumulative, _) in enumerate(profiles):
            rows = np.flatnonzero(zone == number)
            at[rows] = np.interp(u[rows], cumulative, np.linspace(0, DAY_MS, len(cumulative)))
        return (at + habit).astype(np.int64) % DAY_MS

    def _day_factor(self, day: int) -> float:
        """Traffic of a UTC day over the mean day."""
        settings = self._settings
        if settings.flat or settings.round_the_clock:
            return 1.0
        factor = (1.0 + settings.growth) ** ((day - _NEW_YEAR_2026) / 365.25)
        factor *= float(self._weekday_factor[(day + 3) % 7])  # 1970-01-01 was a Thursday
        if settings.holidays:
            date = np.datetime64(day, "D").item()
            factor *= _HOLIDAY_FACTOR if (date.month, date.day) in _HOLIDAYS else 1.0
        return float(factor * np.exp(settings.weather * self.weather(day)))

    def weather(self, day: int) -> float:
        """The day's weather, in spreads."""
        around = [
            sum(
                lag * bell1(child1(self._weather, 1 << 20 | (day + at - i) & 0xFFFFF))
                for i, lag in enumerate(_WEATHER_LAGS)
            )
            for at in range(-_WEATHER_AROUND, _WEATHER_AROUND + 1)
        ]
        spread = float(np.sqrt(sum(lag * lag for lag in _WEATHER_LAGS)))
        return (around[_WEATHER_AROUND] - sum(around) / len(around)) / spread

    def by_quarter_hour(self) -> list[F64]:
        """Candidates of a person in each of the 96 quarter hours, over those of a mean day: one mean day, or seven that are unlike."""
        if self._settings.flat:
            return [np.full(96, 1 / 96)]
        first = [day[0] for day in self._profiles]
        if self._settings.evening_factor == 1.0:
            return [np.mean([np.diff(cumulative) for cumulative, _ in first], axis=0)]
        mean = np.mean([size for _, size in first])
        return [np.diff(cumulative) * (size / mean) for cumulative, size in first]

    def peak(self) -> float:
        """Busiest hour over the mean hour, at most."""
        settings = self._settings
        if settings.flat or settings.round_the_clock:
            return 2.0
        # Ten years of growth: the session numbers of a world must not change with the date.
        growth = (1 + max(settings.growth, 0.0)) ** 10
        weather = float(np.exp(3 * settings.weather))
        hours, week = HOURS**settings.day_swing, WEEKDAYS**settings.week_swing
        busiest = float(hours.max() / hours.mean() * week.max() / week.mean())
        return busiest * settings.evening_factor * _HOLIDAY_FACTOR * growth * weather


def zones_of(cumulative: F64, person: U64) -> NDArray[np.int64]:
    """The time zone of each person, as a place among the zones."""
    zone: NDArray[np.int64] = np.minimum(
        np.searchsorted(cumulative, draw(person, PersonStream.ZONE)), len(cumulative) - 1
    )
    return zone


def local_hour(settings: WorldSettings, person: U64, ts_ms: NDArray[np.int64]) -> NDArray[np.int64]:
    """The hour of the day on each person's clock."""
    hours = np.array([hours for hours, _ in settings.zones])
    cumulative = np.cumsum([share for _, share in settings.zones])
    ahead = hours[zones_of(cumulative, person)] + settings.time_zone_h
    hour: NDArray[np.int64] = ((ts_ms / HOUR_MS + ahead) % 24).astype(np.int64)
    return hour


def slack_ms(settings: WorldSettings) -> int:
    """How far the shaping of a flat rate may move an event: sessions keep that much more distance, gaps that much less."""
    return EVENT_SLACK_MS if settings.flat else 0


def _profile(settings: WorldSettings, weekday: int, zone_h: float) -> tuple[F64, float]:
    """The profile of a day in a time zone: its cumulative share at each quarter hour of UTC, and its size over the mean day."""
    quarter = (np.arange(96) + 0.5) / 4 + settings.time_zone_h + zone_h
    local = quarter % 24
    hours = HOURS**settings.day_swing
    density = np.interp(local, np.arange(-0.5, 25), np.concatenate([hours[-1:], hours, hours[:1]]))
    local_weekday = (weekday + np.floor(quarter / 24)) % 7
    density = np.where((local_weekday == 4) & (local >= 18), density * settings.evening_factor, density)
    cumulative = np.concatenate([[0.0], np.cumsum(density)])
    return cumulative / cumulative[-1], float(cumulative[-1] / (hours.mean() * 96))
