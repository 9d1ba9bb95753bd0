"""When people come: the starts of the sessions of a day.

Each person's day is a function of (seed, user, day) alone: a Poisson number of candidate sessions, each start drawn from the profile of the day, shifted by
the person's own habit. The hour profile peaks at 20-21 h, seven times the trough (ONS time use: 21:00; Yu et al., EuroSys 2006), days of the week differ by a fifth.

Two sessions of a person must be more than 30 minutes of silence apart, whatever happens in them. A session lasts at most the cap, so a
candidate is dropped when it starts less than cap + 30 minutes after the candidate before it, the last one of the day before included. The rule
looks at candidates, not at what was kept: looking at what was kept would need the whole past.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from clickreel.simulate import ids
from clickreel.simulate.draws import F64, U64, Purpose, child, draw, mix, normal, poisson, root, uniform
from clickreel.simulate.normal import normal_quantile
from clickreel.simulate.population import Population
from clickreel.simulate.settings import WorldSettings

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS
SILENCE_MS = 30 * MINUTE_MS  # a session ends after this long without an event
EVENT_SLACK_MS = 8 * MINUTE_MS  # how far a flat rate may move an event
START_SLACK_MS = 12 * MINUTE_MS  # and, before that, the start of a session
_CANDIDATES_MAX = 8
_VISITS_MAX = 1500
BOT_VISITS = 25  # lists of a bot's session, for one of a person's
MONSTER_VISITS = (120, 40)  # lists of a session that goes on and on: so many, and so many for each of a usual session
_HABIT_H = 1.0  # spread of the hour people prefer
_CHUNK = 1 << 16
# Sessions are made for so many hours at once that there are at most some 1.5 M of them (70 MB) in a span.
_SPANS = ((1_250_000, 24), (2_500_000, 12), (5_000_000, 6), (10_000_000, 3), (15_000_000, 2))
_NEW_YEAR_2026 = 20_454
_HOLIDAYS = ((1, 1), (5, 1), (12, 24), (12, 25), (12, 26), (12, 31))
_HOLIDAY_FACTOR = 1.3

HOURS = np.array(
    [0.45, 0.30, 0.22, 0.18, 0.17, 0.19, 0.26, 0.36, 0.44, 0.48, 0.50, 0.53,
     0.58, 0.58, 0.56, 0.58, 0.64, 0.75, 0.90, 1.05, 1.15, 1.12, 0.90, 0.65]
)  # fmt: skip
WEEKDAYS = np.array([0.94, 0.92, 0.93, 0.97, 1.06, 1.13, 1.05])  # from Monday; mean 1


@dataclass(frozen=True, slots=True)
class Sessions:
    """Sessions in order of (start_ms, user), one NumPy array a column.

    Attributes:
        start_ms: Start, milliseconds since the epoch (int64).
        limit_ms: Longest duration; what would come later does not happen (int64).
        user: User number (uint32).
        of_day: Which of the user's sessions of the day it starts on, from 0 (uint8).
        visits: Number of lists the person means to look at, at least 1 (int32).
        number: The 32 bits of ``session_id`` (uint32).
        key: Below it, everything about the session is drawn (uint64).
        person: Below it, everything about its user is drawn (uint64).
        bot: Whether the user is a bot (bool).
    """

    start_ms: NDArray[np.int64]
    limit_ms: NDArray[np.int64]
    user: NDArray[np.uint32]
    of_day: NDArray[np.uint8]
    visits: NDArray[np.int32]
    number: NDArray[np.uint32]
    key: U64
    person: U64
    bot: NDArray[np.bool_]

    def __len__(self) -> int:
        """Number of sessions."""
        return len(self.start_ms)

    def take(self, rows: NDArray[np.intp] | NDArray[np.bool_] | slice) -> Sessions:
        """The chosen rows: by index, by mask, or a slice."""
        return Sessions(*(getattr(self, field.name)[rows] for field in fields(self)))

    @staticmethod
    def concat(parts: list[Sessions]) -> Sessions:
        """The parts, of which there is at least one, one after the other."""
        if len(parts) == 1:
            return parts[0]
        return Sessions(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(Sessions)))


class PersonStream:
    """Numbers of the draws below a person's key and a session's key. Never reuse one."""

    HABIT, BOT, DEVICE, FIRST_TASTE, SECOND_TASTE, PACE, FAVOURITES = range(7)


class SessionStream:
    """Numbers of the draws below a session's key."""

    START, VISITS, MONSTER, MOOD, MOOD_ELSE, DEVICE, DEVICE_ELSE, ENTRY, ANCHOR, ANCHOR_ELSE, PACE, VISIT = range(12)


