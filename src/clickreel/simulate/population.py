"""The population: who is a member on a day, and how much each of them wants to come.

People join at a steady pace and are numbered in the order of joining, so ``u_10`` is one of the first and the largest number is the
number of all who ever joined. Two kinds join: most stay for long, some only try (a third, ten days on average). The number of
members is the same on every day of all time. The platform opened on 2025-10-01 with its full number, the founders; a world exists
before that too, with the calendar of joining read backwards from the opening.

How much a person wants to come is a product:

* lasting activity, log-normal over people (R4; OTTO's 95th over 50th percentile is 11.3);
* phases of five and of sixteen days, in which one comes more or less: visits come in bursts (Barabasi, Nature 2005: burstiness of human
  activity .2 to .6), and a return becomes less likely from day to day;
* habits of the week: some people are here on weekends, some on Tuesdays;
* the first days, in which a newcomer is curious.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from clickreel.simulate.draws import F64, U64, Purpose, bell, child, draw, root
from clickreel.simulate.settings import WorldSettings

OPENED_DAY = 20_362  # 2025-10-01
TRIERS = 0.35  # share of those who join that only try
TRIER_DAYS = 10.0
STAY_MAX = 3.0  # longest stay, in means: bounds how far back members are looked for
SHORT_PHASE_DAYS, LONG_PHASE_DAYS = 4, 16
SHORT_PHASE, LONG_PHASE = 1.5, 0.75  # spread of the logarithm
WEEKDAY_HABIT = 0.45
WEEKEND_HABIT = 1.35
CURIOUS, CURIOUS_DAYS = 1.5, 4.0
BOT_WANTS = 1.0  # times what the spread of activity adds to the mean: about as often as people on the mean
FIRST_FEW = 16  # these stay as long as anybody: u_10 is somebody
_BLOCK = 1 << 14
_USER_MAX = 2**32 - 1


# A bot's session has so many times the events of a person's (measured).
BOT_EVENTS = 16.0


def bot_people(settings: WorldSettings) -> float:
    """Share of the people who are bots, for the share of the events that they make."""
    share = settings.bots
    if share >= 1.0:
        return 1.0
    return share / (share + (1 - share) * BOT_EVENTS)


def are_bots(user: NDArray[np.int64], people_key: int, share: float) -> NDArray[np.bool_]:
    """Which users are bots: one of every ``1 / share`` in sequence, so that a small world has its share of them too.

    Args:
        user: Numbers.
        people_key: Key of the people of the world.
        share: Share of the people who are bots.
    """
    if share <= 0.0 or share >= 1.0:
        return np.full(len(user), share >= 1.0)
    number = np.floor(user * share).astype(np.int64)
    every = np.arange(int(number.max(initial=-1)) + 1)
    first = np.ceil(every / share)
    width = np.ceil((every + 1) / share) - first
    at = first + np.floor(draw(child(people_key, every), PersonStream.BOT) * width)
    found: NDArray[np.bool_] = (user > FIRST_FEW) & (user == at[number])
    return found


class PersonStream:
    """Numbers of the draws below a person's key. Never reuse one. Days are below ``16 + day``."""

    (
        HABIT,
        BOT,
        DEVICE,
        FIRST_TASTE,
        SECOND_TASTE,
        PACE,
        FAVOURITES,
        ACTIVITY,
        STAY,
        KIND,
        OFFSET,
        WEEKEND,
        ZONE,
        APPETITE,
        LIST,
        VISITS,
    ) = range(16)
    # Below the person, apart from the days: phases, weekdays, saves.
    SHORT, LONG, WEEKDAY, SAVING, SAVES = range(1 << 40, (1 << 40) + 5)


@dataclass(frozen=True, slots=True)
class _Lasting:
    """What does not change about a block of people.

    Attributes:
        key: Below it, everything about the person is drawn (uint64).
        joined: Day of joining, counted from the opening; founders have joined long before (float64).
        leaves: Day of leaving (float64).
        activity: Logarithm of the lasting activity (float64).
        weekend: Logarithm of the weekend habit (float64).
        offset: Where the phases begin (int64).
        bot: Whether it is a bot, which comes as regularly as a clock lets it (bool).
    """

    key: U64
    joined: F64
    leaves: F64
    activity: F64
    weekend: F64
    offset: NDArray[np.int64]
    bot: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Members:
    """The members of a day, by number.

    Attributes:
        user: Numbers, ascending (int64).
        key: Below it, everything about the person is drawn (uint64).
        wants: How much each wants to come, in no unit: only the proportions count (float64).
    """

    user: NDArray[np.int64]
    key: U64
    wants: F64


