"""From lists to events: examination by cascade, clicks, the funnel, and when each thing happens.

A person looks at a list from the top and goes on until the scroll budget is spent or a film was found worth staying with (the cascade of Craswell et al., WSDM 2008).
Each film that is looked at is a ``view``. It is opened with probability ``attention(rank) * appeal(mood, film)``: attention falls with
rank even when the order is random (exponent 0.6), and since the ranker puts what is liked on top, click-through falls faster than that in its lists (AOL 2006: about 1.1).
Then the funnel: ``detail_view``, perhaps ``watch_trailer``, perhaps ``add_to_watchlist``, perhaps the film's page once more.

Dwell times are Weibull with shape below 1 (Liu, White, Dumais, SIGIR 2010): most looks are brief, some are very long.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clickreel.contract import vocabulary
from clickreel.events import Events
from clickreel.simulate import ids
from clickreel.simulate.draws import U64, child, weibull_ms
from clickreel.simulate.list_visits import DEPTH_MAX, DETAIL, SessionContext, VisitDraw, Visits
from clickreel.simulate.ranked_lists import RankedLists
from clickreel.simulate.settings import WorldSettings
from clickreel.simulate.taste import Taste
from clickreel.simulate.traffic import MINUTE_MS, SILENCE_MS, Sessions, slack_ms

VIEW, DETAIL_VIEW, TRAILER, WATCHLIST = (
    vocabulary.EVENT_TYPES.index(name) for name in ("view", "detail_view", "watch_trailer", "add_to_watchlist")
)

# Click-through: attention(rank) * appeal, calibrated to the bands of `clickreel realism`.
ATTENTION = np.arange(1, DEPTH_MAX + 2, dtype=np.float32) ** np.float32(-0.6)
CLICK = 0.30
APPEAL_EXPONENT = 0.30
APPEAL_MIN, APPEAL_MAX = 0.12, 2.2
CLICK_MAX = 0.9
SEARCHED_CLICK = 0.45  # of the film that was searched for, at rank 1
VIRAL_CLICK = 0.40

# Shares of 2**16: each is compared with 16 bits of a hash.
STOP = round(0.30 * 65536)  # having opened a film, leave its list
TRAILER_SHARE = round(0.24 * 65536)
WATCHLIST_SHARE = round(0.055 * 65536)
AGAIN = round(0.035 * 65536)  # open the same film once more
DIRECT = round(0.0012 * 65536)  # save a film straight from the list

# Mean dwell in milliseconds, before the person's pace.
DWELL_SHAPE = 0.75
VIEW_MS = 5_500.0
DETAIL_MS = 35_000.0
TRAILER_MS = 60_000.0
WATCHLIST_MS = 12_000.0
NEXT_LIST_MS = 20_000.0
_GAP_MAX_MS = 25 * MINUTE_MS

_WEIBULL = weibull_ms(DWELL_SHAPE)
_LOW16 = np.uint64(0xFFFF)


def appeal(taste: Taste) -> NDArray[np.float32]:
    """Probability of a click at rank 1 before bounds, of each segment (row) on each film (column)."""
    best = np.sort(taste.log_liking, axis=1)[:, -max(1, min(8, taste.log_liking.shape[1])) :].mean(
        axis=1, keepdims=True
    )
    relative = np.exp(APPEAL_EXPONENT * (taste.log_liking - best))
    odds: NDArray[np.float32] = (CLICK * np.clip(relative, APPEAL_MIN, APPEAL_MAX)).astype(np.float32)
    return odds


def strides(count: int) -> NDArray[np.int64]:
    """Up to 64 steps by which a walk around ``count`` films meets each of them once."""
    steps = np.arange(1, count + 1)
    coprime = steps[np.gcd(steps, count) == 1]
    chosen: NDArray[np.int64] = coprime[np.linspace(0, len(coprime) - 1, min(64, len(coprime))).astype(np.int64)]
    return chosen


@dataclass(frozen=True, slots=True)
class Impressions:
    """The films that are looked at, in order of visit and rank.

    Attributes:
        visit: Place of the visit in its block (int64).
        rank: Rank in the list, from 1 (int64).
        film: Place in the catalogue (int32).
        key: Below it, everything about the slot is drawn (uint64).
        clicked: Whether the film is opened (bool).
        chain: 64 random bits for what follows a click, 0 elsewhere (uint64).
    """

    visit: NDArray[np.int64]
    rank: NDArray[np.int64]
    film: NDArray[np.int32]
    key: U64
    clicked: NDArray[np.bool_]
    chain: U64


def slots(
    visits: Visits, context: SessionContext, lists: RankedLists, appeals: NDArray[np.float32], settings: WorldSettings
) -> Impressions:
    """The films that are looked at and which of them are opened."""
    depth = visits.depth
    visit = np.repeat(np.arange(len(depth)), depth)
    rank = np.arange(1, len(visit) + 1) - np.repeat(np.cumsum(depth) - depth, depth)
    film, put = _films(visits, lists, visit, rank)
    key = child(visits.key[visit], rank + VisitDraw.SLOT)

    mood = context.mood[visits.session]
    odds = appeals.ravel()[np.repeat(mood * appeals.shape[1], depth) + film]
    odds[put] = np.where(visits.searched, np.float32(SEARCHED_CLICK), np.float32(VIRAL_CLICK))[visit[put]]
    odds *= ATTENTION[rank - 1]
    odds *= np.float32(settings.click_factor)
    clicked = (key >> np.uint64(32)) < (np.minimum(odds, np.float32(CLICK_MAX)) * np.float32(2.0**32)).astype(np.uint64)

    chain = np.zeros(len(key), np.uint64)
    rows = np.flatnonzero(clicked)
    chain[rows] = child(key[rows], 0)
    # The first click that is followed by leaving ends the list.
    leaves = rows[(chain[rows] & _LOW16) < STOP]
    last = depth.copy()
    first_of_visit = np.ones(len(leaves), bool)
    first_of_visit[1:] = visit[leaves[1:]] != visit[leaves[:-1]]
    leaves = leaves[first_of_visit]
    last[visit[leaves]] = rank[leaves]
    seen = rank <= np.repeat(last, depth)
    return Impressions(visit[seen], rank[seen], film[seen], key[seen], clicked[seen], chain[seen])


def _films(
    visits: Visits, lists: RankedLists, visit: NDArray[np.int64], rank: NDArray[np.int64]
) -> tuple[NDArray[np.int32], NDArray[np.intp]]:
    """The film at each rank of each list, and the slots of the films that were put in."""
    width = lists.films.shape[1]
    depth = visits.depth
    has_put = visits.put >= 0
    place = np.repeat(visits.row * width - 1, depth) + rank
    # Behind a film that was put in, the others move down by one.
    put_rank = np.where(has_put, visits.put_rank, DEPTH_MAX + 2)
    put_rank_of = np.repeat(put_rank, depth)
    place -= rank > put_rank_of
    films = lists.films.ravel()
    film = films[place]
    put_of = np.repeat(visits.put, depth)
    # The film that was put in may stand in the list already: there, the spare one at the end takes its place.
    twice = np.flatnonzero(film == put_of)
    film[twice] = films[(place[twice] // width) * width + width - 1]
    put = np.flatnonzero(rank == put_rank_of)
    film[put] = put_of[put]
    rows = np.flatnonzero(np.repeat(visits.random, depth))
    if len(rows):
        count = len(lists.present)
        steps = strides(count)
        chosen = visits.random.nonzero()[0]
        start, step = np.zeros(len(depth), np.int64), np.zeros(len(depth), np.int64)
        start[chosen] = (child(visits.key[chosen], VisitDraw.RANDOM_START) % np.uint64(count)).astype(np.int64)
        step[chosen] = steps[
            (child(visits.key[chosen], VisitDraw.RANDOM_STEP) % np.uint64(len(steps))).astype(np.int64)
        ]
        film[rows] = lists.present[(start[visit[rows]] + step[visit[rows]] * rank[rows]) % count]
    return film, put


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where the events of slots stand in the block, and what the rare ones are.

    Attributes:
        count: Events per slot.
        detail, trailer, watchlist, again, direct: Places of these events.
        clicked: The slots behind ``detail``.
    """

    count: NDArray[np.int64]
    clicked: NDArray[np.intp]
    detail: NDArray[np.int64]
    trailer: NDArray[np.int64]
    watchlist: NDArray[np.int64]
    again: NDArray[np.int64]
    direct: NDArray[np.int64]


