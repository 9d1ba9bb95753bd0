"""From lists to impressions: what stands on the screens, what is opened, what is left.

A list comes in screens of several films. All films of a screen appear at once; the person looks, opens what pleases, and scrolls on until the scroll
budget is spent or a film was found worth staying with (the cascade of Craswell et al., WSDM 2008). A film is opened with probability ``attention(rank)
* appeal(interest, film) * appetite(person)``: attention falls with rank even when the order is random (exponent 0.6), and since the ranker puts what
is liked on top, click-through falls faster than that in its lists (AOL 2006: about 1.1). Some films are scrolled past unseen, and some people come back up
to a film of the screen before.

Appetite differs between people and between films. A film that was opened in the session is hardly ever opened from a list again.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clickreel.simulate.draws import U64, Purpose, bell, child, root
from clickreel.simulate.list_visits import (
    DEPTH_MAX,
    DETAIL,
    POLLER,
    SCRAPER,
    ListVisits,
    SessionContext,
    VisitStream,
)
from clickreel.simulate.people import SessionStream
from clickreel.simulate.population import PersonStream
from clickreel.simulate.ranked_lists import WIDTH, RankedLists
from clickreel.simulate.settings import WorldSettings
from clickreel.simulate.taste import Taste
from clickreel.simulate.traffic import Episodes

# Click-through: attention(rank) * appeal, calibrated to the bands of `clickreel realism`.
ATTENTION = np.arange(1, DEPTH_MAX + 2, dtype=np.float32) ** np.float32(-0.6)
CLICK = 0.65
APPEAL_EXPONENT = 0.58
APPEAL_MIN, APPEAL_MAX = 0.03, 2.2
CLICK_MAX = 0.9
SEARCHED_CLICK = 0.45  # of the film that was searched for, at rank 1
VIRAL_CLICK = 0.40
PERSON_APPETITE, SESSION_APPETITE, FILM_APPETITE = 0.28, 0.50, 0.20  # spread of the logarithm
KNOWN = 0.75  # what is of the person's lasting taste stands in their lists day after day
BOT_CLICK = 0.10
_SCREEN = 128  # moments in a screen: more than films in a list

# Shares of 2**16: each is compared with 16 bits of a hash.
STOP = round(0.22 * 65536)  # having opened a film, leave its list
BACK_UP = round(0.10 * 65536)  # open a film only after having seen the next screen
OPEN_AGAIN = round(0.02 * 65536)  # a film that was opened in the session, from a list
_LOW16 = np.uint64(0xFFFF)
# Parts of the 64 bits of a look: 28 decide about a click, 10 about scrolling past, 10 about saving straight from the list, 16 how long.
_CLICK_SHIFT, _SKIP_SHIFT, _DIRECT_SHIFT = np.uint64(36), np.uint64(26), np.uint64(16)
_TEN = np.uint64(1023)
SKIP = 40  # of 1024
DIRECT = 1  # of 1024


@dataclass(frozen=True, slots=True)
class ClickModel:
    """What decides whether a film is opened.

    Attributes:
        odds: Probability of a click at rank 1 before bounds, of each segment (row) on each film (column) (float32[k, n]).
        segment: The segment of taste of each film (int64[n]).
        factor: Scales all of it.
    """

    odds: NDArray[np.float32]
    segment: NDArray[np.int64]
    factor: float


def click_model(settings: WorldSettings, taste: Taste) -> ClickModel:
    """The click model of a world."""
    best = np.sort(taste.log_liking, axis=1)[:, -max(1, min(8, taste.log_liking.shape[1])) :].mean(
        axis=1, keepdims=True
    )
    relative = np.exp(APPEAL_EXPONENT * (taste.log_liking - best))
    films = child(root(settings.seed, Purpose.TASTE, 1), np.arange(taste.log_liking.shape[1]))
    appetite = np.exp(FILM_APPETITE * bell(films))
    odds = CLICK * np.clip(relative, APPEAL_MIN, APPEAL_MAX) * appetite
    return ClickModel(odds.astype(np.float32), taste.segment, settings.click_factor)


def strides(count: int) -> NDArray[np.int64]:
    """Up to 64 steps by which a walk around ``count`` films meets each of them once."""
    steps = np.arange(1, count + 1)
    coprime = steps[np.gcd(steps, count) == 1]
    chosen: NDArray[np.int64] = coprime[np.linspace(0, len(coprime) - 1, min(64, len(coprime))).astype(np.int64)]
    return chosen


@dataclass(frozen=True, slots=True)
class Impressions:
    """The films that appear on the screens of lists, in order of visit and rank; a film landed on is one without a look.

    Attributes:
        visit: Place of the visit in its block (int64).
        rank: Rank in the list, from 1 (int64).
        screen: Screen of the list, from 0 (int64).
        film: Place in the catalogue (int32).
        key: Below it, everything about the look is drawn (uint64).
        acts: Rows of what is opened or saved, in the order of happening (int64[m]).
        act_screen: The screen of the visit on which that happens (int64[m]).
        opened: Whether the act opens the film's page; else it is saved straight from the list (bool[m]).
        chain: 64 random bits for what follows an act (uint64[m]).
    """

    visit: NDArray[np.int64]
    rank: NDArray[np.int64]
    screen: NDArray[np.int64]
    film: NDArray[np.int32]
    key: U64
    acts: NDArray[np.int64]
    act_screen: NDArray[np.int64]
    opened: NDArray[np.bool_]
    chain: U64


def impressions(
    visits: ListVisits, context: SessionContext, episodes: Episodes, lists: RankedLists, model: ClickModel
) -> Impressions:
    """The films that are shown and which of them are opened."""
    depth = visits.depth
    visit = np.repeat(np.arange(len(depth)), depth)
    rank = np.arange(1, len(visit) + 1) - (np.cumsum(depth) - depth)[visit]
    film, put = _films(visits, lists, visit, rank)
    key = child(visits.key[visit], rank + VisitStream.SLOT)
    size = context.screen[visits.session]
    screen = (rank - 1) // size[visit]
    bot = episodes.bot[context.episode[visits.session]] > 0
    landing = visits.page == DETAIL

    odds = _odds(visits, context, episodes, (visit, rank, film, put), model)
    limit = (np.minimum(odds, np.float32(CLICK_MAX)) * np.float32(2.0**28)).astype(np.uint64)
    clicked = ((key >> _CLICK_SHIFT) < limit) | landing[visit]
    rows = np.flatnonzero(clicked)
    chain = child(key[rows], 0)
    act_screen = screen[rows] + (((chain >> np.uint64(32)) & _LOW16) < BACK_UP)
    np.minimum(act_screen, ((depth - 1) // size)[visit[rows]], out=act_screen)
    moment = act_screen * _SCREEN + rank[rows]
    last = _last_moments(visit[rows], moment, ((chain & _LOW16) < STOP) & ~bot[visit[rows]], len(depth))
    keep = np.flatnonzero(moment <= last[visit[rows]])
    keep = keep[np.lexsort((moment[keep], visit[rows[keep]]))]
    keep = keep[_not_opened(visits.session[visit[rows[keep]]], film[rows[keep]], chain[keep])]
    rows, chain, act_screen = rows[keep], chain[keep], act_screen[keep]
    clicked[:] = False
    clicked[rows] = True

    seen = screen <= (last // _SCREEN)[visit]
    seen &= (((key >> _SKIP_SHIFT) & _TEN) >= SKIP) | clicked | ((rank - 1) % size[visit] == 0)
    direct = np.flatnonzero((((key >> _DIRECT_SHIFT) & _TEN) < DIRECT) & seen & ~clicked & ~(bot | landing)[visit])
    acts, act_screen = np.concatenate([rows, direct]), np.concatenate([act_screen, screen[direct]])
    chain = np.concatenate([chain, child(key[direct], 0)])
    order = np.lexsort((act_screen * _SCREEN + rank[acts], visit[acts]))
    return Impressions(
        visit=visit[seen],
        rank=rank[seen],
        screen=screen[seen],
        film=film[seen],
        key=key[seen],
        acts=(np.cumsum(seen) - 1)[acts[order]],
        act_screen=act_screen[order],
        opened=(np.arange(len(acts)) < len(rows))[order],
        chain=chain[order],
    )


def _odds(
    visits: ListVisits,
    context: SessionContext,
    episodes: Episodes,
    shown: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int32], NDArray[np.intp]],
    model: ClickModel,
) -> NDArray[np.float32]:
    """Chance of a click on each film that is shown: visit, rank, film, and the rows of those that were put in."""
    visit, rank, film, put = shown
    odds: NDArray[np.float32] = model.odds.ravel()[(visits.interest * model.odds.shape[1])[visit] + film]
    known = (visits.searched | visits.viral)[visit[put]]  # what was placed by hand is opened as anything else
    odds[put[known]] = np.where(visits.searched, np.float32(SEARCHED_CLICK), np.float32(VIRAL_CLICK))[visit[put[known]]]
    appetite = PERSON_APPETITE * bell(child(episodes.person, PersonStream.APPETITE))[context.episode]
    appetite += SESSION_APPETITE * bell(child(context.key, SessionStream.APPETITE))
    appetite = np.exp(appetite) * model.factor
    odds *= ATTENTION[rank - 1]
    odds *= appetite.astype(np.float32)[visits.session][visit]
    odds[visits.knows(visit, model.segment[film])] *= np.float32(KNOWN)
    bot = episodes.bot[context.episode[visits.session]]
    if bot.any():
        of_bot = bot[visit]
        odds[of_bot > 0] = 0.0
        odds[(of_bot == SCRAPER) | ((of_bot == POLLER) & (rank == 1))] = np.float32(BOT_CLICK)
    return odds


def _last_moments(
    visit: NDArray[np.int64], moment: NDArray[np.int64], stops: NDArray[np.bool_], visits: int
) -> NDArray[np.int64]:
    """The moment of each visit that ends it: nothing happens after it, and no screen is seen beyond it."""
    last = np.full(visits, 1 << 40)
    rows = np.flatnonzero(stops)
    rows = rows[np.lexsort((moment[rows], visit[rows]))]
    first = np.ones(len(rows), bool)
    first[1:] = visit[rows[1:]] != visit[rows[:-1]]
    last[visit[rows[first]]] = moment[rows[first]]
    return last


def _not_opened(session: NDArray[np.int64], film: NDArray[np.int32], chain: U64) -> NDArray[np.bool_]:
    """Which clicks, in order of happening, are the first on their film in the session, or one of the few that are not."""
    pair = (session << 32) | film
    order = np.argsort(pair, kind="stable")
    again = np.zeros(len(pair), bool)
    again[order[1:]] = pair[order[1:]] == pair[order[:-1]]
    return ~again | (((chain >> np.uint64(16)) & _LOW16) < OPEN_AGAIN)


def films_of_lists(visits: ListVisits, lists: RankedLists) -> NDArray[np.int32]:
    """The films of lists from rank 1 to their depth, one list after the other, as places in the catalogue."""
    visit = np.repeat(np.arange(len(visits.depth)), visits.depth)
    rank = np.arange(1, len(visit) + 1) - (np.cumsum(visits.depth) - visits.depth)[visit]
    return _films(visits, lists, visit, rank)[0]


def _films(
    visits: ListVisits, lists: RankedLists, visit: NDArray[np.int64], rank: NDArray[np.int64]
) -> tuple[NDArray[np.int32], NDArray[np.intp]]:
    """The film at each rank of each list, and the rows of the films that were put in."""
    depth = visits.depth
    drawn = np.flatnonzero(~visits.random & (visits.page != DETAIL))
    order = np.zeros((len(depth), WIDTH), np.uint8)
    order[drawn] = lists.draw(visits.list_key[drawn], visits.pools[drawn], visits.tastes[drawn])
    # Behind a film that was put in, the others move down by one.
    put_rank = np.where(visits.put >= 0, visits.put_rank, DEPTH_MAX + 2)
    put_rank_of = put_rank[visit]
    index = rank - 1 - (rank > put_rank_of)
    film = lists.at(visits.pools, visit, order[visit, index])
    put_of = visits.put[visit]
    # The film that was put in may stand in the list already: there, the spare one at the end takes its place.
    twice = np.flatnonzero(film == put_of)
    spare = (lists.lengths(visits.pools) - 1)[visit[twice]]
    film[twice] = lists.at(visits.pools, visit[twice], order[visit[twice], np.maximum(spare, 0)])
    put = np.flatnonzero(rank == put_rank_of)
    film[put] = put_of[put]
    chosen = np.flatnonzero(visits.random)
    if len(chosen):
        count = len(lists.present)
        steps = strides(count)
        start, step = np.zeros(len(depth), np.int64), np.zeros(len(depth), np.int64)
        start[chosen] = (child(visits.key[chosen], VisitStream.RANDOM_START) % np.uint64(count)).astype(np.int64)
        step[chosen] = steps[
            (child(visits.key[chosen], VisitStream.RANDOM_STEP) % np.uint64(len(steps))).astype(np.int64)
        ]
        rows = np.flatnonzero(visits.random[visit])
        film[rows] = lists.present[(start[visit[rows]] + step[visit[rows]] * rank[rows]) % count]
    return film, put
