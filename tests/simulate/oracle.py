"""The model once more, slow and readable: one person, one day, one session, one film at a time, in plain Python.

It shares with the product the numbers (shares, means, tables, the lists of a day) and none of the logic: no arrays of sessions, no
repeats, no cumulative sums. Single precision is kept where the product keeps it, so that both agree to the last bit.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from clickreel.simulate import browsing, list_visits, population, traffic
from clickreel.simulate.draws import GOLDEN, MASK, Purpose, child1, root, uniform1, weibull_ms
from clickreel.simulate.taste import DAYPART_OF_HOUR
from clickreel.simulate.world import World

DAY_MS = 86_400_000
WEIBULL = weibull_ms(browsing.DWELL_SHAPE)
f32 = np.float32

Event = tuple[int, int, int, int, int, int, int, int, int, int]


@dataclass
class Session:
    """A session as the oracle sees it."""

    user: int
    start_ms: int
    of_day: int
    visits: int
    key: int
    person: int
    bot: bool


def draw(key: int, n: int) -> float:
    """A uniform number below a key."""
    return uniform1(child1(key, n))


def normal(key: int, n: int) -> float:
    """A standard normal number below a key."""
    return float(ndtri(draw(key, n)))


def find(cumulative: np.ndarray, u: float) -> int:
    """The first place at which a cumulative distribution has reached ``u``."""
    for place, reached in enumerate(cumulative):
        if reached >= u:
            return place
    return len(cumulative) - 1


def holder(world: World, place: int, day: int) -> int:
    """Who holds a place on a day."""
    settings, places = world.settings, world.users
    if settings.churn == 0:
        return place + 1
    key = child1(root(settings.seed, Purpose.TENURE), place)
    stay = min(max(-float(np.log(uniform1(key))) * (30.0 / settings.churn), 14), 20_000.0)
    generation = int(np.floor((day - 20_089) / stay + draw(key, 0)))
    folded = 2 * generation if generation >= 0 else -2 * generation - 1
    return place + 1 + places * (folded % ((2**32 - 1 - places) // places))


def candidates(world: World, place: int, day: int) -> list[tuple[int, int, int]]:
    """Start (ms of the day), number in the day, and session key of each candidate session, in order of start."""
    settings = world.settings
    user = holder(world, place, day)
    person = child1(root(settings.seed, Purpose.USER), user)
    key = child1(person, day + 16)
    quantile = uniform1((place * GOLDEN + root(settings.seed, Purpose.ACTIVITY)) & MASK)
    per_day = world.audience.sessions_per_day
    scale = population.capped_scale(per_day, settings.activity_sigma)
    activity = min(per_day * scale * float(np.exp(settings.activity_sigma * ndtri(quantile))), 4.0)
    mean = activity * world.traffic.day_factor(day)
    u, count, term = uniform1(key), 0, float(np.exp(-mean))
    reached = term
    while u > reached and count < 8:
        count += 1
        term = term * mean / count
        reached += term
    starts = []
    profile = traffic._profile(settings, (day + 3) % 7)
    for number in range(count):
        u = draw(child1(key, number), traffic.SessionStream.START)
        if settings.flat:
            starts.append(int(u * DAY_MS))
        else:
            at = np.interp(u, profile.cumulative, np.linspace(0, DAY_MS, 97))
            starts.append(int(at + normal(person, traffic.PersonStream.HABIT) * 3_600_000) % DAY_MS)
    return [(start, number, child1(key, number)) for number, start in enumerate(sorted(starts))]


def sessions(world: World, place: int, day: int) -> list[Session]:
    """The sessions of a person's day: candidates that keep their distance from the candidate before."""
    settings = world.settings
    user = holder(world, place, day)
    person = child1(root(settings.seed, Purpose.USER), user)
    pause = (settings.session_cap_min + 30) * 60_000 + 1
    before = -DAY_MS
    if holder(world, place, day - 1) == user:
        before = max([start - DAY_MS for start, _, _ in candidates(world, place, day - 1)], default=before)
    kept = []
    for start, number, key in candidates(world, place, day):
        if start - before >= pause:
            bot = draw(person, traffic.PersonStream.BOT) < settings.bots
            lists = lists_wanted(world, key, bot)
            kept.append(Session(user, day * DAY_MS + start, number, lists, key, person, bot))
        before = start
    return kept


def lists_wanted(world: World, key: int, bot: bool) -> int:
    """How many lists a session means to look at."""
    settings, sigma = world.settings, world.settings.visits_sigma
    wanted = 1.0 + float(np.exp(sigma * normal(key, traffic.SessionStream.VISITS))) * (
        (settings.visits_mean - 1.0) * float(np.exp(-0.5 * sigma**2))
    )
    wanted = np.floor(wanted + draw(key, traffic.SessionStream.VISIT))
    if draw(key, traffic.SessionStream.MONSTER) < settings.monsters:
        wanted = 120 + 40 * wanted
    if bot:
        wanted = 25 * wanted
    return int(min(wanted, 1500))


