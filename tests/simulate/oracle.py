"""The model once more, slow and readable: one person, one day, one session, one film at a time, in plain Python.

It shares with the product the numbers (shares, means, tables, which films stand in which pool) and none of the logic: no arrays of sessions, no
repeats, no cumulative sums. Single precision is kept where the product keeps it, so that both agree to the last bit.
"""

from dataclasses import dataclass, field

import numpy as np

from clickreel.simulate import (
    browsing,
    interactions,
    list_visits,
    pauses,
    people,
    ranked_lists,
    trends,
)
from clickreel.simulate.draws import GOLDEN, bell1, child1, mix1, uniform1
from clickreel.simulate.list_visits import VisitStream
from clickreel.simulate.people import SessionStream
from clickreel.simulate.population import PersonStream
from clickreel.simulate.taste import DAYPART_OF_HOUR
from clickreel.simulate.world import World
from tests.simulate.oracle_traffic import (
    DAY_MS,
    MINUTE_MS,
    WEIBULL,
    Episode,
    Event,
    draw,
    episodes,
    f32,
    find,
    local_hour,
    pause,
    session_key,
    soon,
)

__all__ = ["Browser", "Event", "episodes"]


@dataclass
class Act:
    """Something that is opened, or saved straight from the list."""

    screen: int
    rank: int
    film: int
    chain: int
    opened: bool
    visit: "Visit"


@dataclass
class Visit:
    """A list that is looked at."""

    key: int
    page: int
    interest: int
    put: int
    put_rank: int
    searched: bool
    pause_ms: int
    screens: list[list[tuple[int, int, int]]] = field(default_factory=list)  # rank, film, key
    acts: list[Act] = field(default_factory=list)


