"""What a session is made of: how it is entered, and the lists it looks at.

A session has one device and one entry source, its **referrer**, which stays the same wherever the person goes: the homepage, a search engine,
or a recommendation in a message. The page is where the person is now. Some of those who come by a search or a recommendation land
on a film's page; all others on a list.

What a person is interested in drifts: an interest (a segment of taste: one's first or second, what the hour suggests, now and then any) lasts for some
lists and gives way to another. What was clicked last tells most about what is clicked next, as in real logs (RSC15: a click is among the 20
likeliest after 1, 2, ... 6 clicks with .51 .37 .33 .27 .25 .22).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clickreel.contract import vocabulary
from clickreel.simulate.draws import F64, U64, child, draw, uniform
from clickreel.simulate.pauses import pauses_ms, second_key, visit_keys
from clickreel.simulate.people import BOT_KINDS, MOBILE, SessionStream
from clickreel.simulate.population import PersonStream
from clickreel.simulate.ranked_lists import (
    CATEGORY_VARIANTS,
    EMPTY_POOL,
    POPULAR_POOL,
    TASTE_VARIANTS,
    WIDTH,
    RankedLists,
    list_keys,
)
from clickreel.simulate.rhythm import DAY_MS, local_hour
from clickreel.simulate.settings import WorldSettings
from clickreel.simulate.taste import DAYPART_OF_HOUR, Taste, pick
from clickreel.simulate.traffic import Episodes
from clickreel.simulate.trends import Burst, pick_burst

HOME, BROWSE, SEARCH, RECOMMENDATIONS, DETAIL = (
    vocabulary.PAGES.index(name) for name in ("home", "browse", "search", "recommendations", "film_detail")
)
HOMEPAGE, BY_SEARCH, BY_RECOMMENDATION = (
    vocabulary.REFERRERS.index(name) for name in ("homepage", "search", "recommendation")
)
CRAWLER, POLLER, SCRAPER = (BOT_KINDS.index(name) for name in ("crawler", "poller", "scraper"))

ENTRY_CUMULATIVE = np.cumsum([0.50, 0.30, 0.20])  # homepage, search, recommendation
ENTRY_REFERRER = np.array([HOMEPAGE, BY_SEARCH, BY_RECOMMENDATION], np.uint8)
# The first page by the way one came: landing on a film's page is a fifth of those who do not come by the homepage.
FIRST_PAGES = np.array([HOME, BROWSE, SEARCH, RECOMMENDATIONS, DETAIL], np.uint8)
FIRST_CUMULATIVE = np.cumsum(
    [[0.86, 0.08, 0.02, 0.04, 0.00], [0.10, 0.18, 0.513, 0.00, 0.207], [0.16, 0.06, 0.00, 0.554, 0.226]], axis=1
)
LATER_CUMULATIVE = np.cumsum([0.15, 0.30, 0.30, 0.25])
LATER_PAGE = np.array([HOME, BROWSE, SEARCH, RECOMMENDATIONS], np.uint8)
OWN_CATEGORY = 0.80  # share of the browse visits that go to the category of the interest

FIRST_TASTE, SECOND_TASTE, BY_HOUR = 0.38, 0.20, 0.24  # what an interest is drawn from; the rest is anything
FAVOURITES = 8
FAVOURITE_ANCHOR = 0.25  # share of the sessions that begin with one of the person's favourites
SAME_ANCHOR = 0.60  # share of the searches that stay with the film that the interest began with

# Mean number of films a person is ready to scroll through beyond the first, by page code; on a phone less.
SCROLL = np.zeros(len(vocabulary.PAGES))
SCROLL[[HOME, BROWSE, SEARCH, RECOMMENDATIONS]] = 8.5, 9.5, 5.5, 8.0
PHONE_SCROLL = 0.78
DEPTH_MAX = WIDTH - 1

FOUND_AT_CUMULATIVE = np.cumsum([0.75, 0.17, 0.08])  # rank of the wanted film in a search
SHOWN_AT = 4  # a viral film is put at one of the first four ranks

# Films on a screen, by device: three or four kinds of screen each.
PHONE_SCREENS, OTHER_SCREENS = np.array([2, 3, 4, 4]), np.array([5, 6, 8, 10])


class VisitStream:
    """Numbers of the draws below a list's key; films are below ``SLOT + rank``. Number 11 is the pause after it."""

    PAGE, CATEGORY, DEPTH, VARIANT, ANCHOR, ANCHOR_ELSE, RANK, BURST, RANDOM, RANDOM_START, RANDOM_STEP = range(11)
    SWITCH, INTEREST, INTEREST_ELSE, FAVOURITE, FAVOURITE_WHICH = range(12, 17)
    SLOT = 64