class Browser:
    """One session, lived through film by film."""

    def __init__(self, world: World, session: Session, number: int) -> None:
        self.world, self.session, self.number = world, session, number
        self.lists = world.model.ranker.day(session.start_ms // DAY_MS)
        self.taste = world.model.taste
        self.key, self.person = session.key, session.person
        self.mood = self._mood()
        self.device = self._device()
        self.anchor = self._anchor()
        pace = np.exp(
            0.25 * normal(self.person, traffic.PersonStream.PACE) + 0.2 * normal(self.key, traffic.SessionStream.PACE)
        )
        pace *= world.settings.dwell_factor
        self.pace = f32(0.02 * pace if session.bot else pace)
        self.clock_ms = session.start_ms
        self.limit_ms = min(2 + 5 * session.visits, world.settings.session_cap_min) * 60_000
        self.events: list[Event] = []

    def live(self) -> list[Event]:
        """The events of the session."""
        for visit in range(self.session.visits):
            self._visit(visit)
        return [event for event in self.events if event[0] - self.session.start_ms <= self.limit_ms][:4096]

    def _mood(self) -> int:
        share = np.cumsum(self.taste.segment_share)
        u = draw(self.key, traffic.SessionStream.MOOD)
        if u < list_visits.FIRST_TASTE:
            return find(share, draw(self.person, traffic.PersonStream.FIRST_TASTE))
        if u < list_visits.FIRST_TASTE + list_visits.SECOND_TASTE:
            return find(share, draw(self.person, traffic.PersonStream.SECOND_TASTE))
        hour = int((self.session.start_ms / 3_600_000 + self.world.settings.time_zone_h) % 24)
        by_hour = np.cumsum(self.taste.daypart_share[DAYPART_OF_HOUR[hour]])
        return find(by_hour, draw(self.key, traffic.SessionStream.MOOD_ELSE))

    def _device(self) -> int:
        if self.session.bot:
            return list_visits._WEB
        if draw(self.key, traffic.SessionStream.DEVICE) < list_visits.DEVICE_HABIT:
            return find(list_visits.DEVICE_CUMULATIVE, draw(self.person, traffic.PersonStream.DEVICE))
        return find(list_visits.DEVICE_CUMULATIVE, draw(self.key, traffic.SessionStream.DEVICE_ELSE))

    def _anchor(self) -> int:
        u = draw(self.key, traffic.SessionStream.ANCHOR_ELSE)
        if draw(self.key, traffic.SessionStream.ANCHOR) < list_visits.FAVOURITE_ANCHOR:
            first = find(np.cumsum(self.taste.segment_share), draw(self.person, traffic.PersonStream.FIRST_TASTE))
            favourite = int(u * list_visits.FAVOURITES)
            u = uniform1(child1(child1(self.person, traffic.PersonStream.FAVOURITES), favourite))
            return find(self.lists.anchors[first], u)
        return find(self.lists.anchors[self.mood], u)

    def _visit(self, number: int) -> None:
        key = child1(self.key, number + list_visits.VISIT_KEY)
        at = list_visits.VisitDraw
        if number == 0:
            entry = find(list_visits.ENTRY_CUMULATIVE, draw(self.key, traffic.SessionStream.ENTRY))
            page, referrer = int(list_visits.ENTRY_PAGE[entry]), int(list_visits.ENTRY_REFERRER[entry])
        else:
            later = find(list_visits.LATER_CUMULATIVE, draw(key, at.PAGE))
            page, referrer = int(list_visits.LATER_PAGE[later]), int(list_visits.LATER_REFERRER[later])
        anchor = self.anchor
        if number > 0 and draw(key, at.ANCHOR) >= list_visits.SESSION_ANCHOR:
            anchor = find(self.lists.anchors[self.mood], draw(key, at.ANCHOR_ELSE))
        shown = list(self.lists.films[self._row(key, page, anchor)])
        depth = 1 + int(list_visits.SCROLL[page] * -float(np.log(draw(key, at.DEPTH))))
        depth = min(depth, max(1, min(30, len(shown) - 1)))
        is_random = draw(key, at.RANDOM) < self.world.settings.random_lists
        viral = None if is_random else self._viral(key)
        wanted = None
        if page == list_visits.SEARCH and viral is None and not is_random:
            wanted = anchor
        put_at = -1
        if is_random:
            shown = self._shuffled(key, depth)
        elif viral is not None or wanted is not None:
            u = draw(key, at.RANK)
            put_at = find(list_visits.FOUND_AT_CUMULATIVE, u) if wanted is not None else int(u * list_visits.SHOWN_AT)
            shown = self._with(shown, wanted if viral is None else viral, put_at)
        for place in range(depth):
            odds = self.world.model.appeals[self.mood, shown[place]]
            if place == put_at:
                odds = f32(browsing.VIRAL_CLICK if wanted is None else browsing.SEARCHED_CLICK)
            if self._look(child1(key, place + 1 + at.SLOT), int(shown[place]), place + 1, (page, referrer), odds):
                break
        # On to the next list.
        last = self.events.pop()
        extra = WEIBULL[child1(key, at.SLOT) & 0xFFFF] * self.pace * f32(browsing.NEXT_LIST_MS)
        self.clock_ms = last[0]
        self._happen(last, f32(self.gap + extra))

    def _row(self, key: int, page: int, anchor: int) -> int:
        u = draw(key, list_visits.VisitDraw.VARIANT)
        if page == list_visits.HOME:
            return self.lists.home + self.mood * 16 + int(u * 16)
        if page == list_visits.BROWSE:
            v, shelf = draw(key, list_visits.VisitDraw.CATEGORY), self.mood
            if v >= list_visits.OWN_CATEGORY:
                shelf = int(
                    (v - list_visits.OWN_CATEGORY) / (1 - list_visits.OWN_CATEGORY) * len(self.taste.segment_share)
                )
            return self.lists.browse + shelf * 16 + int(u * 16)
        return self.lists.near + anchor * 4 + int(u * 4)

    def _viral(self, key: int) -> int | None:
        u, reached = draw(key, list_visits.VisitDraw.BURST), 0.0
        start = self.session.start_ms
        for burst in self.world.model.trends.bursts(start, start + 1):
            before = reached
            reached = min(before + float(burst.share(np.array([start]))[0]), 0.8)
            if before <= u < reached:
                return burst.film
        return None

    def _shuffled(self, key: int, depth: int) -> list[int]:
        present = self.lists.present
        steps = browsing.strides(len(present))
        start = child1(key, list_visits.VisitDraw.RANDOM_START) % len(present)
        step = int(steps[child1(key, list_visits.VisitDraw.RANDOM_STEP) % len(steps)])
        return [int(present[(start + step * rank) % len(present)]) for rank in range(1, depth + 1)]

    def _with(self, shown: list[int], film: int | None, place: int) -> list[int]:
        """The list with a film put in; where it stood already, the spare one from the end stands."""
        assert film is not None
        rest = [shown[-1] if other == film else other for other in shown]
        return [*rest[:place], film, *rest[place:]]

    def _look(self, key: int, film: int, rank: int, where: tuple[int, int], odds: np.float32) -> bool:
        """Look at one film; True when the list is left for it."""
        page, referrer = where
        session, human = self.session, not self.session.bot
        odds = odds * browsing.ATTENTION[rank - 1] * f32(self.world.settings.click_factor)
        clicked = (key >> 32) < int(min(odds, f32(browsing.CLICK_MAX)) * f32(2.0**32))

        def event(kind: int, on: int) -> Event:
            return (
                0,
                session.user,
                0,
                self.number,
                int(self.world.catalogue.film_id[film]),
                kind,
                on,
                rank,
                self.device,
                referrer,
            )

        look = WEIBULL[key & 0xFFFF] * self.pace * f32(browsing.VIEW_MS)
        self._happen(event(browsing.VIEW, page), look)
        if not clicked:
            if human and (key >> 16) & 0xFFFF < browsing.DIRECT:
                self._happen(event(browsing.WATCHLIST, page), look)
            return False
        chain = child1(key, 0)

        def stay(number: int, mean_ms: float) -> np.float32:
            dwell: np.float32 = WEIBULL[child1(chain, number) & 0xFFFF] * self.pace * f32(mean_ms)
            return dwell

        self._happen(event(browsing.DETAIL_VIEW, list_visits.DETAIL), stay(1, browsing.DETAIL_MS))
        if human and (chain >> 16) & 0xFFFF < browsing.TRAILER_SHARE:
            self._happen(event(browsing.TRAILER, list_visits.DETAIL), stay(2, browsing.TRAILER_MS))
        if human and (chain >> 32) & 0xFFFF < browsing.WATCHLIST_SHARE:
            self._happen(event(browsing.WATCHLIST, list_visits.DETAIL), stay(3, browsing.WATCHLIST_MS))
        if human and chain >> 48 < browsing.AGAIN:
            self._happen(event(browsing.DETAIL_VIEW, list_visits.DETAIL), stay(4, browsing.DETAIL_MS))
        return chain & 0xFFFF < browsing.STOP

    def _happen(self, event: Event, gap: np.float32) -> None:
        """The event happens now; the next one after the gap."""
        ordinal = self.session.of_day * 4096 + len(self.events)
        self.events.append((self.clock_ms, event[1], ordinal, *event[3:]))
        longest = min(25, 28 - (16 if self.world.settings.flat else 0)) * 60_000
        self.gap = gap
        self.clock_ms += max(1, int(min(gap, f32(longest))))