class Population:
    """The people of a world.

    Args:
        settings: Seed, churn and spread of the activity.
        people: Number of members on any day.
    """

    def __init__(self, settings: WorldSettings, people: int) -> None:
        self.people = people
        self._sigma = settings.activity_sigma
        self._bots = bot_people(settings)
        self.bot_wants = BOT_WANTS * math.exp(0.5 * self._sigma**2)
        self._root = root(settings.seed, Purpose.USER)
        self._stay_days = 30.0 / settings.churn if settings.churn else math.inf
        mean = TRIERS * TRIER_DAYS + (1 - TRIERS) * self._stay_days * (1 - math.exp(-STAY_MAX))
        self.joins_per_day = people / mean if settings.churn else 0.0
        self._lasting = lru_cache(maxsize=128)(self._make_lasting)

    def last_user(self, day: int) -> int:
        """The largest number of those who have joined by a day."""
        return self.people + int(abs(day - OPENED_DAY) * self.joins_per_day)

    def members(self, day: int) -> Members:
        """Who is a member on a day (UTC, days since the epoch)."""
        since = float(abs(day - OPENED_DAY))
        last = self.last_user(day)
        assert last <= _USER_MAX, "user numbers have 32 bits"
        first = 1
        if since > STAY_MAX * self._stay_days:
            first = max(1, self.people + int((since - STAY_MAX * self._stay_days) * self.joins_per_day))
        blocks = [self._members(block, day, since) for block in range(first // _BLOCK, last // _BLOCK + 1)]
        return Members(*(np.concatenate([block[i] for block in blocks]) for i in range(3)))

    def _members(self, block: int, day: int, since: float) -> tuple[NDArray[np.int64], U64, F64]:
        lasting = self._lasting(block)
        rows = np.flatnonzero((lasting.joined <= since) & (lasting.leaves > since))
        key = lasting.key[rows]
        offset = lasting.offset[rows]
        wants = lasting.activity[rows] + self._phases(key, offset, day)
        weekday = (day + 3) % 7
        wants += WEEKDAY_HABIT * bell(child(child(key, PersonStream.WEEKDAY), weekday))
        wants += lasting.weekend[rows] * (1.0 if weekday >= 5 else -0.4)
        np.exp(wants, out=wants)
        wants[lasting.bot[rows]] = self.bot_wants
        age = since - lasting.joined[rows]
        new = np.flatnonzero(age < 8 * CURIOUS_DAYS)
        wants[new] *= 1.0 + CURIOUS * np.exp(-age[new] / CURIOUS_DAYS)
        return block * _BLOCK + rows, key, wants

    @staticmethod
    def _phases(key: U64, offset: NDArray[np.int64], day: int) -> F64:
        short = bell(child(child(key, PersonStream.SHORT), (day + offset) // SHORT_PHASE_DAYS))
        long = bell(child(child(key, PersonStream.LONG), (day + offset) // LONG_PHASE_DAYS))
        return SHORT_PHASE * short + LONG_PHASE * long

    def _make_lasting(self, block: int) -> _Lasting:
        user = np.arange(block * _BLOCK, (block + 1) * _BLOCK)
        key = child(self._root, user)
        founder = user <= self.people
        stay = np.minimum(-np.log(draw(key, PersonStream.STAY)), STAY_MAX)
        stay[user <= FIRST_FEW] = STAY_MAX
        tries = ~founder & (draw(key, PersonStream.KIND) < TRIERS)
        stay = np.maximum(stay * np.where(tries, TRIER_DAYS, self._stay_days), 1.0)
        joined = np.full(len(user), -1e9)
        if self.joins_per_day:
            joined[~founder] = (user[~founder] - self.people) / self.joins_per_day
        joined[user == 0] = np.inf  # nobody has the number 0
        if not self.joins_per_day:
            joined[~founder] = np.inf
        offset = (draw(key, PersonStream.OFFSET) * (SHORT_PHASE_DAYS * LONG_PHASE_DAYS)).astype(np.int64)
        return _Lasting(
            key=key,
            joined=joined,
            leaves=np.where(founder, 0.0, joined) + stay,
            activity=self._sigma * bell(child(key, PersonStream.ACTIVITY)),
            weekend=WEEKEND_HABIT * bell(child(key, PersonStream.WEEKEND)),
            offset=offset,
            bot=are_bots(user, self._root, self._bots),
        )