@dataclass(frozen=True, slots=True)
class Quota:
    """What is let in on a flat day.

    Attributes:
        per_day: Number of films that are looked at, as people mean to.
        looks: That number for each session, of its key and its number of lists; see :func:`clickreel.simulate.list_visits.looks`.
    """

    per_day: float
    looks: Callable[[U64, NDArray[np.int32]], NDArray[np.int64]]


class Traffic:
    """The starts of all sessions of a world.

    Args:
        settings: What the world is told.
        population: Who is there.
        quota: For a flat rate: so much a day and no more, chance having a say in whose it is only.
    """

    def __init__(self, settings: WorldSettings, population: Population, quota: Quota | None = None) -> None:
        self._settings = settings
        self._quota = quota
        self._population = population
        self._pause_ms = pause_ms(settings)
        self._profiles = [_profile(settings, weekday) for weekday in range(7)]
        weekdays = WEEKDAYS if settings.weekly else np.ones(7)
        sizes = weekdays * [profile.size for profile in self._profiles]
        # Whatever the shape of the week, its mean day is the mean day.
        self._weekday_factor = sizes / sizes.mean()
        # Room for each hour's sessions in the 32 bits of a session number: four times the busiest hour that is expected, and more.
        busiest = population.places * population.sessions_per_day / 24 * _peak(settings)
        self._stride = 1 << int(4 * busiest + 64).bit_length()
        assert self._stride <= 1 << 28, "too many sessions an hour for 32 bits"
        self._round_keys = tuple(root(settings.seed, Purpose.SESSION_ID, n) for n in range(4))

    def day_factor(self, day: int) -> float:
        """Traffic of a UTC day over the mean day."""
        settings = self._settings
        if settings.flat or settings.round_the_clock:
            return 1.0
        factor = (1.0 + settings.growth) ** ((day - _NEW_YEAR_2026) / 365.25)
        factor *= float(self._weekday_factor[(day + 3) % 7])  # 1970-01-01 was a Thursday
        if settings.holidays:
            date = np.datetime64(day, "D").item()
            factor *= _HOLIDAY_FACTOR if (date.month, date.day) in _HOLIDAYS else 1.0
        return float(factor)

    def sessions(self, day: int, first_hour: int = 0, hours: int = 24) -> Sessions:
        """The sessions that start on a day within some of its hours, in order of (start, user).

        Args:
            day: UTC day, days since the epoch.
            first_hour: First hour of the day.
            hours: How many hours.
        """
        low, high = first_hour * HOUR_MS, (first_hour + hours) * HOUR_MS
        parts = [self._kept(day, place, low, high) for place in self._places()]
        user, in_day, of_day = (np.concatenate([part[i] for part in parts]) for i in range(3))
        user, in_day, of_day = _by_start(user, in_day, of_day)
        person = self._population.keys(user)
        key = child(child(person, day + 16), of_day)
        bot = draw(person, PersonStream.BOT) < self._settings.bots
        visits = self._visits(key, bot)
        if self._quota is not None:
            size = self._quota.looks(key, visits)
            within = _within_quota(key, size, self._quota.per_day * hours / 24)
            user, in_day, of_day, person = user[within], in_day[within], of_day[within], person[within]
            key, bot, visits = key[within], bot[within], visits[within]
            moved = _evenly_spaced(in_day, size[within], low, high)
            order = np.argsort((moved << 32) | user)
            user, in_day, of_day, person = user[order], moved[order], of_day[order], person[order]
            key, bot, visits = key[order], bot[order], visits[order]
        # A visit takes a minute or two; five is room enough for all but a few, and tells which sessions can still be under way.
        limit = np.minimum((2 + 5 * visits.astype(np.int64)) * MINUTE_MS, self._settings.session_cap_min * MINUTE_MS)
        return Sessions(
            start_ms=in_day + day * DAY_MS,
            limit_ms=limit,
            user=user.astype(np.uint32),
            of_day=of_day.astype(np.uint8),
            visits=visits,
            number=self._numbers(day, in_day),
            key=key,
            person=person,
            bot=bot,
        )

    def _places(self) -> Iterator[NDArray[np.int64]]:
        for first in range(0, self._population.places, _CHUNK):
            yield np.arange(first, min(first + _CHUNK, self._population.places))

    def _kept(self, day: int, place: NDArray[np.int64], low: int, high: int) -> tuple[NDArray[np.int64], ...]:
        """User, start and number of the day's kept sessions of some places, starting in [low, high) of the day."""
        row, user, start, of_day = self._candidates(day, place)
        same = np.zeros(len(row), bool)
        same[1:] = row[1:] == row[:-1]
        gap = np.full(len(row), DAY_MS)
        gap[1:][same[1:]] = np.diff(start)[same[1:]]
        keep = gap >= self._pause_ms
        if not self._settings.round_the_clock:  # whose slots keep their distance over midnight
            early = np.flatnonzero(~same & (start < self._pause_ms))
            last = self._last_start(day - 1, place[row[early]], user[early])
            keep[early] &= start[early] + DAY_MS - last >= self._pause_ms
        keep &= (start >= low) & (start < high)
        return user[keep], start[keep], of_day[keep]

    def _last_start(self, day: int, place: NDArray[np.int64], user: NDArray[np.int64]) -> NDArray[np.int64]:
        """Last candidate start of these people on a day, milliseconds of the day; far in the past where there is none."""
        row, holder, start, _ = self._candidates(day, place)
        last = np.full(len(place), -DAY_MS)
        mine = holder == user[row]
        last[row[mine]] = start[mine]  # ascending within a person: the last one stays
        return last

    def _candidates(self, day: int, place: NDArray[np.int64]) -> tuple[NDArray[np.int64], ...]:
        """Candidate sessions of some places: row of the place, user, start within the day (ascending), number in the day."""
        user = self._population.holders(place, day)
        person = self._population.keys(user)
        key = child(person, day + 16)
        if self._settings.round_the_clock:
            return self._slots(user, key)
        mean = self._population.activity(place) * self.day_factor(day)
        counts = poisson(uniform(key), mean, _CANDIDATES_MAX)
        row = np.repeat(np.arange(len(place)), counts)
        of_day = np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)
        u = draw(child(key[row], of_day), SessionStream.START)
        if self._settings.flat:
            start = (u * DAY_MS).astype(np.int64)
        else:
            habit = normal(person[row], PersonStream.HABIT) * (_HABIT_H * HOUR_MS)
            start = (self._profiles[(day + 3) % 7].inverse(u) + habit).astype(np.int64) % DAY_MS
        start = np.sort(row * DAY_MS + start) - row * DAY_MS
        return row, user[row], start, of_day

    def _slots(self, user: NDArray[np.int64], key: U64) -> tuple[NDArray[np.int64], ...]:
        """Round the clock: the day in equal slots, one session in each, its start varied by what the pause leaves."""
        count = slots_per_day(self._settings)
        slot = DAY_MS // count
        row = np.repeat(np.arange(len(user)), count)
        of_day = np.tile(np.arange(count), len(user))
        u = draw(child(key[row], of_day), SessionStream.START)
        return row, user[row], of_day * slot + (u * (slot - self._pause_ms)).astype(np.int64), of_day

    def _visits(self, key: U64, bot: NDArray[np.bool_]) -> NDArray[np.int32]:
        """How many lists each session means to look at: a rounded log-normal, at least 1."""
        settings = self._settings
        visits = _visits_wanted(settings, normal(key, SessionStream.VISITS))
        # Floor takes half a visit on the mean: the fraction decides by chance instead.
        visits = np.floor(visits + draw(key, SessionStream.VISIT))
        visits = np.where(is_monster(key, settings), MONSTER_VISITS[0] + MONSTER_VISITS[1] * visits, visits)
        bounded: NDArray[np.int32] = np.minimum(np.where(bot, BOT_VISITS * visits, visits), _VISITS_MAX).astype(
            np.int32
        )
        return bounded

    def _numbers(self, day: int, in_day: NDArray[np.int64]) -> NDArray[np.uint32]:
        """Session numbers: a keyed permutation of (hour, place among the hour's sessions), so that no two are equal.

        The hours' part wraps around after ``2**32 / stride`` hours. The stride is the smallest power of two above four times the busiest
        hour, so between two sessions of one number lie at least 2**32 / 8 = 537 M busiest-hour sessions, some 10,000 M events.
        """
        hour = in_day // HOUR_MS
        first = np.searchsorted(hour, np.arange(25))
        within = np.arange(len(hour)) - first[hour]
        assert len(hour) == 0 or within.max() < self._stride, "more sessions in an hour than were provided for"
        hours = (1 << 32) // self._stride
        dense = ((day * 24 + hour) % hours) * self._stride + within
        left, right = dense.astype(np.uint64) >> np.uint64(16), dense.astype(np.uint64) & np.uint64(0xFFFF)
        for key in self._round_keys:
            left, right = right, left ^ (mix(right + np.uint64(key & 0xFFFFFFFFFFFF)) & np.uint64(0xFFFF))
        return ((left << np.uint64(16)) | right).astype(np.uint32)


