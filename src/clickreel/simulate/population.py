"""The population: who is there on a day, and how often each of them comes.

The platform has a fixed number of places. A place is held by one person after the other: a stay ends and a new person, with a new user number,
takes over. Lengths of stay are exponential between places and fixed within one, so the number of people is the same on every day of all time,
newcomers arrive all the time, and many of them stay briefly. Who holds a place on a day is computed, not remembered.

Activity is log-normal over people. Its quantile belongs to the place (a low-discrepancy sequence over the places), so that the mean activity of
the people who are there is the same on every day and for every seed, to far less than 1 %: rates can be promised. Since people differ this
much in activity, those who were seen more often are the more likely to return: the return probability rises with the number of visits.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clickreel.simulate.draws import F64, GOLDEN, U64, Purpose, child, draw, root, uniform
from clickreel.simulate.normal import normal_quantile
from clickreel.simulate.settings import WorldSettings

SESSIONS_PER_USER_DAY_MAX = (
    4.0  # mean of the most active; beyond this the pause between sessions would eat most of them
)
_STAY_MIN_DAYS = 14
_STAY_MAX_DAYS = 20_000.0
# Generation 0 holds 2025-01-01, so that user numbers are small where people look at them.
_EPOCH_DAY = 20_089
_USER_MAX = 2**32 - 1


@dataclass(frozen=True)
class Population:
    """The people of a world.

    Attributes:
        seed: Seed of the world.
        places: Number of people on the platform at any time.
        sessions_per_day: Mean number of sessions a person and day, before pauses are enforced.
        sigma: Spread of the activity.
        churn: Share of people replaced in 30 days.
        scale: Factor of the log-normal activity, from :func:`capped_scale`.
    """

    seed: int
    places: int
    sessions_per_day: float
    sigma: float
    churn: float
    scale: float

    def holders(self, place: NDArray[np.int64], day: int) -> NDArray[np.int64]:
        """User numbers of those who hold the places on a day (UTC, days since the epoch)."""
        if self.churn == 0:
            return place + 1
        key = child(root(self.seed, Purpose.TENURE), place)
        stay = np.clip(-np.log(uniform(key)) * (30.0 / self.churn), _STAY_MIN_DAYS, _STAY_MAX_DAYS)
        generation = np.floor((day - _EPOCH_DAY) / stay + draw(key, 0)).astype(np.int64)
        # Both directions of time get numbers of their own: 0, -1, 1, -2, 2 ... become 0, 1, 2, 3, 4.
        folded = np.where(generation >= 0, 2 * generation, -2 * generation - 1)
        user: NDArray[np.int64] = place + 1 + self.places * (folded % ((_USER_MAX - self.places) // self.places))
        return user

    def activity(self, place: NDArray[np.int64]) -> F64:
        """Mean number of sessions a day of those who hold the places, before the rhythm of day and week."""
        offset = root(self.seed, Purpose.ACTIVITY)
        quantile = uniform(place.astype(np.uint64) * np.uint64(GOLDEN) + np.uint64(offset))
        mean: F64 = self.sessions_per_day * self.scale * np.exp(self.sigma * normal_quantile(quantile))
        return np.minimum(mean, SESSIONS_PER_USER_DAY_MAX)

    def keys(self, user: NDArray[np.int64]) -> U64:
        """The key below which everything about a person is drawn."""
        return child(root(self.seed, Purpose.USER), user)


def capped_scale(mean: float, sigma: float) -> float:
    """The factor that gives a capped log-normal the wanted mean: ``E[min(mean * factor * exp(sigma * z), cap)] = mean``.

    Args:
        mean: Wanted mean, below the cap.
        sigma: Spread.
    """
    z = normal_quantile((np.arange(4096) + 0.5) / 4096)
    shape = mean * np.exp(sigma * z)
    low, high = 1e-6, 1e6
    for _ in range(80):
        middle = (low * high) ** 0.5
        if np.minimum(shape * middle, SESSIONS_PER_USER_DAY_MAX).mean() < mean:
            low = middle
        else:
            high = middle
    return float(low)


def population(settings: WorldSettings, places: int, sessions_per_day: float) -> Population:
    """The population of a world, its size and its mean activity being decided."""
    sigma = settings.activity_sigma
    return Population(
        settings.seed, places, sessions_per_day, sigma, settings.churn, capped_scale(sessions_per_day, sigma)
    )
