"""When people come: the episodes of a day.

An episode is one sitting: a session or, where somebody is called away for longer than half an hour and comes back, two. Each person's
day is a function of (seed, person, UTC day) alone: a Poisson number of candidate episodes, each start drawn from the profile of the day in
the person's time zone, shifted by a habit of their own. The profile peaks at 20-21 h (ONS time use: 21:00; Yu et al., EuroSys
2006), days of the week differ by a fifth, and the weather makes whole days busier or quieter for everybody.

**Sessions rotate on half an hour without an event and on nothing else.** Between two lists a person pauses for seconds or, now and then, is called
away for minutes or hours; a pause beyond 30 minutes ends the session. So the time between sessions has no edge: it is the tail of the pauses
(:mod:`~clickreel.simulate.pauses`). Two episodes of a person must not meet: each has a bound on its length, which is known before any event of
it is made, and a candidate is dropped when it starts within the bound of a candidate before it. The rule looks at candidates, not at what
was kept: that would need the whole past. The bounds are spread like the episodes themselves, so they leave no edge either.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from clickreel.simulate import ids
from clickreel.simulate.draws import F64, U64, Purpose, bell, child, draw, mix, poisson, root, uniform
from clickreel.simulate.pauses import EPISODE_MAX_MS, SessionLengths, session_lengths
from clickreel.simulate.people import Habits, SessionStream, habits
from clickreel.simulate.population import PersonStream, Population
from clickreel.simulate.rhythm import DAY_MS, EVENT_SLACK_MS, HOUR_MS, MINUTE_MS, SILENCE_MS, Rhythm
from clickreel.simulate.settings import WorldSettings

START_SLACK_MS = 12 * MINUTE_MS  # how far a flat rate may move the start of an episode, before it moves events
EPISODES_PER_USER_DAY_MAX = 6.5  # mean of the most active on their busiest days
CANDIDATES_MAX = ids.SESSIONS_PER_DAY // 2
_VISITS_MAX = 1500
LASTING_VISITS = 0.3  # part of the variance of the number of lists that is between people
BOT_VISITS = 12  # lists of a bot's session, for one of a person's
MONSTER_VISITS = (120, 40)  # lists of a session that goes on and on: so many, and so many for each of a usual session


@dataclass(frozen=True, slots=True)
class Episodes:
    """Episodes in order of (start_ms, user), one NumPy array a column.

    Attributes:
        start_ms: Start, milliseconds since the epoch (int64).
        bound_ms: Longest duration: no event comes later (int64).
        user: User number (uint32).
        of_day: Which of the person's candidates of the day it is, from 0 (uint8).
        wanted: Number of lists the person means to look at (int32).
        first: Number of lists in the first session, at least 1 (int32).
        second: Number of lists in the second session, 0 where there is none (int32).
        limit_ms: Longest duration of the first and of the second session (int64[n, 2]).
        number: Place among the episodes of its hour, with the hour: unique (uint32).
        key: Below it, everything about the episode is drawn (uint64).
        person: Below it, everything about its person is drawn (uint64).
        bot: Kind of bot, 0 for people (uint8).
        monster: Whether it goes on and on (bool).
        device: Code (uint8).
        pace: Factor of all dwell times (float32).
    """

    start_ms: NDArray[np.int64]
    bound_ms: NDArray[np.int64]
    user: NDArray[np.uint32]
    of_day: NDArray[np.uint8]
    wanted: NDArray[np.int32]
    first: NDArray[np.int32]
    second: NDArray[np.int32]
    limit_ms: NDArray[np.int64]
    number: NDArray[np.uint32]
    key: U64
    person: U64
    bot: NDArray[np.uint8]
    monster: NDArray[np.bool_]
    device: NDArray[np.uint8]
    pace: NDArray[np.float32]

    def __len__(self) -> int:
        """Number of episodes."""
        return len(self.start_ms)

    def take(self, rows: NDArray[np.intp] | NDArray[np.bool_] | slice) -> Episodes:
        """The chosen rows: by index, by mask, or a slice."""
        return Episodes(*(getattr(self, field.name)[rows] for field in fields(self)))

    @staticmethod
    def concat(parts: list[Episodes]) -> Episodes:
        """The parts, of which there is at least one, one after the other."""
        if len(parts) == 1:
            return parts[0]
        return Episodes(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(Episodes)))


@dataclass(frozen=True, slots=True)
class FlatQuota:
    """What is let in on a flat day.

    Attributes:
        per_day: Number of films that are looked at, as people mean to.
        looks: That number for each episode; see :func:`clickreel.simulate.list_visits.looks`.
    """

    per_day: float
    looks: Callable[[Episodes], NDArray[np.int64]]


@dataclass(frozen=True, slots=True)
class _Candidates:
    """The candidate episodes of a day, by person and start.

    Attributes:
        user, in_day, of_day: Whose, when (milliseconds of the day), which.
        key, person: As in :class:`Episodes`.
        habits, lengths: What follows from them.
        latest_ms: When it and all those before it on this day are over, and half an hour more; milliseconds of the day.
        before_ms: The same without itself; far in the past where there is none.
    """

    user: NDArray[np.int64]
    in_day: NDArray[np.int64]
    of_day: NDArray[np.int64]
    key: U64
    person: U64
    wanted: NDArray[np.int32]
    habits: Habits
    lengths: SessionLengths
    latest_ms: NDArray[np.int64]
    before_ms: NDArray[np.int64]


class Traffic:
    """The starts of all episodes of a world.

    Args:
        settings: The world's settings.
        population: Who is a member.
        per_day: Mean number of candidate episodes a person and day.
        quota: For a flat rate: so much a day and no more, chance deciding whose it is only.
    """

    def __init__(
        self, settings: WorldSettings, population: Population, per_day: float, quota: FlatQuota | None = None
    ) -> None:
        self._settings = settings
        self._population = population
        self._per_day = per_day
        self._quota = quota
        self.rhythm = Rhythm(settings)
        # Room for each hour's episodes in the 31 bits of an episode's number: twice the busiest hour that is expected, and more.
        busiest = population.people * per_day / 24 * self.rhythm.peak()
        self._stride = 1 << int(2 * busiest + 64).bit_length()
        assert self._stride <= 1 << 28, "too many sessions an hour for 32 bits"
        self._apart_ms = apart_ms(settings)
        self._candidates = lru_cache(maxsize=3)(self._make_candidates)

    def mean_episodes(self, day: int) -> tuple[U64, NDArray[np.int64], F64]:
        """Key, number and mean number of candidate episodes of each member on a day."""
        members = self._population.members(day)
        mean = self._per_day * self.rhythm.day_factor(day)
        # The members' mean is what was promised, on every day, however few they are.
        return members.key, members.user, capped_to(members.wants, mean * self._population.people)

    def episodes(self, day: int) -> Episodes:
        """The episodes that start on a day, in order of (start, user).

        Args:
            day: UTC day, days since the epoch.
        """
        found = self._candidates(day)
        kept = found.in_day >= found.before_ms
        if not self._settings.round_the_clock:  # whose slots keep their distance over midnight
            early = np.flatnonzero(kept & (found.in_day < EPISODE_MAX_MS))
            kept[early] = found.in_day[early] + DAY_MS >= self._latest_end(day - 1, found.user[early])
        order = np.flatnonzero(kept)
        order = order[np.argsort((found.in_day[order] << 32) | found.user[order])]
        made = self._episodes(day, found, order)
        if self._quota is None:
            return made
        size = self._quota.looks(made)
        within = _within_quota(made.key, size, self._quota.per_day)
        made = made.take(within)
        moved = _evenly_spaced(made.start_ms - day * DAY_MS, size[within])
        order = np.argsort((moved << 32) | made.user)
        made, moved = made.take(order), moved[order]
        columns = {field.name: getattr(made, field.name) for field in fields(Episodes)}
        return Episodes(**columns | {"start_ms": moved + day * DAY_MS, "number": self._numbers(day, moved)})

    def _episodes(self, day: int, found: _Candidates, rows: NDArray[np.intp]) -> Episodes:
        in_day = found.in_day[rows]
        return Episodes(
            start_ms=in_day + day * DAY_MS,
            bound_ms=found.lengths.bound_ms[rows],
            user=found.user[rows].astype(np.uint32),
            of_day=found.of_day[rows].astype(np.uint8),
            wanted=found.wanted[rows],
            first=found.lengths.first[rows],
            second=found.lengths.second[rows],
            limit_ms=found.lengths.limit_ms[rows],
            number=self._numbers(day, in_day),
            key=found.key[rows],
            person=found.person[rows],
            bot=found.habits.bot[rows],
            monster=found.habits.monster[rows],
            device=found.habits.device[rows],
            pace=found.habits.pace[rows],
        )

    def _latest_end(self, day: int, user: NDArray[np.int64]) -> NDArray[np.int64]:
        """From when on these people may come again, after their candidates of a day; far in the past where there is none."""
        before = self._candidates(day)
        latest = np.full(len(user), -DAY_MS)
        if len(before.user) == 0:
            return latest
        last = np.searchsorted(before.user, user, side="right") - 1
        same = (last >= 0) & (before.user[last] == user)
        latest[same] = before.latest_ms[last[same]]
        return latest

    def _make_candidates(self, day: int) -> _Candidates:
        if self._settings.round_the_clock:
            members = self._population.members(day)
            row, in_day, of_day, key, person = self._slots(day, members.key)
            user = members.user[row]
        else:
            person, numbers, mean = self.mean_episodes(day)
            row, in_day, of_day, key, person = self._drawn(day, person, mean)
            user = numbers[row]
        its = habits(user, person, key, day * DAY_MS + in_day, self._settings)
        wanted = _wanted(person, key, its, self._settings)
        lengths = session_lengths(key, wanted, its, self._settings)
        # The latest end among a person's candidates so far: a running maximum that starts again with each person.
        lift = row * (4 * DAY_MS)
        latest = np.maximum.accumulate(in_day + lengths.bound_ms + self._apart_ms + lift) - lift
        before = np.full(len(row), -DAY_MS)
        same = np.flatnonzero(row[1:] == row[:-1])
        before[same + 1] = latest[same]
        return _Candidates(user, in_day, of_day, key, person, wanted, its, lengths, latest, before)

    def _drawn(
        self, day: int, person: U64, mean: F64
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], U64, U64]:
        """Row of the member, start within the day (ascending), number in the day, key, and person of each candidate."""
        key = child(person, day + 16)
        counts = poisson(uniform(key), mean, CANDIDATES_MAX)
        row = np.repeat(np.arange(len(person)), counts)
        of_day = np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)
        key, person = key[row], person[row]
        start = self.rhythm.starts(day, draw(child(key, of_day), SessionStream.START), person)
        start = np.sort(row * DAY_MS + start) - row * DAY_MS
        return row, start, of_day, child(key, of_day), person

    def _slots(self, day: int, person: U64) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], U64, U64]:
        """Round the clock: the day in equal slots, one session in each, its start varied by what the pause leaves."""
        count = slots_per_day(self._settings)
        slot = DAY_MS // count
        row = np.repeat(np.arange(len(person)), count)
        of_day = np.tile(np.arange(count), len(person))
        person = person[row]
        key = child(child(person, day + 16), of_day)
        spare = slot - pause_ms(self._settings)
        return row, of_day * slot + (draw(key, SessionStream.START) * spare).astype(np.int64), of_day, key, person

    def _numbers(self, day: int, in_day: NDArray[np.int64]) -> NDArray[np.uint32]:
        """Place among the hour's episodes, with the hour: no two are equal before the hours wrap around after ``2**31 / stride``.

        The stride is the smallest power of two above twice the busiest hour, so between two episodes of one number lie at least
        2**31 / 4 = 537 M busiest-hour episodes, some 10,000 M events.
        """
        hour = in_day // HOUR_MS
        first = np.searchsorted(hour, np.arange(25))
        within = np.arange(len(hour)) - first[hour]
        assert len(hour) == 0 or within.max() < self._stride, "more sessions in an hour than were provided for"
        hours = (1 << 31) // self._stride
        return (((day * 24 + hour) % hours) * self._stride + within).astype(np.uint32)


def capped_to(wants: F64, total: float) -> F64:
    """Means in proportion to what people want, none above the most that anybody comes, which add up to a total."""
    if len(wants) == 0:
        return wants
    total = min(total, 0.9 * EPISODES_PER_USER_DAY_MAX * len(wants))
    means: F64 = wants * (total / wants.sum())
    for _ in range(20):
        np.minimum(means, EPISODES_PER_USER_DAY_MAX, out=means)
        missing = total / means.sum()
        if missing < 1.0005:
            break
        means *= missing
    return means


def session_numbers(seed: int, episode: NDArray[np.uint32], second: NDArray[np.bool_]) -> NDArray[np.uint32]:
    """The 32 bits of each ``session_id``: a keyed permutation of (episode, which of its sessions), so that no two are equal."""
    dense = (episode.astype(np.uint64) << np.uint64(1)) | second.astype(np.uint64)
    left, right = dense >> np.uint64(16), dense & np.uint64(0xFFFF)
    for n in range(4):
        key = root(seed, Purpose.SESSION_ID, n)
        left, right = right, left ^ (mix(right + np.uint64(key & 0xFFFFFFFFFFFF)) & np.uint64(0xFFFF))
    return ((left << np.uint64(16)) | right).astype(np.uint32)


def _wanted(person: U64, key: U64, its: Habits, settings: WorldSettings) -> NDArray[np.int32]:
    """How many lists each person means to look at: a rounded log-normal, at least 1."""
    wanted = _lists(settings, _appetite(child(person, PersonStream.VISITS), child(key, SessionStream.VISITS)))
    # Floor takes half a visit on the mean: the fraction decides by chance instead.
    wanted = np.floor(wanted + draw(key, SessionStream.VISIT))
    wanted = np.where(its.monster, MONSTER_VISITS[0] + MONSTER_VISITS[1] * wanted, wanted)
    wanted = np.where(its.bot > 0, BOT_VISITS * wanted, wanted)
    return np.minimum(wanted, _VISITS_MAX).astype(np.int32)


def _appetite(person: U64, key: U64) -> F64:
    """A number of variance 1, a part of which is the person's own: some always stay longer."""
    z: F64 = LASTING_VISITS**0.5 * bell(person) + (1 - LASTING_VISITS) ** 0.5 * bell(key)
    return z