def _layout(slot: Impressions, bot_of_slot: NDArray[np.bool_]) -> _Layout:
    clicked = np.flatnonzero(slot.clicked)
    chain = slot.chain[clicked]
    human = ~bot_of_slot[clicked]
    trailer = (((chain >> np.uint64(16)) & _LOW16) < TRAILER_SHARE) & human
    watchlist = (((chain >> np.uint64(32)) & _LOW16) < WATCHLIST_SHARE) & human
    again = ((chain >> np.uint64(48)) < AGAIN) & human
    direct = np.flatnonzero((((slot.key >> np.uint64(16)) & _LOW16) < DIRECT) & ~slot.clicked & ~bot_of_slot)
    count = np.ones(len(slot.visit), np.int64)
    count[clicked] += 1 + trailer.astype(np.int64) + watchlist + again
    count[direct] += 1
    first = np.cumsum(count) - count
    detail = first[clicked] + 1
    after_trailer = detail + trailer
    after_watchlist = after_trailer + watchlist
    return _Layout(
        count=count,
        clicked=clicked,
        detail=detail,
        trailer=after_trailer[trailer],
        watchlist=after_watchlist[watchlist],
        again=(after_watchlist + again)[again],
        direct=first[direct] + 1,
    )


def _gaps(
    slot: Impressions, layout: _Layout, pace: NDArray[np.float32], visits_end: NDArray[np.int64], visit_key: U64
) -> NDArray[np.float32]:
    """Milliseconds from each event to the one after it.

    Args:
        slot: The slots.
        layout: Their events.
        pace: Factor per slot.
        visits_end: Place of the last event of each visit.
        visit_key: Key of each visit.
    """
    looked = _WEIBULL[slot.key & _LOW16] * pace
    looked *= np.float32(VIEW_MS)
    gap = np.repeat(looked, layout.count)
    pace_of_event = np.repeat(pace, layout.count)
    key = np.repeat(slot.chain, layout.count)
    stays = ((layout.detail, DETAIL_MS, 1), (layout.trailer, TRAILER_MS, 2), (layout.watchlist, WATCHLIST_MS, 3),
             (layout.again, DETAIL_MS, 4))  # fmt: skip
    for place, mean, number in stays:
        gap[place] = _WEIBULL[child(key[place], number) & _LOW16] * pace_of_event[place] * np.float32(mean)
    # Saved straight from the list: the look goes on as long again.
    gap[visits_end] += (
        _WEIBULL[child(visit_key, VisitDraw.SLOT) & _LOW16] * pace_of_event[visits_end] * np.float32(NEXT_LIST_MS)
    )
    return gap


