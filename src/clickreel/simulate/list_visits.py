"""What a session is made of: its mood, its device, and the lists it looks at.

A session has one device and one mood (a segment of taste): its user's first or second taste, or what the hour suggests (comedy in the morning, thriller at
night). It is entered by the homepage, a search or a recommendation, and looks at one list after the other. The referrer of each visit to a
list says how that visit was entered: the session's own entry for the first, and for those that follow the way the page implies. So the
referrer depends on the place in the session, as in real logs, and not on chance alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clickreel.contract import vocabulary
from clickreel.simulate.draws import F64, U64, child, draw, normal, uniform
from clickreel.simulate.films import Catalogue
from clickreel.simulate.ranked_lists import NEAR_VARIANTS, VARIANTS, RankedLists
from clickreel.simulate.settings import WorldSettings
from clickreel.simulate.taste import DAYPART_OF_HOUR, Taste, pick
from clickreel.simulate.traffic import HOUR_MS, PersonStream, Sessions, SessionStream
from clickreel.simulate.trends import Burst, pick_burst

HOME, BROWSE, SEARCH, RECOMMENDATIONS, DETAIL = (
    vocabulary.PAGES.index(name) for name in ("home", "browse", "search", "recommendations", "film_detail")
)
HOMEPAGE, BY_SEARCH, BY_RECOMMENDATION = (
    vocabulary.REFERRERS.index(name) for name in ("homepage", "search", "recommendation")
)
_WEB = vocabulary.DEVICES.index("web")
# 56 mobile, 42 web, 2 tablet of 100 (StatCounter 2021), cumulative in the order of the codes.
_DEVICE_SHARE = {"web": 0.42, "mobile": 0.56, "tablet": 0.02}
DEVICE_CUMULATIVE = np.cumsum([_DEVICE_SHARE[name] for name in vocabulary.DEVICES])
DEVICE_HABIT = 0.85  # share of the sessions on the user's own device

FIRST_TASTE, SECOND_TASTE = 0.62, 0.20  # shares of the moods; the rest is left to the hour
FAVOURITES = 5
FAVOURITE_ANCHOR = 0.35  # share of the sessions that begin with one of the user's favourites
SESSION_ANCHOR = 0.5  # share of the searches and recommendations that stay with the film the session began with

ENTRY_CUMULATIVE = np.cumsum([0.55, 0.30, 0.15])  # homepage, search, recommendation
ENTRY_REFERRER = np.array([HOMEPAGE, BY_SEARCH, BY_RECOMMENDATION], np.uint8)
ENTRY_PAGE = np.array([HOME, SEARCH, RECOMMENDATIONS], np.uint8)
LATER_CUMULATIVE = np.cumsum([0.15, 0.33, 0.24, 0.28])
LATER_PAGE = np.array([HOME, BROWSE, SEARCH, RECOMMENDATIONS], np.uint8)
LATER_REFERRER = np.array([HOMEPAGE, HOMEPAGE, BY_SEARCH, BY_RECOMMENDATION], np.uint8)
OWN_CATEGORY = 0.75  # share of the browse visits that go to the category of the mood

# Mean number of films a person is ready to scroll through beyond the first, by page code.
SCROLL = np.zeros(len(vocabulary.PAGES))
SCROLL[[HOME, BROWSE, SEARCH, RECOMMENDATIONS]] = 9.5, 11.0, 6.0, 9.0
DEPTH_MAX = 30

FOUND_AT_CUMULATIVE = np.cumsum([0.75, 0.17, 0.08])  # rank of the wanted film in a search
SHOWN_AT = 4  # a viral film is put at one of the first four ranks


class VisitDraw:
    """Numbers of the draws below a visit's key; slots are below ``SLOT + rank``."""

    PAGE, CATEGORY, DEPTH, VARIANT, ANCHOR, ANCHOR_ELSE, RANK, BURST, RANDOM, RANDOM_START, RANDOM_STEP = range(11)
    SLOT = 64


VISIT_KEY = 64  # visits are below ``VISIT_KEY + visit`` of a session's key