def is_monster(key: U64, settings: WorldSettings) -> NDArray[np.bool_]:
    """Whether a session goes on and on."""
    return draw(key, SessionStream.MONSTER) < settings.monsters


def _visits_wanted(settings: WorldSettings, z: F64) -> F64:
    """Number of lists before rounding, for standard normals."""
    sigma = settings.visits_sigma
    wanted: F64 = 1.0 + np.exp(sigma * z) * ((settings.visits_mean - 1.0) * np.exp(-0.5 * sigma**2))
    return wanted


def visits_chances(settings: WorldSettings, most: int) -> F64:
    """Chance of a session of 0, 1, ... ``most`` lists; what is longer counts as ``most``. Without bots and monsters."""
    wanted = np.minimum(_visits_wanted(settings, normal_quantile((np.arange(1 << 16) + 0.5) / (1 << 16))), most - 1e-9)
    whole = wanted.astype(np.int64)
    up = wanted - whole
    chance = np.bincount(whole, weights=1 - up, minlength=most + 1).astype(np.float64)
    chance += np.bincount(whole + 1, weights=up, minlength=most + 1)
    chance /= chance.sum()
    return chance


def _by_start(
    user: NDArray[np.int64], in_day: NDArray[np.int64], of_day: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    order = np.argsort((in_day << 32) | user)
    return user[order], in_day[order], of_day[order]


def _within_quota(key: U64, size: NDArray[np.int64], quota: float) -> NDArray[np.bool_]:
    """Which sessions are let in, in an order of chance, until their sizes make up the quota."""
    order = np.argsort(key)
    within = np.zeros(len(key), bool)
    within[order] = np.cumsum(size[order]) <= quota
    return within


def _evenly_spaced(in_day: NDArray[np.int64], size: NDArray[np.int64], low: int, high: int) -> NDArray[np.int64]:
    """Starts moved, by at most ``START_SLACK_MS``, so that what is looked at comes evenly over [low, high): part of a flat rate.

    Chance makes bunches of sessions and of long sessions; this takes out both before a single event is made.
    """
    mass = np.cumsum(size) - size / 2
    even = low + mass / max(mass[-1] + size[-1] / 2, 1) * (high - low) if len(size) else mass
    return np.clip(even.astype(np.int64), in_day - START_SLACK_MS, in_day + START_SLACK_MS).clip(low, high - 1)


def slack_ms(settings: WorldSettings) -> int:
    """How far the even spacing of a flat rate may move an event: sessions keep that much more distance, gaps that much less."""
    return EVENT_SLACK_MS if settings.flat else 0


def span_hours(people: int) -> int:
    """For how many hours sessions are made at once: a day where memory allows, since all people are gone through each time."""
    return next((hours for most, hours in _SPANS if people <= most), 1)


def pause_ms(settings: WorldSettings) -> int:
    """Least time from the start of a session of a person to the start of the next one."""
    return (
        settings.session_cap_min * MINUTE_MS
        + SILENCE_MS
        + 1
        + (2 * (EVENT_SLACK_MS + START_SLACK_MS) if settings.flat else 0)
    )


def slots_per_day(settings: WorldSettings) -> int:
    """Sessions a day of people who come round the clock."""
    return int(min(DAY_MS // (pause_ms(settings) + 10 * MINUTE_MS), ids.SESSIONS_PER_DAY))


def days_by_quarter_hour(settings: WorldSettings) -> list[F64]:
    """Candidate sessions in each of the 96 quarter hours, over those of a mean day: one mean day, or seven that are unlike."""
    if settings.flat:
        return [np.full(96, 1 / 96)]
    profiles = [_profile(settings, weekday) for weekday in range(7)]
    if settings.evening_factor == 1.0:
        return [np.mean([np.diff(profile.cumulative) for profile in profiles], axis=0)]
    size = np.mean([profile.size for profile in profiles])
    return [np.diff(profile.cumulative) * (profile.size / size) for profile in profiles]


@dataclass(frozen=True)
class _Profile:
    """The profile of a day: its cumulative share at each quarter hour, and its size over the mean day."""

    cumulative: F64
    size: float

    def inverse(self, u: F64) -> F64:
        """Milliseconds of the day at which the share ``u`` has come."""
        return np.interp(u, self.cumulative, np.linspace(0, DAY_MS, len(self.cumulative)))


def _profile(settings: WorldSettings, weekday: int) -> _Profile:
    quarter = (np.arange(96) + 0.5) / 4 + settings.time_zone_h
    local = quarter % 24
    density = np.interp(local, np.arange(-0.5, 25), np.concatenate([HOURS[-1:], HOURS, HOURS[:1]]))
    local_weekday = (weekday + np.floor(quarter / 24)) % 7
    density = np.where((local_weekday == 4) & (local >= 18), density * settings.evening_factor, density)
    cumulative = np.concatenate([[0.0], np.cumsum(density)])
    return _Profile(cumulative / cumulative[-1], float(cumulative[-1] / (HOURS.mean() * 96)))


def _peak(settings: WorldSettings) -> float:
    """Busiest hour over the mean hour."""
    if settings.flat or settings.round_the_clock:
        return 2.0
    # Ten years of growth: the session numbers of a world must not change with the date.
    growth = (1 + max(settings.growth, 0.0)) ** 10
    return float(HOURS.max() / HOURS.mean() * WEEKDAYS.max() * settings.evening_factor * _HOLIDAY_FACTOR * growth)