def generate_events(
    sessions: Sessions,
    context: SessionContext,
    visits: Visits,
    slot: Impressions,
    *,
    film_id: NDArray[np.int32],
    settings: WorldSettings,
) -> tuple[Events, NDArray[np.int64]]:
    """The events of whole sessions, in order of session and time, and the visit of each."""
    session_of_slot = visits.session[slot.visit]
    layout = _layout(slot, sessions.bot[session_of_slot])
    ends = np.cumsum(layout.count)
    slots_per_visit = np.bincount(slot.visit, minlength=len(visits.key))
    visit_ends = ends[np.cumsum(slots_per_visit) - 1]
    events_per_visit = np.diff(visit_ends, prepend=0)
    session_ends = visit_ends[np.cumsum(sessions.visits) - 1]
    events_per_session = np.diff(session_ends, prepend=0)
    first_of_session = session_ends - events_per_session

    gap = _gaps(slot, layout, context.pace[session_of_slot], visit_ends - 1, visits.key)
    longest = min(_GAP_MAX_MS, SILENCE_MS - 2 * MINUTE_MS - 2 * slack_ms(settings))
    gap_ms = np.minimum(gap, np.float32(longest)).astype(np.int64)
    np.maximum(gap_ms, 1, out=gap_ms)
    elapsed = np.cumsum(gap_ms) - gap_ms
    elapsed -= np.repeat(elapsed[first_of_session], events_per_session)
    ordinal = np.arange(len(elapsed)) - np.repeat(first_of_session, events_per_session)

    event_type = np.full(len(elapsed), VIEW, np.uint8)
    page = np.repeat(visits.page, events_per_visit)
    for place, code in (
        (layout.detail, DETAIL_VIEW),
        (layout.trailer, TRAILER),
        (layout.watchlist, WATCHLIST),
        (layout.again, DETAIL_VIEW),
    ):
        event_type[place] = code
        page[place] = DETAIL
    event_type[layout.direct] = WATCHLIST

    happened = elapsed <= np.repeat(sessions.limit_ms, events_per_session)
    happened &= ordinal < ids.ORDINALS_PER_SESSION
    of_day = np.repeat(sessions.of_day.astype(np.int64) * ids.ORDINALS_PER_SESSION, events_per_session)
    events = Events(
        ts_ms=elapsed + np.repeat(sessions.start_ms, events_per_session),
        user=np.repeat(sessions.user, events_per_session),
        ordinal=(ordinal + of_day).astype(np.uint16),
        session=np.repeat(sessions.number, events_per_session),
        film=np.repeat(film_id[slot.film], layout.count),
        event_type=event_type,
        page=page,
        position=np.repeat(slot.rank.astype(np.int16), layout.count),
        device=np.repeat(context.device, events_per_session),
        referrer=np.repeat(visits.referrer, events_per_visit),
    )
    visit = np.repeat(np.arange(len(visits.key)), events_per_visit)
    if happened.all():
        return events, visit
    return events.take(happened), visit[happened]