@dataclass(frozen=True, slots=True)
class SessionContext:
    """What is fixed for the length of a session, one entry per session.

    Attributes:
        mood: Segment of taste (int64).
        device: Code (uint8).
        entry: How the session is entered, as a place in ``ENTRY_PAGE`` (int64).
        anchor: The film it begins with, a place in the catalogue (int64).
        pace: Factor of all dwell times (float32).
    """

    mood: NDArray[np.int64]
    device: NDArray[np.uint8]
    entry: NDArray[np.int64]
    anchor: NDArray[np.int64]
    pace: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Visits:
    """The lists that sessions look at, in order of session and time.

    Attributes:
        session: Place of the session in its block (int64).
        key: Below it, everything about the visit is drawn (uint64).
        page: Code (uint8).
        referrer: Code (uint8).
        row: Row of the list in the day's lists (int64).
        depth: Number of films the person is ready to look at (int64).
        put: A film put into the list by a search or by going viral, -1 for none (int32).
        put_rank: The rank at which it stands, from 1 (int32).
        searched: Whether that film is what the person searched for (bool).
        random: Whether the list is in random order (bool).
    """

    session: NDArray[np.int64]
    key: U64
    page: NDArray[np.uint8]
    referrer: NDArray[np.uint8]
    row: NDArray[np.int64]
    depth: NDArray[np.int64]
    put: NDArray[np.int32]
    put_rank: NDArray[np.int32]
    searched: NDArray[np.bool_]
    random: NDArray[np.bool_]