class Browser:
    """One episode, lived through film by film.

    Args:
        world: The world.
        made: The episode.
        numbers: The session numbers of its one or two sessions.
    """

    def __init__(self, world: World, made: Episode, numbers: list[int]) -> None:
        self.world, self.made, self.numbers = world, made, numbers
        self.taste = world.model.taste
        self.lists = world.model.ranker.lists(world.model.trends.last_change_ms(made.start_ms))
        share = np.cumsum(self.taste.segment_share)
        self.first = find(share, draw(made.person, PersonStream.FIRST_TASTE))
        self.second = find(share, draw(made.person, PersonStream.SECOND_TASTE))

    def live(self) -> list[Event]:
        """The events of the episode."""
        events: list[Event] = []
        start = self.made.start_ms
        for second, lists in enumerate(self.made.lists):
            mine, lasted, gap = self._session(second, lists, start)
            events += [e for e in mine if e[0] - self.made.start_ms <= self.made.bound_ms]
            start += lasted + gap
        return events

    def _session(self, second: int, lists: int, start_ms: int) -> tuple[list[Event], int, int]:
        """Its events, how long it lasted, and the pause after it."""
        key = session_key(self.made, second)
        self.key = key
        self.entry = find(list_visits.ENTRY_CUMULATIVE, draw(key, SessionStream.ENTRY))
        kind = child1(key, SessionStream.SCREEN) & 3
        phone = self.made.device == people.MOBILE
        self.size = int((list_visits.PHONE_SCREENS if phone else list_visits.OTHER_SCREENS)[kind])
        self.begun: tuple[int, int, int] | None = None
        self.clicked: set[int] = set()
        visits = [self._visit(number, child1(key, number + pauses.VISIT_KEY)) for number in range(lists)]
        return self._happen(visits, second, start_ms)

    # What is shown and opened.

    def _visit(self, number: int, key: int) -> Visit:
        made, at = self.made, VisitStream
        page = int(list_visits.LATER_PAGE[find(list_visits.LATER_CUMULATIVE, draw(key, at.PAGE))])
        if number == 0:
            way = find(list_visits.FIRST_CUMULATIVE[self.entry], draw(self.key, SessionStream.LANDING))
            page = int(list_visits.FIRST_PAGES[way])
        if number == 0 or draw(key, at.SWITCH) >= self.world.settings.interest_lasts:
            self.begun = (number, key, self._interest(key))
        assert self.begun is not None
        begun_at, begun_key, interest = self.begun
        again = begun_at == number or draw(key, at.ANCHOR) < list_visits.SAME_ANCHOR
        if again and begun_at == 0 and draw(self.key, SessionStream.ANCHOR) < list_visits.FAVOURITE_ANCHOR:
            anchor = self._favourite(begun_key)
        else:
            anchor = find(self.lists.anchors[interest], draw(begun_key if again else key, at.ANCHOR_ELSE))
        if made.bot:
            page = list_visits.HOME if made.bot == list_visits.POLLER else list_visits.BROWSE
        about = self._about(key, page, interest, anchor)
        day = int(made.start_ms / DAY_MS + draw(made.person, PersonStream.LIST))
        list_key = child1(mix1(made.person ^ (page << 56 | about << 24)), day)
        landing = page == list_visits.DETAIL
        is_random = draw(key, at.RANDOM) < self.world.settings.random_lists and not landing and not made.bot
        viral = self._viral(draw(key, at.BURST))
        searched = landing or (page == list_visits.SEARCH and viral is None and not is_random)
        put = -1
        if not (is_random or made.bot):
            put = anchor if viral is None and searched else -1 if viral is None else viral
        u = draw(key, at.RANK)
        put_rank = 1 + (find(list_visits.FOUND_AT_CUMULATIVE, u) if searched else int(u * list_visits.SHOWN_AT))
        visit = Visit(key, page, interest, put, 1 if landing else put_rank, searched, pause(self.world, made, key))
        scroll = list_visits.SCROLL[page] * (list_visits.PHONE_SCROLL if made.device == people.MOBILE else 1.0) + 1e-9
        within = -float(np.expm1(-(list_visits.DEPTH_MAX - 1) / scroll))
        depth = 1 + int(scroll * -float(np.log1p(-draw(key, at.DEPTH) * within)))
        shown = self._shuffled(key) if is_random else self._ranked(list_key, page, about)
        depth = 1 if landing else min(depth, max(len(shown) - 1, 1))
        if visit.put >= 0:
            spare = shown[-1] if shown else visit.put
            rest = [spare if film == visit.put else film for film in shown]
            shown = [*rest[: visit.put_rank - 1], visit.put, *rest[visit.put_rank - 1 :]]
        self._look(visit, shown[:depth])
        return visit

    def _about(self, key: int, page: int, interest: int, anchor: int) -> int:
        """What a list is about: nothing at home, a category, a favourite, or the film searched for."""
        u, segments = draw(key, VisitStream.CATEGORY), len(self.taste.segment_share)
        if page == list_visits.HOME:
            return 0
        if page == list_visits.RECOMMENDATIONS:
            return self._favourite(key)
        if page != list_visits.BROWSE:
            return anchor
        if self.made.bot:
            return min(int(u * segments), segments - 1)
        if u < list_visits.OWN_CATEGORY:
            return interest
        return min(int((u - list_visits.OWN_CATEGORY) / (1 - list_visits.OWN_CATEGORY) * segments), segments - 1)

    def _interest(self, key: int) -> int:
        u, other = draw(key, VisitStream.INTEREST), draw(key, VisitStream.INTEREST_ELSE)
        if u < list_visits.FIRST_TASTE:
            return self.first
        if u < list_visits.FIRST_TASTE + list_visits.SECOND_TASTE:
            return self.second
        if u < list_visits.FIRST_TASTE + list_visits.SECOND_TASTE + list_visits.BY_HOUR:
            part = DAYPART_OF_HOUR[local_hour(self.world, self.made.person, self.made.start_ms)]
            return find(np.cumsum(self.taste.daypart_share[part]), other)
        return find(np.cumsum(self.taste.segment_share), other)

    def _favourite(self, key: int) -> int:
        which = int(draw(key, VisitStream.FAVOURITE) * list_visits.FAVOURITES)
        u = uniform1(child1(child1(self.made.person, PersonStream.FAVOURITES), which))
        return find(self.lists.anchors[self.first], u)

    def _viral(self, u: float) -> int | None:
        start = self.made.start_ms
        step = np.array([start // trends._STEP_MS * trends._STEP_MS])
        reached = 0.0
        for burst in self.world.model.trends.bursts(start, start + 1):
            others, own = (float(share[0]) for share in burst.shares(step))
            segment = self.taste.segment[burst.film]
            before = reached
            reached = min(before + (own if segment in (self.first, self.second) else others), 0.8)
            if before <= u < reached:
                return int(burst.film)
        return None

    def _shuffled(self, key: int) -> list[int]:
        present = self.lists.present
        steps = browsing.strides(len(present))
        start = child1(key, VisitStream.RANDOM_START) % len(present)
        step = int(steps[child1(key, VisitStream.RANDOM_STEP) % len(steps)])
        return [int(present[(start + step * rank) % len(present)]) for rank in range(1, len(present) + 1)]

    def _ranked(self, list_key: int, page: int, about: int) -> list[int]:
        """The films of a list, best first: three pools, each film's score and a noise of its own."""
        lists, variant = self.lists, list_key & (ranked_lists.TASTE_VARIANTS - 1)
        if page == list_visits.HOME:
            other = self.second if self.second != self.first else int(lists.related[self.first])
            pools = [0, lists.taste + self.first * ranked_lists.TASTE_VARIANTS + variant]
            pools.append(1 if other == self.first else lists.second + other * ranked_lists.TASTE_VARIANTS + variant)
        elif page == list_visits.BROWSE:
            row = (
                lists.category + (about * ranked_lists.CATEGORY_VARIANTS + variant % ranked_lists.CATEGORY_VARIANTS) * 3
            )
            pools = [row, row + 1, row + 2]
        else:
            pools = [lists.near + about * 3 + part for part in range(3)]
        scored = []
        for place in range(ranked_lists.WIDTH):
            part, column = divmod(place, ranked_lists.PART)
            film = int(lists.films[pools[part], column])
            if film < 0:
                continue
            noise = _mix32((list_key >> 32) ^ ((place + 1) * (GOLDEN & 0xFFFFFFFF) & 0xFFFFFFFF)) >> 20
            score = int(lists.scores[pools[part], column]) + int(ranked_lists.GUMBEL[noise])
            if part == 0 and pools[0] == 0:
                segment = self.taste.segment[film]
                if segment in (self.first, self.second):
                    score += round(ranked_lists.OWN_TASTE_MORE * (1 << 20))
            scored.append((-score, place, film))
        return [film for _, _, film in sorted(scored)]

    def _odds(self, visit: Visit, rank: int, film: int) -> np.float32:
        model, made = self.world.model.clicks, self.made
        odds = model.odds[visit.interest, film]
        if rank == visit.put_rank and visit.put >= 0:
            odds = f32(browsing.SEARCHED_CLICK if visit.searched else browsing.VIRAL_CLICK)
        appetite = browsing.PERSON_APPETITE * bell1(child1(made.person, PersonStream.APPETITE))
        appetite += browsing.SESSION_APPETITE * bell1(child1(self.key, SessionStream.APPETITE))
        odds = odds * browsing.ATTENTION[rank - 1] * f32(float(np.exp(appetite)) * model.factor)
        if self.taste.segment[film] in (self.first, self.second):
            odds = odds * f32(browsing.KNOWN)
        if made.bot:
            opens = made.bot == list_visits.SCRAPER or (made.bot == list_visits.POLLER and rank == 1)
            odds = f32(browsing.BOT_CLICK if opens else 0.0)
        return min(odds, f32(browsing.CLICK_MAX))

    def _look(self, visit: Visit, shown: list[int]) -> None:
        """Screen by screen: what appears, what is opened, where the list is left."""
        landing, bot = visit.page == list_visits.DETAIL, bool(self.made.bot)
        last_screen = (len(shown) - 1) // self.size
        looks, clicks = [], []
        for rank, film in enumerate(shown, 1):
            key = child1(visit.key, rank + VisitStream.SLOT)
            looks.append((rank, film, key))
            if landing or (key >> 36) < int(self._odds(visit, rank, film) * f32(2.0**28)):
                chain = child1(key, 0)
                back = (chain >> 32 & 0xFFFF) < browsing.BACK_UP
                screen = min((rank - 1) // self.size + back, last_screen)
                clicks.append(Act(screen, rank, film, chain, True, visit))
        clicks.sort(key=lambda act: (act.screen, act.rank))
        left_at = last_screen
        opened = {}
        for act in clicks:
            if act.film not in self.clicked or (act.chain >> 16 & 0xFFFF) < browsing.OPEN_AGAIN:
                visit.acts.append(act)
                opened[act.rank] = act
            self.clicked.add(act.film)
            if (act.chain & 0xFFFF) < browsing.STOP and not bot:
                left_at = act.screen
                break
        visit.screens = [[] for _ in range(left_at + 1)]
        for rank, film, key in looks:
            screen, place = divmod(rank - 1, self.size)
            if screen > left_at or ((key >> 26 & 1023) < browsing.SKIP and rank not in opened and place):
                continue
            visit.screens[screen].append((rank, film, key))
            if rank not in opened and (key >> 16 & 1023) < browsing.DIRECT and not bot and not landing:
                visit.acts.append(Act(screen, rank, film, child1(key, 0), False, visit))
        visit.acts.sort(key=lambda act: (act.screen, act.rank))

    # When each thing happens.

    def _happen(self, visits: list[Visit], second: int, start_ms: int) -> tuple[list[Event], int, int]:
        steps: list[tuple[Event, int]] = []  # event without its time, gap after it
        opened: list[Act] = []
        saved: set[int] = set()
        for visit in visits:
            mine = self._visit_steps(visit, opened, saved, second)
            event, gap = mine[-1]
            mine[-1] = event, max(gap, visit.pause_ms)
            steps += mine
        limit, at, events, reached = self.made.limits[second], 0, [], 0
        ordinal = (self.made.of_day * 2 + second) * 4096
        for number, (event, gap) in enumerate(steps):
            if at <= limit and number < 4096:
                events.append((start_ms + at, event[1], ordinal + number, *event[3:]))
                reached = at
            at += gap
        pause_ms = steps[-1][1]
        slack = 8 * MINUTE_MS if self.world.settings.flat else 0
        if pause_ms < 30 * MINUTE_MS - 2 * slack + (0 if slack else 1):
            pause_ms = soon(self.world, self.made)
        return events, reached, pause_ms

    def _visit_steps(self, visit: Visit, opened: list[Act], saved: set[int], second: int) -> list[tuple[Event, int]]:
        steps = []
        pace = self.made.pace
        for number, screen in enumerate(visit.screens):
            if visit.page != list_visits.DETAIL:
                for place, (rank, film, key) in enumerate(screen, 1):
                    gap = f32(interactions._BATCH_MS + (key >> 3 & 31))
                    if place == len(screen):
                        look = WEIBULL[key & 0xFFFF] * pace * np.sqrt(np.float64(place)).astype(f32)
                        gap = f32(interactions.REACTION_MS) + look * f32(interactions.VIEW_MS)
                    steps.append((self._event((film, rank), interactions.VIEW, visit.page, second), self._soft(gap)))
            for act in visit.acts:
                if act.screen == number:
                    steps += self._act_steps(act, opened, saved, second)
        return steps

    def _act_steps(self, act: Act, opened: list[Act], saved: set[int], second: int) -> list[tuple[Event, int]]:
        visit, human, pace = act.visit, not self.made.bot, self.made.pace
        steps = []

        def stay(of: tuple[int, int], kind: int, page: int, mean: float, number: int) -> None:
            dwell = WEIBULL[child1(act.chain, number) & 0xFFFF] * pace * f32(mean)
            gap = self._soft(f32(2 * interactions.REACTION_MS) + dwell)
            steps.append((self._event(of, kind, page, second), gap))

        detail = list_visits.DETAIL
        if not act.opened:
            stay((act.film, act.rank), interactions.WATCHLIST, visit.page, interactions.WATCHLIST_MS, 3)
            return steps
        stay((act.film, act.rank), interactions.DETAIL_VIEW, detail, interactions.DETAIL_MS, 1)
        landed = visit.page == detail
        if human and not landed and (act.chain >> 48) < interactions.TRAILER_SHARE:
            stay((act.film, act.rank), interactions.TRAILER, detail, interactions.TRAILER_MS, 2)
        if human and act.film not in saved and self._saves(act):
            saved.add(act.film)
            stay((act.film, act.rank), interactions.WATCHLIST, detail, interactions.WATCHLIST_MS, 3)
        earlier = None
        back = act.chain >> 16 & 7
        if back < interactions.OWN_PAGE:
            earlier = act
        elif opened:
            earlier = opened[-2 if back == interactions.OWN_PAGE and len(opened) > 1 else -1]
        if (
            human
            and earlier is not None
            and earlier.visit.page != detail
            and (child1(act.chain, 5) & 0xFFFF) < round(self.world.settings.page_again * 65536)
        ):
            stay((earlier.film, earlier.rank), interactions.DETAIL_VIEW, detail, interactions.DETAIL_MS, 4)
        opened.append(act)
        return steps

    def _saves(self, act: Act) -> bool:
        visit, made = act.visit, self.made
        if visit.searched and act.rank == visit.put_rank:
            return False
        share = interactions.SAVE_SHARE * float(
            np.exp(interactions.SAVE_PERSON * bell1(child1(made.person, PersonStream.SAVING)))
        )
        share *= float(self.world.model.films.appetite[act.film])
        if self.taste.segment[act.film] in (self.first, self.second):
            share *= interactions.SAVE_OWN_TASTE
        return uniform1(child1(act.chain, 6)) < min(share, interactions._SAVE_MAX)

    def _soft(self, gap: np.float32) -> int:
        """A gap, the longest softly shortened so that no stay with one thing ends the session."""
        slack = 8 * MINUTE_MS if self.world.settings.flat else 0
        most = 30 * MINUTE_MS - 2 * slack + (0 if slack else 1) - MINUTE_MS
        knee = f32(most / 2)
        if gap > knee:
            rest = np.array([gap], f32)
            rest = knee + (most - knee) * -np.expm1(-(rest - knee) / f32(most - knee))
            gap = rest.astype(f32)[0]
        return max(int(gap), 1)

    def _event(self, of: tuple[int, int], kind: int, page: int, second: int) -> Event:
        referrer = int(list_visits.ENTRY_REFERRER[self.entry])
        film, rank = of
        film_id = int(self.world.catalogue.film_id[film])
        return (0, self.made.user, 0, self.numbers[second], film_id, kind, page, rank, self.made.device, referrer)


def _mix32(x: int) -> int:
    """Murmur3's finaliser on one number."""
    x = (x ^ (x >> 16)) * 0x85EBCA6B & 0xFFFFFFFF
    x = (x ^ (x >> 13)) * 0xC2B2AE35 & 0xFFFFFFFF
    return x ^ (x >> 16)