def _lists(settings: WorldSettings, z: F64) -> F64:
    """Number of lists before rounding, for bell-shaped numbers of variance 1."""
    sigma = settings.visits_sigma
    wanted: F64 = 1.0 + np.exp(sigma * z) * ((settings.visits_mean - 1.0) * np.exp(-0.5 * sigma**2))
    return wanted


def lists_chances(settings: WorldSettings, most: int) -> F64:
    """Chance of an episode of 0, 1, ... ``most`` wanted lists; what is longer counts as ``most``. Without bots and monsters."""
    key = child(root(0, Purpose.PILOT, 1), np.arange(1 << 17))
    wanted = np.minimum(_lists(settings, np.sort(_appetite(child(key, 1), key))), most - 1e-9)
    whole = wanted.astype(np.int64)
    up = wanted - whole
    chance = np.bincount(whole, weights=1 - up, minlength=most + 1).astype(np.float64)
    chance += np.bincount(whole + 1, weights=up, minlength=most + 1)
    chance /= chance.sum()
    return chance


def _within_quota(key: U64, size: NDArray[np.int64], quota: float) -> NDArray[np.bool_]:
    """Which episodes are let in, in an order of chance, until their sizes make up the quota."""
    order = np.argsort(key)
    within = np.zeros(len(key), bool)
    within[order] = np.cumsum(size[order]) <= quota
    return within