def tastes(person: U64, taste: Taste) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First and second taste of people: the segments they come back to."""
    cumulative = np.cumsum(taste.segment_share)
    return pick(cumulative, draw(person, PersonStream.FIRST_TASTE)), pick(
        cumulative, draw(person, PersonStream.SECOND_TASTE)
    )


def liked(lists: RankedLists, segment: NDArray[np.int64], u: F64) -> NDArray[np.int64]:
    """A film for each segment, drawn by how much the segment likes it, of those that are there on the day."""
    k, n = lists.anchors.shape
    stacked = (lists.anchors + np.arange(k)[:, None]).ravel()
    # A sum of shares may end a rounding error below 1: never let a draw fall into the next segment's row.
    film: NDArray[np.int64] = np.minimum(np.searchsorted(stacked, segment + u) - segment * n, n - 1)
    return film


def session_contexts(sessions: Sessions, taste: Taste, lists: RankedLists, settings: WorldSettings) -> SessionContext:
    """What is fixed for each session."""
    key, person = sessions.key, sessions.person
    first, second = tastes(person, taste)
    u = draw(key, SessionStream.MOOD)
    hour = ((sessions.start_ms / HOUR_MS + settings.time_zone_h) % 24).astype(np.int64)
    cumulative = np.cumsum(taste.daypart_share, axis=1) + np.arange(len(taste.daypart_share))[:, None]
    k = len(taste.segment_share)
    part = DAYPART_OF_HOUR[hour]
    by_hour = np.minimum(
        np.searchsorted(cumulative.ravel(), part + draw(key, SessionStream.MOOD_ELSE)) - part * k, k - 1
    )
    mood = np.where(u < FIRST_TASTE, first, np.where(u < FIRST_TASTE + SECOND_TASTE, second, by_hour))

    own = pick(DEVICE_CUMULATIVE, draw(person, PersonStream.DEVICE))
    other = pick(DEVICE_CUMULATIVE, draw(key, SessionStream.DEVICE_ELSE))
    device = np.where(draw(key, SessionStream.DEVICE) < DEVICE_HABIT, own, other)

    favourite = (draw(key, SessionStream.ANCHOR_ELSE) * FAVOURITES).astype(np.int64)
    u_favourite = uniform(child(child(person, PersonStream.FAVOURITES), favourite))
    is_favourite = draw(key, SessionStream.ANCHOR) < FAVOURITE_ANCHOR
    u_anchor = np.where(is_favourite, u_favourite, draw(key, SessionStream.ANCHOR_ELSE))
    anchor = liked(lists, np.where(is_favourite, first, mood), u_anchor)

    pace = (
        np.exp(0.25 * normal(person, PersonStream.PACE) + 0.2 * normal(key, SessionStream.PACE)) * settings.dwell_factor
    )
    pace = np.where(sessions.bot, 0.02 * pace, pace)
    return SessionContext(
        mood=mood,
        device=np.where(sessions.bot, _WEB, device).astype(np.uint8),
        entry=pick(ENTRY_CUMULATIVE, draw(key, SessionStream.ENTRY)),
        anchor=anchor,
        pace=pace.astype(np.float32),
    )


def visits(
    sessions: Sessions,
    context: SessionContext,
    taste: Taste,
    lists: RankedLists,
    *,
    bursts: list[Burst],
    settings: WorldSettings,
) -> Visits:
    """The lists each session looks at."""
    session, key, first, later = _sequence(sessions.key, sessions.visits)
    mood = context.mood[session]

    entry = context.entry[session]
    page = np.where(first, ENTRY_PAGE[entry], LATER_PAGE[later])
    referrer = np.where(first, ENTRY_REFERRER[entry], LATER_REFERRER[later])

    stays = first | (draw(key, VisitDraw.ANCHOR) < SESSION_ANCHOR)
    anchor = np.where(stays, context.anchor[session], liked(lists, mood, draw(key, VisitDraw.ANCHOR_ELSE)))
    row = _rows(key, page, mood, anchor, taste=taste, lists=lists)

    depth = _depth(key, page, max(1, min(DEPTH_MAX, lists.films.shape[1] - 1)))

    random = draw(key, VisitDraw.RANDOM) < settings.random_lists
    viral = pick_burst(bursts, sessions.start_ms[session], draw(key, VisitDraw.BURST))
    searched = (page == SEARCH) & (viral < 0) & ~random
    put = np.where(random, -1, np.where(searched, anchor, viral)).astype(np.int32)
    u = draw(key, VisitDraw.RANK)
    put_rank = 1 + np.where(searched, pick(FOUND_AT_CUMULATIVE, u), (u * SHOWN_AT).astype(np.int64))
    return Visits(session, key, page, referrer, row, depth, put, put_rank.astype(np.int32), searched, random)


def looks(key: U64, visits: NDArray[np.int32]) -> NDArray[np.int64]:
    """How many films each session means to look at: known before anything else of it is worked out.

    Args:
        key: Key of each session.
        visits: Number of lists of each.
    """
    if len(key) == 0:
        return np.zeros(0, np.int64)
    _, visit_key, first, later = _sequence(key, visits)
    entry = np.repeat(pick(ENTRY_CUMULATIVE, draw(key, SessionStream.ENTRY)), visits)
    depth = _depth(visit_key, np.where(first, ENTRY_PAGE[entry], LATER_PAGE[later]), DEPTH_MAX)
    ends = np.cumsum(visits.astype(np.int64))
    total: NDArray[np.int64] = np.add.reduceat(depth, ends - visits)
    return total


def _sequence(
    key: U64, visits: NDArray[np.int32]
) -> tuple[NDArray[np.int64], U64, NDArray[np.bool_], NDArray[np.int64]]:
    """Of each visit: place of its session, its key, whether it is the first, and the way it is entered if not."""
    counts = visits.astype(np.int64)
    session = np.repeat(np.arange(len(counts)), counts)
    number = np.arange(len(session)) - np.repeat(np.cumsum(counts) - counts, counts)
    visit_key = child(key[session], number + VISIT_KEY)
    return session, visit_key, number == 0, pick(LATER_CUMULATIVE, draw(visit_key, VisitDraw.PAGE))


def _depth(key: U64, page: NDArray[np.uint8], most: int) -> NDArray[np.int64]:
    """Number of films that each visit is ready to look at."""
    scroll = SCROLL[page] * -np.log(draw(key, VisitDraw.DEPTH))
    depth: NDArray[np.int64] = np.minimum(1 + scroll.astype(np.int64), most)
    return depth


def _rows(
    key: U64,
    page: NDArray[np.uint8],
    mood: NDArray[np.int64],
    anchor: NDArray[np.int64],
    *,
    taste: Taste,
    lists: RankedLists,
) -> NDArray[np.int64]:
    """The row of each visit's list in the day's lists."""
    u = draw(key, VisitDraw.VARIANT)
    segments = len(taste.segment_category)
    u_shelf = draw(key, VisitDraw.CATEGORY)
    # Above OWN_CATEGORY the rest of the same draw, stretched, picks any shelf.
    other = ((u_shelf - OWN_CATEGORY) / (1 - OWN_CATEGORY) * segments).astype(np.int64)
    shelf = np.where(u_shelf < OWN_CATEGORY, mood, other)
    return np.select(
        [page == HOME, page == BROWSE],
        [
            lists.home + mood * VARIANTS + (u * VARIANTS).astype(np.int64),
            lists.browse + shelf * VARIANTS + (u * VARIANTS).astype(np.int64),
        ],
        default=lists.near + anchor * NEAR_VARIANTS + (u * NEAR_VARIANTS).astype(np.int64),
    )


__all__ = ["Catalogue", "SessionContext", "VisitDraw", "Visits", "liked", "session_contexts", "tastes", "visits"]
