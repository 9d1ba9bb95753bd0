"""How long people pause between two lists, and how an episode falls into sessions.

Most pauses are seconds; one in seven, by a setting, is a distraction: a call, a meal, minutes to hours. A pause beyond 30 minutes ends the session, and of
those who were called away most come back to the lists they still meant to look at. So sessions end by silence alone, returns
are densest just after half an hour, and the longest gap within a session reaches up to it (RSC15: 95th percentile 1,177 s).

All of this is known before any event is made: the number of lists in each session, and a bound on its length, which is the pauses and
a random allowance for what is looked at.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from clickreel.simulate.draws import U64, bell, child, draw
from clickreel.simulate.normal import normal_quantile
from clickreel.simulate.people import Habits, SessionStream
from clickreel.simulate.rhythm import HOUR_MS, MINUTE_MS, SILENCE_MS, slack_ms
from clickreel.simulate.settings import WorldSettings

NEXT_LIST_MS, NEXT_LIST_SPREAD = 9_000.0, 1.3  # median and sigma of the log-normal pause
DISTRACTION_MS, DISTRACTION_SPREAD = 800_000.0, 1.05
_DISTRACTION_MAX = 2.5  # cut at so many sigmas: about four hours
COMES_BACK = 0.85
# Of those who had looked at all they meant to, so many come back soon after the half hour, for one to three lists.
SOON_SHARE, SOON_MS, SOON_LISTS = 0.045, 20 * MINUTE_MS, 3
_BITS = 16
# Room for what is looked at: so many minutes, and so many for each list, more or less.
ALLOWANCE_MIN, ALLOWANCE_LIST_MIN, ALLOWANCE_SPREAD = 3.0, 3.0, 0.35

EPISODE_MAX_MS = 14 * HOUR_MS  # no episode is longer: how far a stretch of time looks back
VISIT_KEY = 64  # lists are below ``VISIT_KEY + number`` of a session's key
PAUSE = 11  # number of the pause's draw below a list's key


def _lognormal(median: float, spread: float, count: int, most: float) -> NDArray[np.float32]:
    """Quantiles of a log-normal law at the middle of equal steps, its logarithm cut at ``most`` sigmas."""
    cut = 0.5 * (1 + math.erf(most / math.sqrt(2)))
    z = normal_quantile((np.arange(count) + 0.5) / count * cut)
    return (median * np.exp(spread * z)).astype(np.float32)


@lru_cache(maxsize=4)
def pause_table(share: float) -> tuple[NDArray[np.float32], int]:
    """Pauses in milliseconds, looked up by 16 bits of a hash, and how many of them, at the end, are distractions; the order does not matter.

    Args:
        share: Share of the pauses that are distractions.
    """
    distractions = round(share * (1 << _BITS))
    parts = [
        _lognormal(NEXT_LIST_MS, NEXT_LIST_SPREAD, (1 << _BITS) - distractions, np.inf),
        _lognormal(DISTRACTION_MS, DISTRACTION_SPREAD, max(distractions, 1), _DISTRACTION_MAX)[:distractions],
    ]
    return np.concatenate(parts), distractions


@dataclass(frozen=True, slots=True)
class SessionLengths:
    """How episodes fall into sessions.

    Attributes:
        first: Number of lists of the first session, at least 1 (int32).
        second: Number of lists of the second one, 0 where there is none (int32).
        limit_ms: Longest duration of the first and of the second session (int64[n, 2]).
        bound_ms: Longest duration of the whole (int64).
    """

    first: NDArray[np.int32]
    second: NDArray[np.int32]
    limit_ms: NDArray[np.int64]
    bound_ms: NDArray[np.int64]


def second_key(key: U64) -> U64:
    """The key of the second session of each episode."""
    return child(key, SessionStream.SECOND)


def soon_ms(key: U64, settings: WorldSettings) -> NDArray[np.int64]:
    """The pause of each episode whose person had done and comes back soon: an exponential time beyond the silence that ends a session."""
    beyond = (-np.log(draw(key, SessionStream.SOON)) * SOON_MS).astype(np.int64)
    pause: NDArray[np.int64] = beyond + SILENCE_MS + 1 + 2 * slack_ms(settings)
    return pause


def visit_keys(session_key: U64, number: NDArray[np.int64]) -> U64:
    """Key of each list, below the key of its session, by its number in the session."""
    return child(session_key, number + VISIT_KEY)


def break_from_ms(settings: WorldSettings) -> int:
    """A pause at least this long ends a session. With a flat rate, events may be moved towards each other by the slack: less."""
    return SILENCE_MS - 2 * slack_ms(settings) + (0 if settings.flat else 1)


def pauses_ms(
    visit_key: U64, pace: NDArray[np.float32], steady: NDArray[np.bool_], settings: WorldSettings
) -> NDArray[np.int64]:
    """Milliseconds between the last event of each list and the first of the next one, if there is one.

    Args:
        visit_key: Key of each list.
        pace: Factor of its session.
        steady: Whether nothing distracts: bots, sessions that go on and on, people who come round the clock.
        settings: For the slack of a flat rate.
    """
    number = (child(visit_key, PAUSE) & np.uint64((1 << _BITS) - 1)).astype(np.int64)
    table, distractions = pause_table(settings.distractions)
    pause = (table[number] * pace).astype(np.int64)
    limit = break_from_ms(settings)
    if steady.any():
        usual = number % ((1 << _BITS) - distractions)
        quick = np.minimum((table[usual] * pace).astype(np.int64), limit // 3)
        pause = np.where(steady, quick, pause)
    # A flat rate moves events by the slack on either side: what ends a session must stay longer than 30 minutes.
    pause[pause >= limit] += 4 * slack_ms(settings)
    return pause


def session_lengths(key: U64, wanted: NDArray[np.int32], its: Habits, settings: WorldSettings) -> SessionLengths:
    """How each episode falls into sessions, and how long it can be.

    Args:
        key: Key of each episode.
        wanted: Number of lists its person means to look at.
        its: Pace and kind of each.
        settings: Cap on the length.
    """
    if len(key) == 0:
        none = np.zeros(0, np.int32)
        return SessionLengths(none, none, np.zeros((0, 2), np.int64), np.zeros(0, np.int64))
    first, within, pause = _until_break(key, wanted, its, settings)
    left = wanted - first
    share = np.where(left > 0, COMES_BACK, np.where(its.steady, 0.0, SOON_SHARE))
    back = np.flatnonzero(draw(key, SessionStream.RETURN) < share)
    soon = back[left[back] == 0]
    left[soon] = 1 + (draw(key[soon], SessionStream.SECOND) * SOON_LISTS).astype(np.int32)
    pause[soon] = soon_ms(key[soon], settings)
    second = np.zeros(len(key), np.int32)
    limit = np.zeros((len(key), 2), np.int64)
    limit[:, 0] = within + _allowance_ms(key, first, its, settings)
    bound = limit[:, 0].copy()
    if len(back):
        again = second_key(key[back])
        second[back], within_second, _ = _until_break(again, left[back], its.take(back), settings)
        limit[back, 1] = within_second + _allowance_ms(again, second[back], its.take(back), settings)
        bound[back] += pause[back] + limit[back, 1]
    bound = np.minimum(bound, EPISODE_MAX_MS)
    if settings.round_the_clock:
        limit[:, 0] = np.minimum(limit[:, 0], settings.session_cap_min * MINUTE_MS)
        bound = limit[:, 0].copy()
    return SessionLengths(first, second, limit, bound)


def _until_break(
    key: U64, wanted: NDArray[np.int32], its: Habits, settings: WorldSettings
) -> tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.int64]]:
    """Lists until the first pause that ends a session, the pauses before it in all, and that pause (0 where there is none)."""
    counts = wanted.astype(np.int64)
    begins = np.cumsum(counts) - counts
    session = np.repeat(np.arange(len(counts)), counts)
    number = np.arange(len(session)) - begins[session]
    pause = pauses_ms(visit_keys(key[session], number), its.pace[session], its.steady[session], settings)
    ends = (pause >= break_from_ms(settings)) | (number == counts[session] - 1)
    last = np.minimum.reduceat(np.where(ends, number, 1 << 40), begins)
    total = np.cumsum(pause)
    at = begins + last
    within = total[at] - pause[at] - (total[begins] - pause[begins])
    broken = last < counts - 1
    return (last + 1).astype(np.int32), within, np.where(broken, pause[at], 0)


def _allowance_ms(key: U64, lists: NDArray[np.int32], its: Habits, settings: WorldSettings) -> NDArray[np.int64]:
    """Room for what is looked at: grows with the lists and ends softly near the cap, which is each session's own."""
    spread = np.exp(ALLOWANCE_SPREAD * bell(child(key, SessionStream.LIMIT)))
    wanted = (ALLOWANCE_MIN + ALLOWANCE_LIST_MIN * lists) * spread * np.maximum(its.pace, 0.7)
    cap = settings.session_cap_min * spread
    allowance: NDArray[np.int64] = ((cap * -np.expm1(-wanted / cap)) * MINUTE_MS).astype(np.int64)
    return allowance