@dataclass(frozen=True, slots=True)
class SessionContext:
    """The sessions of some episodes, in order of episode and time.

    Attributes:
        episode: Place of the episode in its block (int64).
        second: Whether it is the episode's second session (bool).
        key: Below it, everything about the session is drawn (uint64).
        lists: Number of lists (int64).
        referrer: Code (uint8).
        entry: Way of entry, a place in ``ENTRY_REFERRER`` (int64).
        screen: Films on a screen (int64).
    """

    episode: NDArray[np.int64]
    second: NDArray[np.bool_]
    key: U64
    lists: NDArray[np.int64]
    referrer: NDArray[np.uint8]
    entry: NDArray[np.int64]
    screen: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class ListVisits:
    """The lists that sessions look at, in order of session and time.

    Attributes:
        session: Place of the session (int64).
        key: Below it, everything about the visit is drawn (uint64).
        page: Code; the film's page for a landing (uint8).
        interest: The segment of taste that the person is interested in (int64).
        pools: The pools of the list (int64[n, 3]).
        list_key: Its key: equal keys are the same list (uint64).
        tastes: First and second taste of the person (int64[n, 2]).
        depth: Number of films the person is ready to look at (int64).
        put: A film put into the list by a search or by going viral, or the film landed on; -1 for none (int32).
        put_rank: The rank at which it stands, from 1 (int64).
        searched: Whether that film is what the person searched for (bool).
        viral: Whether it is going viral (bool).
        random: Whether the list is in random order (bool).
        pause_ms: Time from its last event to the next list, if there is one (int64).
    """

    session: NDArray[np.int64]
    key: U64
    page: NDArray[np.uint8]
    interest: NDArray[np.int64]
    pools: NDArray[np.int64]
    list_key: U64
    tastes: NDArray[np.int64]
    depth: NDArray[np.int64]
    put: NDArray[np.int32]
    put_rank: NDArray[np.int64]
    searched: NDArray[np.bool_]
    viral: NDArray[np.bool_]
    random: NDArray[np.bool_]
    pause_ms: NDArray[np.int64]

    def knows(self, visit: NDArray[np.int64], segment: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether films of these segments are of the lasting taste of the person of each visit."""
        known: NDArray[np.bool_] = (self.tastes[:, 0][visit] == segment) | (self.tastes[:, 1][visit] == segment)
        return known


def session_contexts(episodes: Episodes) -> SessionContext:
    """The sessions of some episodes."""
    count = 1 + (episodes.second > 0).astype(np.int64)
    episode = np.repeat(np.arange(len(episodes)), count)
    second = np.zeros(len(episode), bool)
    second[1:] = episode[1:] == episode[:-1]
    key = episodes.key[episode]
    key[second] = second_key(key[second])
    entry = pick(ENTRY_CUMULATIVE, draw(key, SessionStream.ENTRY))
    kind = (child(key, SessionStream.SCREEN) & np.uint64(3)).astype(np.int64)
    phone = episodes.device[episode] == MOBILE
    return SessionContext(
        episode=episode,
        second=second,
        key=key,
        lists=np.where(second, episodes.second[episode], episodes.first[episode]).astype(np.int64),
        referrer=ENTRY_REFERRER[entry],
        entry=entry,
        screen=np.where(phone, PHONE_SCREENS[kind], OTHER_SCREENS[kind]),
    )


def tastes_of(person: U64, taste: Taste) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First and second taste of people: the segments they come back to."""
    cumulative = np.cumsum(taste.segment_share)
    return pick(cumulative, draw(person, PersonStream.FIRST_TASTE)), pick(
        cumulative, draw(person, PersonStream.SECOND_TASTE)
    )


def liked(lists: RankedLists, segment: NDArray[np.int64], u: F64) -> NDArray[np.int64]:
    """A film for each segment, drawn by how much the segment likes it, of those that are there."""
    k, n = lists.anchors.shape
    stacked = (lists.anchors + np.arange(k)[:, None]).ravel()
    # A sum of shares may end a rounding error below 1: never let a draw fall into the next segment's row.
    film: NDArray[np.int64] = np.minimum(np.searchsorted(stacked, segment + u) - segment * n, n - 1)
    return film


def list_visits(
    episodes: Episodes,
    context: SessionContext,
    taste: Taste,
    lists: RankedLists,
    *,
    bursts: list[Burst],
    settings: WorldSettings,
    placed: tuple[int, int] | None = None,
) -> ListVisits:
    """The lists each session looks at; a film may be placed at a rank of all home lists in which nothing else is put."""
    session, number, key, page = _sequence(context)
    episode = context.episode[session]
    person, bot = episodes.person[episode], episodes.bot[episode]
    start_ms = episodes.start_ms[episode]
    first_taste, second_taste = (column[episode] for column in tastes_of(episodes.person, taste))

    changes = (number == 0) | (draw(key, VisitStream.SWITCH) >= settings.interest_lasts)
    begins = np.maximum.accumulate(np.where(changes, np.arange(len(key)), 0))
    interest = _interests(key, person, start_ms, (first_taste, second_taste), taste=taste, settings=settings)[begins]

    begun = draw(key[begins], VisitStream.ANCHOR_ELSE)
    place = np.arange(len(key))
    again = (begins == place) | (draw(key, VisitStream.ANCHOR) < SAME_ANCHOR)
    anchor = liked(lists, interest, np.where(again, begun, draw(key, VisitStream.ANCHOR_ELSE)))
    favourite = _favourites(person, key, first_taste, lists)
    at_first = (begins == place - number) & (draw(context.key, SessionStream.ANCHOR) < FAVOURITE_ANCHOR)[session]
    anchor = np.where(at_first & again, favourite[begins], anchor)
    # A poller asks for the home list, a crawler and a scraper for one category after the other.
    page = np.where(bot == POLLER, HOME, np.where(bot > 0, BROWSE, page)).astype(np.uint8)
    about = _about(key, page, interest, anchor, favourite, segments=len(lists.related), bot=bot)
    day = (start_ms / DAY_MS + draw(person, PersonStream.LIST)).astype(np.int64)
    list_key = list_keys(person, page.astype(np.int64), about, day)
    pools = list_pools(list_key, page, about, (first_taste, second_taste), lists)

    landing = page == DETAIL
    random = (draw(key, VisitStream.RANDOM) < settings.random_lists) & ~landing & (bot == 0)
    viral = pick_burst(bursts, start_ms, draw(key, VisitStream.BURST), (first_taste, second_taste), taste.segment)
    searched = ((page == SEARCH) & (viral < 0) & ~random) | landing
    put = np.where(random | (bot > 0), -1, np.where(landing & (viral >= 0), viral, np.where(searched, anchor, viral)))
    u = draw(key, VisitStream.RANK)
    put_rank = 1 + np.where(searched, pick(FOUND_AT_CUMULATIVE, u), (u * SHOWN_AT).astype(np.int64))
    if placed is not None:
        here = (page == HOME) & (put < 0) & ~random & (bot == 0)
        put, put_rank = np.where(here, placed[0], put), np.where(here, placed[1], put_rank)
    depth = _depth(key, page, episodes.device[episode])
    length = np.where(random, len(lists.present), lists.lengths(pools))
    return ListVisits(
        session=session,
        key=key,
        page=page,
        interest=interest,
        pools=pools,
        list_key=list_key,
        tastes=np.stack([first_taste, second_taste], axis=1),
        depth=np.where(landing, 1, np.minimum(depth, np.maximum(length - 1, 1))),
        put=put.astype(np.int32),
        put_rank=np.where(landing, 1, put_rank),
        searched=searched,
        viral=viral >= 0,
        random=random,
        pause_ms=pauses_ms(key, episodes.pace[episode], _steady(episodes, settings)[episode], settings),
    )


def _steady(episodes: Episodes, settings: WorldSettings) -> NDArray[np.bool_]:
    steady: NDArray[np.bool_] = (episodes.bot > 0) | episodes.monster | settings.round_the_clock
    return steady


def looks(episodes: Episodes) -> NDArray[np.int64]:
    """How many films each episode means to look at: known before anything else of it is worked out."""
    if len(episodes) == 0:
        return np.zeros(0, np.int64)
    context = session_contexts(episodes)
    session, _, key, page = _sequence(context)
    episode = context.episode[session]
    depth = _depth(key, page, episodes.device[episode])
    depth = np.where(page == DETAIL, 1, depth)
    total: NDArray[np.int64] = np.bincount(episode, depth, len(episodes)).astype(np.int64)
    return total


def _sequence(context: SessionContext) -> tuple[NDArray[np.int64], NDArray[np.int64], U64, NDArray[np.uint8]]:
    """Of each list: place of its session, number in the session, key, and page."""
    session = np.repeat(np.arange(len(context.lists)), context.lists)
    number = np.arange(len(session)) - np.repeat(np.cumsum(context.lists) - context.lists, context.lists)
    key = visit_keys(context.key[session], number)
    page = LATER_PAGE[pick(LATER_CUMULATIVE, draw(key, VisitStream.PAGE))]
    first = np.flatnonzero(number == 0)
    u = draw(context.key, SessionStream.LANDING)
    ways = (u[:, None] > FIRST_CUMULATIVE[context.entry]).sum(axis=1)
    page[first] = FIRST_PAGES[np.minimum(ways, len(FIRST_PAGES) - 1)]
    return session, number, key, page


def _depth(key: U64, page: NDArray[np.uint8], device: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Number of films that each visit is ready to look at: exponential, cut where the longest list ends without a heap there."""
    scroll = SCROLL[page] * np.where(device == MOBILE, PHONE_SCROLL, 1.0) + 1e-9
    within = -np.expm1(-(DEPTH_MAX - 1) / scroll)
    depth: NDArray[np.int64] = 1 + (scroll * -np.log1p(-draw(key, VisitStream.DEPTH) * within)).astype(np.int64)
    return depth


def _interests(
    key: U64,
    person: U64,
    start_ms: NDArray[np.int64],
    tastes: tuple[NDArray[np.int64], NDArray[np.int64]],
    *,
    taste: Taste,
    settings: WorldSettings,
) -> NDArray[np.int64]:
    """The interest that would begin with each list."""
    u, other = draw(key, VisitStream.INTEREST), draw(key, VisitStream.INTEREST_ELSE)
    k = len(taste.segment_share)
    cumulative = np.cumsum(taste.daypart_share, axis=1) + np.arange(len(taste.daypart_share))[:, None]
    part = DAYPART_OF_HOUR[local_hour(settings, person, start_ms)]
    by_hour = np.minimum(np.searchsorted(cumulative.ravel(), part + other) - part * k, k - 1)
    return np.select(
        [u < FIRST_TASTE, u < FIRST_TASTE + SECOND_TASTE, u < FIRST_TASTE + SECOND_TASTE + BY_HOUR],
        [tastes[0], tastes[1], by_hour],
        default=pick(np.cumsum(taste.segment_share), other),
    )


def interest_law(taste: Taste, tastes: tuple[int, int], daypart: int) -> F64:
    """Chance of each segment when an interest begins, for a person of two tastes in a part of the day (float64[k])."""
    law: F64 = BY_HOUR * taste.daypart_share[daypart] + (1 - FIRST_TASTE - SECOND_TASTE - BY_HOUR) * taste.segment_share
    law[tastes[0]] += FIRST_TASTE
    law[tastes[1]] += SECOND_TASTE
    return law


def _favourites(person: U64, key: U64, first_taste: NDArray[np.int64], lists: RankedLists) -> NDArray[np.int64]:
    """For each list one of its person's favourites: a few films of the first taste."""
    which = (draw(key, VisitStream.FAVOURITE) * FAVOURITES).astype(np.int64)
    return liked(lists, first_taste, uniform(child(child(person, PersonStream.FAVOURITES), which)))


def _about(
    key: U64,
    page: NDArray[np.uint8],
    interest: NDArray[np.int64],
    anchor: NDArray[np.int64],
    favourite: NDArray[np.int64],
    *,
    segments: int,
    bot: NDArray[np.uint8],
) -> NDArray[np.int64]:
    """What each list is about: nothing at home, a category's segment, the film searched for, or one of the favourites."""
    u = draw(key, VisitStream.CATEGORY)
    # Above OWN_CATEGORY the rest of the same draw, stretched, picks any category.
    other = np.minimum(((u - OWN_CATEGORY) / (1 - OWN_CATEGORY) * segments).astype(np.int64), segments - 1)
    category = np.where(u < OWN_CATEGORY, interest, other)
    category = np.where(bot > 0, np.minimum((u * segments).astype(np.int64), segments - 1), category)
    return np.select(
        [page == HOME, page == BROWSE, page == RECOMMENDATIONS],
        [np.zeros(len(key), np.int64), category, favourite],
        default=anchor,
    )


def list_pools(
    list_key: U64,
    page: NDArray[np.uint8],
    about: NDArray[np.int64],
    tastes: tuple[NDArray[np.int64], NDArray[np.int64]],
    lists: RankedLists,
) -> NDArray[np.int64]:
    """The three pools of each list."""
    variant = (list_key & np.uint64(TASTE_VARIANTS - 1)).astype(np.int64)
    by_category = lists.category + (about * CATEGORY_VARIANTS + variant % CATEGORY_VARIANTS) * 3
    first_row = np.where(page == BROWSE, by_category, lists.near + about * 3)
    pools = np.stack([first_row, first_row + 1, first_row + 2], axis=1)
    home = np.flatnonzero(page == HOME)
    one, two, variant = tastes[0][home], tastes[1][home], variant[home]
    two = np.where(two == one, lists.related[one], two)
    pools[home, 0] = POPULAR_POOL
    pools[home, 1] = lists.taste + one * TASTE_VARIANTS + variant
    # A world of one segment has no second taste: the pool of a taste stands once.
    pools[home, 2] = np.where(two == one, EMPTY_POOL, lists.second + two * TASTE_VARIANTS + variant)
    return pools