def _evenly_spaced(in_day: NDArray[np.int64], size: NDArray[np.int64]) -> NDArray[np.int64]:
    """Starts moved, by at most ``START_SLACK_MS``, so that what is looked at comes evenly over the day: part of a flat rate.

    Chance makes bunches of episodes and of long episodes; this takes out both before a single event is made.
    """
    mass = np.cumsum(size) - size / 2
    even = mass / max(mass[-1] + size[-1] / 2, 1) * DAY_MS if len(size) else mass
    return np.clip(even.astype(np.int64), in_day - START_SLACK_MS, in_day + START_SLACK_MS).clip(0, DAY_MS - 1)


def apart_ms(settings: WorldSettings) -> int:
    """Least time from the end of an episode of a person to the start of the next one, before a flat rate moves either."""
    slack = 2 * (START_SLACK_MS + EVENT_SLACK_MS) if settings.flat else 0
    return SILENCE_MS + 1 + slack


def pause_ms(settings: WorldSettings) -> int:
    """Round the clock: least time from the start of a session of a person to the start of the next one."""
    return settings.session_cap_min * MINUTE_MS + apart_ms(settings)


def slots_per_day(settings: WorldSettings) -> int:
    """Sessions a day of people who come round the clock."""
    return int(min(DAY_MS // (pause_ms(settings) + 10 * MINUTE_MS), CANDIDATES_MAX))
