"""How well the next film can be ranked at all: by somebody who knows the simulator's model, but none of its draws to come.

The oracle knows what a platform could know at best: the laws by which people click, who is a bot, each person's lasting traits (two tastes, eight favourites,
appetite), the order of every list it shows, what each list is about (the category, the film searched for), which films go viral, and all events of
the session so far. It does not know the interest of the session, its appetite, how far the person will scroll, or what they will do next.

The hidden interest (which segment of taste) and the appetite of the session (seven steps of equal chance) are filtered exactly on that grid, list by list:
what each list is about, what was opened in it and what was left. The next film is then, by its chance,

* one whose page is opened once more: exact;
* one further down in the list that is open: exact given the grid, but for the tenth of the clicks that is made one screen late;
* one of the lists after it: ``SAMPLES`` lists are drawn from the posterior, each is ranked through in closed form; the film searched for is summed
  over its whole law. All later lists are taken to be like the next one.

So the posterior is exact up to the grid, and the prediction is Monte Carlo in the lists to come. What it reaches is a little under the best that is possible.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from clickreel.contract.vocabulary import EVENT_TYPES
from clickreel.insight.recommenders.click_sessions import I64, NextItemSplit
from clickreel.insight.recommenders.protocol import F64
from clickreel.simulate import browsing
from clickreel.simulate.draws import bell, child, draw, uniform
from clickreel.simulate.list_visits import (
    BROWSE,
    DEPTH_MAX,
    DETAIL,
    FAVOURITE_ANCHOR,
    FAVOURITES,
    FOUND_AT_CUMULATIVE,
    HOME,
    LATER_CUMULATIVE,
    LATER_PAGE,
    OWN_CATEGORY,
    PHONE_SCROLL,
    POLLER,
    RECOMMENDATIONS,
    SAME_ANCHOR,
    SCRAPER,
    SCROLL,
    SEARCH,
    SHOWN_AT,
    ListVisits,
    interest_law,
    liked,
    list_pools,
)
from clickreel.simulate.normal import normal_quantile
from clickreel.simulate.pauses import EPISODE_MAX_MS
from clickreel.simulate.people import MOBILE
from clickreel.simulate.population import PersonStream
from clickreel.simulate.ranked_lists import CATEGORY_VARIANTS, RankedLists, list_keys
from clickreel.simulate.rhythm import DAY_MS, local_hour
from clickreel.simulate.taste import DAYPART_OF_HOUR, pick
from clickreel.simulate.timeline import Expansion
from clickreel.simulate.traffic import lists_chances
from clickreel.simulate.trends import pick_burst
from clickreel.simulate.world import World

SAMPLES = 256  # lists drawn for a question
_STEPS = 7  # of a session's appetite
_LISTS_MAX = 40
_BOT_GOES_ON = 0.95
_VIEW, _DETAIL_VIEW = EVENT_TYPES.index("view"), EVENT_TYPES.index("detail_view")
_STOPS, _AGAIN = browsing.STOP / 65536, browsing.OPEN_AGAIN / 65536
_OWN, _TWO_BACK = 2 / 8, 1 / 8  # whose page is opened once more


@dataclass
class _Session:
    """A session as far as it has been followed.

    Attributes:
        weight: Posterior of (appetite, interest) (float64[steps, k]).
        opened: Films opened, as places in the catalogue, in order, without pages opened once more.
        landed: Whether the first of them was landed on.
        searched: The film searched for last, and how many lists ago; -1 for none.
        favourite: The favourite of the last list of recommendations, and how many lists ago; -1 for none.
    """

    weight: F64
    opened: list[int]
    landed: bool = False
    searched: tuple[int, int] = (-1, 0)
    favourite: tuple[int, int] = (-1, 0)


@dataclass(frozen=True)
class _ListSeen:
    """How much of a list has been seen and opened, in order of events.

    Attributes:
        rank: Rank of what was opened last.
        shown: Films that stand on the screens seen.
        screen: Screen on which that was opened, from 0.
        clicked: Ranks opened.
    """

    rank: int
    shown: int
    screen: int
    clicked: tuple[int, ...]


@dataclass(frozen=True)
class _OpenList:
    """The list that is open.

    Attributes:
        visit: Its place in the piece.
        number: Lists of the session before it.
        landing: Whether it is no list but the page of the film that the person came to.
        films: Its films in order, as far as anybody looks, as places in the catalogue.
        odds: Chance of a click on each for each interest, before the session's appetite (float64[k, films]).
        before: Films opened in the session before it.
    """

    visit: int
    number: int
    landing: bool
    films: I64
    odds: F64
    before: tuple[int, ...]


class NextFilmOracle:
    """Ranks the next film of sessions of a world by the world's own model.

    Args:
        world: The world.
        samples: Lists drawn for each question.
    """

    name = "oracle"

    def __init__(self, world: World, *, samples: int = SAMPLES) -> None:
        self._world, self.model, self.samples = world, world.model, samples
        film_id = world.model.catalogue.film_id
        self.place = np.zeros(int(film_id.max()) + 1, np.int64)
        self.place[film_id] = np.arange(len(film_id))
        z = normal_quantile((np.arange(_STEPS) + 0.5) / _STEPS)
        self.appetite: F64 = np.exp(browsing.SESSION_APPETITE * z)
        chance = lists_chances(world.settings, _LISTS_MAX)
        left = np.cumsum(chance[::-1])[::-1]  # at least so many
        self.goes_on: F64 = left[2:] / np.maximum(left[1:-1], 1e-12)

    def chances(self, split: NextItemSplit) -> Iterator[tuple[int, F64]]:
        """Each question that is of this world, with the chance that each item is the next one (float64[items], sum 1)."""
        clicks, film_id = split.clicks, self.model.catalogue.film_id
        name = (clicks.user[split.asked] << 42) | clicks.ts_ms[split.asked]
        order = np.argsort(name)
        place = np.minimum(np.searchsorted(clicks.ids, film_id), clicks.items - 1)
        there = clicks.ids[place] == film_id
        for piece in self._pieces(clicks.ts_ms[split.asked]):
            events = (piece.events.user.astype(np.int64) << 42) | piece.events.ts_ms
            at = np.minimum(np.searchsorted(name[order], events), len(name) - 1)
            is_asked = (name[order][at] == events) & (piece.events.event_type == _DETAIL_VIEW)
            asked = {int(row): int(order[at[row]]) for row in np.flatnonzero(is_asked)}
            for question, score in _Follower(self, piece, asked).answers():
                chance = np.bincount(place[there], score[there], clicks.items).astype(np.float64)
                yield question, normalised(chance)

    def _pieces(self, ts_ms: I64) -> Iterator[Expansion]:
        timeline = self._world.timeline
        for day in range(int(ts_ms.min()) // DAY_MS - 1, int(ts_ms.max()) // DAY_MS + 1):
            start_ms = max(day * DAY_MS, int(ts_ms.min()) - EPISODE_MAX_MS)
            if start_ms < (day + 1) * DAY_MS:
                yield from self.model.expand(timeline.episodes(start_ms, (day + 1) * DAY_MS))


class _Follower:
    """Follows the sessions of a piece of the timeline in which something is asked.

    Args:
        oracle: What does not change.
        piece: The piece.
        asked: Question by row of its events.
    """

    def __init__(self, oracle: NextFilmOracle, piece: Expansion, asked: dict[int, int]) -> None:
        self._oracle, self._piece, self._asked = oracle, piece, asked
        model = oracle.model
        self._settings, self._taste, self._clicks = model.settings, model.taste, model.clicks
        start_ms = int(piece.episodes.start_ms[0])
        self._lists: RankedLists = model.ranker.lists(model.trends.last_change_ms(start_ms))
        self._bursts = model.trends.bursts(start_ms, int(piece.episodes.start_ms[-1]) + 1)
        self._liking = np.diff(self._lists.anchors, axis=1, prepend=0.0)
        self._k = len(self._liking)

    def answers(self) -> Iterator[tuple[int, F64]]:
        """Each question, and the chance of each film (float64[films])."""
        session_of = self._piece.visits.session[self._piece.visit]
        for session in sorted({int(session_of[row]) for row in self._asked}):
            yield from self._session(session, *np.searchsorted(session_of, [session, session + 1]))

    def _session(self, session: int, low: int, high: int) -> Iterator[tuple[int, F64]]:
        self._meet(session)
        state = _Session(np.outer(np.full(_STEPS, 1 / _STEPS), self._prior), [])
        events, visits = self._piece.events, self._piece.visits
        first = int(np.searchsorted(visits.session, session))
        last = int(self._piece.visit[low:high].max())
        orders = self._orders(first, last)
        for visit in range(first, last + 1):
            number = visit - first
            if number:
                self._pass_on(state)
            self._learn_about(state, visit, self._about(visit), number)
            odds = self._odds_of_list(orders[number], visits, visit)
            here = _OpenList(visit, number, visits.page[visit] == DETAIL, orders[number], odds, tuple(state.opened))
            seen, shown = _ListSeen(0, 0, 0, ()), 0
            for row in (low + np.flatnonzero(self._piece.visit[low:high] == visit)).tolist():
                kind, rank = int(events.event_type[row]), int(events.position[row])
                if kind == _VIEW:
                    shown = max(shown, rank)
                if kind != _DETAIL_VIEW:
                    continue
                film = int(self._oracle.place[events.film[row]])
                again = film in state.opened
                if not again:
                    state.opened.append(film)
                    seen = _ListSeen(rank, shown, max(shown - 1, 0) // self._screen, (*seen.clicked, rank))
                    state.landed |= here.landing
                if row in self._asked:
                    likely = self._likelihood(here, seen, open_end=True)
                    now = replace(state, weight=normalised(state.weight * likely))
                    yield self._asked[row], self._chances(now, here, seen, again=again)
            seen = replace(seen, shown=shown)
            state.weight = normalised(state.weight * self._likelihood(here, seen, open_end=False))

    def _meet(self, session: int) -> None:
        """Who it is, and what is known of them."""
        piece = self._piece
        episode = int(piece.context.episode[session])
        whole = piece.episodes.take(slice(episode, episode + 1))
        person = whole.person
        self._person, self._start_ms, self._bot = person, whole.start_ms, int(whole.bot[0])
        self._screen = int(piece.context.screen[session])
        self._phone = int(whole.device[0]) == MOBILE
        self._day = (whole.start_ms / DAY_MS + draw(person, PersonStream.LIST)).astype(np.int64)
        tastes = piece.visits.tastes[np.searchsorted(piece.visits.session, session)]
        self._tastes = tastes
        part = int(DAYPART_OF_HOUR[local_hour(self._settings, person, whole.start_ms)][0])
        self._prior = interest_law(self._taste, (int(tastes[0]), int(tastes[1])), part)
        favourites = uniform(
            child(child(np.repeat(person, FAVOURITES), PersonStream.FAVOURITES), np.arange(FAVOURITES))
        )
        self._favourites = liked(self._lists, np.full(FAVOURITES, tastes[0]), favourites)
        known = (self._taste.segment == tastes[0]) | (self._taste.segment == tastes[1])
        self._person_odds = np.where(known, browsing.KNOWN, 1.0) * (
            float(np.exp(browsing.PERSON_APPETITE * bell(child(person, PersonStream.APPETITE)))[0])
            * self._clicks.factor
        )

    def _orders(self, first: int, last: int) -> list[I64]:
        """The films of each list of a session, in order, as far as anybody looks."""
        rows = np.arange(first, last + 1)
        visits = _take(self._piece.visits, rows)
        depth = np.where(visits.page == DETAIL, 1, _full_depth(visits, self._lists))
        film = browsing.films_of_lists(replace(visits, depth=depth), self._lists)
        return np.split(film.astype(np.int64), np.cumsum(depth)[:-1])

    def _about(self, visit: int) -> int:
        """Which category, or film, a list is about."""
        pool, page = int(self._piece.visits.pools[visit, 0]), self._piece.visits.page[visit]
        if page == BROWSE:
            return (pool - self._lists.category) // 3 // CATEGORY_VARIANTS
        return (pool - self._lists.near) // 3 if page != HOME else 0

    def _pass_on(self, state: _Session) -> None:
        """The next list: the interest may have changed."""
        state.weight = self._drifted(state.weight)
        state.searched = (state.searched[0], state.searched[1] + 1)
        state.favourite = (state.favourite[0], state.favourite[1] + 1)

    def _drifted(self, weight: F64) -> F64:
        lasts = self._settings.interest_lasts
        drifted: F64 = lasts * weight + (1 - lasts) * weight.sum(axis=1, keepdims=True) * self._prior
        return drifted

    def _learn_about(self, state: _Session, visit: int, about: int, number: int) -> None:
        """What a list is about tells what the person is interested in."""
        page = self._piece.visits.page[visit]
        if self._bot:
            return
        if page == BROWSE:
            likely = np.full(self._k, (1 - OWN_CATEGORY) / self._k)
            likely[about] += OWN_CATEGORY
            state.weight = normalised(state.weight * likely)
        elif page in (SEARCH, DETAIL):
            likely = self._liking[:, about].copy()
            if number == 0:
                likely = (1 - FAVOURITE_ANCHOR) * likely + FAVOURITE_ANCHOR * float((self._favourites == about).mean())
            same = self._same(state.searched)
            state.weight = normalised(state.weight * (same * (state.searched[0] == about) + (1 - same) * likely))
            state.searched = (about, 0)
        elif page == RECOMMENDATIONS:
            state.favourite = (about, 0)

    def _same(self, searched: tuple[int, int]) -> float:
        """Chance that a search is for the same film as the last one."""
        return SAME_ANCHOR * self._settings.interest_lasts ** searched[1] if searched[0] >= 0 else 0.0

    def _odds_of_list(self, films: I64, visits: ListVisits, visit: int) -> F64:
        """Chance of a click on each film of a list before appetite (float64[k, films])."""
        odds = self._clicks.odds[:, films].astype(np.float64)
        put_rank = int(visits.put_rank[visit])
        if visits.put[visit] >= 0 and put_rank <= len(films) and (visits.searched[visit] or visits.viral[visit]):
            odds[:, put_rank - 1] = browsing.SEARCHED_CLICK if visits.searched[visit] else browsing.VIRAL_CLICK
        return self._looked_at(odds, films)

    def _looked_at(self, odds: F64, films: I64) -> F64:
        """The same with attention and what is the person's; films are the last axis, by rank."""
        rank = np.arange(films.shape[-1])
        if self._bot:
            return np.where(rank == 0 if self._bot == POLLER else rank >= 0, browsing.BOT_CLICK, 0.0) + 0 * odds
        seen: F64 = odds * (browsing.ATTENTION[rank] * self._person_odds[films])
        return seen

    def _clicked(self, odds: F64) -> F64:
        """Chance of a click for each step of appetite (float64[steps, k, films])."""
        appetite = self._oracle.appetite[:, None, None]
        chance: F64 = np.minimum(odds * appetite, browsing.CLICK_MAX)
        return chance

    def _likelihood(self, here: _OpenList, seen: _ListSeen, *, open_end: bool) -> F64:
        """Likelihood of what was opened and left in a list, given appetite and interest (float64[steps, k]).

        Args:
            here: The list.
            seen: What was seen of it.
            open_end: Whether it is asked right after the last click: of what stands behind it nothing is known.
        """
        if here.landing or self._bot:
            return np.ones((_STEPS, self._k))
        chance = self._clicked(here.odds)
        chance[:, :, np.isin(here.films, here.before)] *= _AGAIN
        ranks = np.arange(1, len(here.films) + 1)
        clicked = np.isin(ranks, seen.clicked)
        passed = ~clicked & (ranks <= seen.shown)
        behind = passed & (ranks > seen.rank) & (ranks > seen.screen * self._screen)
        likely: F64 = chance[:, :, clicked].prod(axis=2)
        if not seen.clicked:
            behind = np.zeros_like(passed)
        likely = likely * (1 - chance[:, :, passed & ~behind]).prod(axis=2)
        if open_end or not seen.clicked:
            return likely
        stayed: F64 = (1 - chance[:, :, behind]).prod(axis=2)
        went_on = seen.shown > (seen.screen + 1) * self._screen
        likely *= stayed if went_on else _STOPS + (1 - _STOPS) * stayed
        return likely

    def _chances(self, state: _Session, here: _OpenList, seen: _ListSeen, *, again: bool) -> F64:
        """Chance that each film is the next one opened (float64[films of the catalogue])."""
        total = np.zeros(len(self._taste.segment))
        left = 1.0 - (0.0 if again or self._bot else self._open_again(state, total))
        state = replace(state, weight=left * state.weight)
        if not here.landing:
            state.weight = self._further_down(state, here, seen, total)
        goes_on = self._oracle.goes_on[min(here.number, len(self._oracle.goes_on) - 1)]
        self._later_lists(state, _BOT_GOES_ON if self._bot else float(goes_on), total)
        return total

    def _open_again(self, state: _Session, total: F64) -> float:
        """Add the chance that a page is opened once more; returns it."""
        opened = state.opened
        pages = [(opened[-1], len(opened) - 1, _OWN)]
        if len(opened) > 1:
            two = len(opened) - (3 if len(opened) > 2 else 2)
            pages += [(opened[two], two, _TWO_BACK), (opened[-2], len(opened) - 2, 1 - _OWN - _TWO_BACK)]
        chance = 0.0
        for film, place, share in pages:
            if not (state.landed and place == 0):
                total[film] += self._settings.page_again * share
                chance += self._settings.page_again * share
        return chance

    def _further_down(self, state: _Session, here: _OpenList, seen: _ListSeen, total: F64) -> F64:
        """Add the chances of the rest of the list; returns what is left of the posterior when nothing of it is opened."""
        stay = 1.0 if self._bot else 1 - _STOPS
        ranks = np.arange(seen.rank + 1, len(here.films) + 1)
        ranks = ranks[ranks > seen.screen * self._screen]
        if seen.shown < (seen.screen + 1) * self._screen:
            ranks = ranks[ranks <= seen.shown]  # the person looks no further
        chance = self._clicked(here.odds[:, ranks - 1])
        chance[:, :, np.isin(here.films[ranks - 1], state.opened)] *= _AGAIN
        reach = np.exp(-np.maximum(ranks - seen.shown, 0) / self._scroll(int(self._piece.visits.page[here.visit])))
        first = stay * reach * chance * _none_before(chance)
        np.add.at(total, here.films[ranks - 1], np.einsum("gk,gkr->r", state.weight, first))
        nothing: F64 = state.weight * (1 - first.sum(axis=2))
        return nothing

    def _scroll(self, page: int | NDArray[np.uint8]) -> F64:
        scroll: F64 = np.asarray(SCROLL[page] * (PHONE_SCROLL if self._phone else 1.0) + 1e-9)
        return scroll

    def _later_lists(self, state: _Session, goes_on: float, total: F64) -> None:
        """Add the chances of the lists after this one."""
        weight = self._drifted(state.weight)
        mass = float(weight.sum())
        if mass <= 0:
            return
        random = np.random.default_rng(len(state.opened) + int(self._start_ms[0]) % 1_000_003)
        cell = random.choice(weight.size, self._oracle.samples, p=(weight / mass).ravel())
        step, interest = np.divmod(cell, self._k)
        visits = self._drawn(state, interest, random)
        depth = visits.depth
        width = int(depth.max())
        film = np.full((len(depth), width), -1)
        film[np.arange(width) < depth[:, None]] = browsing.films_of_lists(visits, self._lists)
        odds = self._clicks.odds[interest[:, None], film].astype(np.float64)
        rows = np.flatnonzero((visits.put >= 0) & (visits.put_rank <= width))
        odds[rows, visits.put_rank[rows] - 1] = np.where(
            visits.searched[rows], browsing.SEARCHED_CLICK, browsing.VIRAL_CLICK
        )
        chance = np.minimum(self._looked_at(odds, film) * self._oracle.appetite[step][:, None], browsing.CLICK_MAX)
        chance[film < 0] = 0.0
        chance[np.isin(film, state.opened)] *= _AGAIN
        reach = np.exp(-np.arange(width) / self._scroll(visits.page)[:, None])
        first = reach * chance * _none_before(chance)
        clicked = float(first.sum()) / len(depth)
        share = mass * goes_on / (1 - (1 - clicked) * goes_on) / len(depth)
        np.add.at(total, film[film >= 0], share * first[film >= 0])

    def _drawn(self, state: _Session, interest: I64, random: np.random.Generator) -> ListVisits:
        """Lists as they may come next."""
        count = len(interest)
        page = LATER_PAGE[pick(LATER_CUMULATIVE, random.random(count))]
        if self._bot:
            page[:] = HOME if self._bot == POLLER else BROWSE
        else:
            page = page.astype(np.uint8)
        same = random.random(count) < self._same(state.searched)
        anchor = np.where(same, state.searched[0], liked(self._lists, interest, random.random(count)))
        lasts = state.favourite[0] >= 0 and self._settings.interest_lasts ** (state.favourite[1] + 1)
        favourite = self._favourites[random.integers(0, FAVOURITES, count)]
        favourite = np.where(random.random(count) < lasts, state.favourite[0], favourite)
        own = (random.random(count) < OWN_CATEGORY) & (self._bot != SCRAPER)
        category = np.where(own, interest, random.integers(0, self._k, count))
        about = np.select([page == HOME, page == BROWSE, page == RECOMMENDATIONS], [0, category, favourite], anchor)
        keys = list_keys(np.repeat(self._person, count), page.astype(np.int64), about, np.repeat(self._day, count))
        tastes = np.repeat(self._tastes[None], count, axis=0)
        pools = list_pools(keys, page, about, (tastes[:, 0], tastes[:, 1]), self._lists)
        viral = pick_burst(
            self._bursts, np.repeat(self._start_ms, count), random.random(count),
            (tastes[:, 0], tastes[:, 1]), self._taste.segment,
        )  # fmt: skip
        if self._bot:
            viral[:] = -1
        searched = (page == SEARCH) & (viral < 0)
        u = random.random(count)
        visits = ListVisits(
            session=np.zeros(count, np.int64), key=keys, page=page, interest=interest, pools=pools, list_key=keys,
            tastes=tastes, depth=np.ones(count, np.int64), put=np.where(searched, anchor, viral).astype(np.int32),
            put_rank=1 + np.where(searched, pick(FOUND_AT_CUMULATIVE, u), (u * SHOWN_AT).astype(np.int64)),
            searched=searched, viral=viral >= 0, random=np.zeros(count, bool), pause_ms=np.zeros(count, np.int64),
        )  # fmt: skip
        return replace(visits, depth=_full_depth(visits, self._lists))


def _full_depth(visits: ListVisits, lists: RankedLists) -> I64:
    """Films of each list as far as anybody looks."""
    length = np.where(visits.random, len(lists.present), lists.lengths(visits.pools))
    depth: I64 = np.minimum(DEPTH_MAX, np.maximum(length - 1, 1)).astype(np.int64)
    return depth


def _take(visits: ListVisits, rows: NDArray[np.intp] | I64) -> ListVisits:
    """Chosen lists."""
    return ListVisits(*(getattr(visits, field.name)[rows] for field in fields(visits)))


def _none_before(chance: F64) -> F64:
    """Chance that none of the films before each one, along the last axis, is clicked."""
    none: F64 = np.cumprod(1 - chance, axis=-1) / np.maximum(1 - chance, 1e-12)
    return none


def normalised(weight: F64) -> F64:
    """Weights of sum 1."""
    whole = weight.sum()
    return weight / whole if whole > 0 else np.full(weight.shape, 1 / weight.size)
