"""From impressions to events: the funnel, and when each thing happens.

The films of a screen appear within a few hundredths of a second. Then the person looks; nothing is opened faster than a hand can. After
``detail_view`` comes, perhaps, ``watch_trailer``, perhaps ``add_to_watchlist``, perhaps the page once more, or that of a film that was opened before in the session (to compare):
a quarter of the clicks of RSC15 repeat an item. Dwell times are Weibull with shape below 1 (Liu, White, Dumais, SIGIR 2010): most looks are brief, some are
very long.

How readily a page is saved differs between people and between films; once in a session is enough.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clickreel.contract import vocabulary
from clickreel.events import Events
from clickreel.simulate import ids
from clickreel.simulate.browsing import Impressions
from clickreel.simulate.draws import F64, U64, Purpose, bell, child, root, uniform, weibull_ms
from clickreel.simulate.list_visits import DETAIL, ListVisits, SessionContext
from clickreel.simulate.pauses import break_from_ms, soon_ms
from clickreel.simulate.population import PersonStream
from clickreel.simulate.rhythm import MINUTE_MS
from clickreel.simulate.settings import WorldSettings
from clickreel.simulate.taste import Taste
from clickreel.simulate.traffic import Episodes, session_numbers

VIEW, DETAIL_VIEW, TRAILER, WATCHLIST = (
    vocabulary.EVENT_TYPES.index(name) for name in ("view", "detail_view", "watch_trailer", "add_to_watchlist")
)
TRAILER_SHARE = round(0.28 * 65536)  # of 2**16
OWN_PAGE = 2  # of 8: the same page; one of 8 goes back by two, the rest by one
SAVE_SHARE = 0.14
SAVE_OWN_TASTE = 0.20  # of what is of one's lasting taste: most of it is known
SAVE_PERSON, SAVE_FILM = 0.85, 0.30  # spread of the logarithm
_SAVE_MAX = 0.4

# Milliseconds, before the person's pace.
REACTION_MS = 320.0
DWELL_SHAPE = 0.72
VIEW_MS = 9_500.0  # a screen of one film; the time grows with the root of the number of films
DETAIL_MS = 42_000.0
TRAILER_MS = 60_000.0
WATCHLIST_MS = 12_000.0
_BATCH_MS = 3  # between two films of one screen: so many, and up to 31 more

_WEIBULL = weibull_ms(DWELL_SHAPE)
_LOW16 = np.uint64(0xFFFF)


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where events stand in the block.

    Attributes:
        count: Number of events.
        views: Place of the view of each impression that has one (int64), and which impressions these are.
        viewed: The impressions behind ``views``.
        ends_screen: Places of the last view of each screen, and the number of films on it.
        screen_size: Number of films behind ``ends_screen``.
        detail, trailer, saved, compared: Places of these events; ``*_act`` are the acts behind them.
        visit_ends: Place of the last event of each visit (int64[visits]).
    """

    count: int
    viewed: NDArray[np.intp]
    views: NDArray[np.int64]
    ends_screen: NDArray[np.int64]
    screen_size: NDArray[np.int64]
    detail: NDArray[np.int64]
    detail_act: NDArray[np.intp]
    trailer: NDArray[np.int64]
    trailer_act: NDArray[np.intp]
    saved: NDArray[np.int64]
    saved_act: NDArray[np.intp]
    compared: NDArray[np.int64]
    compared_act: NDArray[np.intp]
    visit_ends: NDArray[np.int64]


def _layout(
    shown: Impressions, visits: ListVisits, parts: tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_]]
) -> _Layout:
    """Screen by screen: first its films, then what is done on it."""
    trailer, saved, compared = parts
    new = np.ones(len(shown.visit), bool)
    new[1:] = (shown.visit[1:] != shown.visit[:-1]) | (shown.screen[1:] != shown.screen[:-1])
    group = np.cumsum(new) - 1
    groups = int(group[-1]) + 1
    first_row = np.flatnonzero(new)
    first_of_visit = np.ones(groups, bool)
    first_of_visit[1:] = shown.visit[first_row[1:]] != shown.visit[first_row[:-1]]
    first_group = np.flatnonzero(first_of_visit)

    has_view = (visits.page != DETAIL)[shown.visit]
    viewed = np.flatnonzero(has_view)
    size = np.bincount(group, has_view, groups).astype(np.int64)
    act_group = first_group[shown.visit[shown.acts]] + shown.act_screen
    length = shown.opened.astype(np.int64) + trailer + saved + compared
    acted = np.bincount(act_group, length, groups).astype(np.int64)
    ends = np.cumsum(size + acted)
    begins = ends - size - acted
    views = begins[group[viewed]] + (viewed - first_row[group[viewed]])
    act = begins[act_group] + size[act_group] + (np.cumsum(length) - length)
    # Less what was done before on other screens.
    act -= (np.cumsum(acted) - acted)[act_group]
    with_films = np.flatnonzero(size)
    last_group = np.append(first_group[1:], groups) - 1
    at_trailer = act + shown.opened
    at_saved = at_trailer + trailer
    at_compared = at_saved + saved
    chosen = [np.flatnonzero(part) for part in (shown.opened, trailer, saved, compared)]
    return _Layout(
        count=int(ends[-1]),
        viewed=viewed,
        views=views,
        ends_screen=begins[with_films] + size[with_films] - 1,
        screen_size=size[with_films],
        detail=act[chosen[0]],
        detail_act=chosen[0],
        trailer=at_trailer[chosen[1]],
        trailer_act=chosen[1],
        saved=at_saved[chosen[2]],
        saved_act=chosen[2],
        compared=at_compared[chosen[3]],
        compared_act=chosen[3],
        visit_ends=ends[last_group] - 1,
    )


@dataclass(frozen=True, slots=True)
class FilmColumns:
    """What events need of the films.

    Attributes:
        film_id: Ids (int32[n]).
        appetite: How readily each film is saved (float64[n]).
        segment: The segment of taste of each (int64[n]).
    """

    film_id: NDArray[np.int32]
    appetite: F64
    segment: NDArray[np.int64]


def film_columns(seed: int, film_id: NDArray[np.int32], taste: Taste) -> FilmColumns:
    """What events need of the films of a world."""
    appetite = np.exp(SAVE_FILM * bell(child(root(seed, Purpose.TASTE, 2), np.arange(len(film_id)))))
    return FilmColumns(film_id, appetite, taste.segment)


def _saves(
    shown: Impressions,
    visits: ListVisits,
    of: tuple[U64, NDArray[np.int64]],
    film_appetite: F64,
    segment: NDArray[np.int64],
) -> NDArray[np.bool_]:
    """Whether each opening is followed by a save, once a session and film; what is saved straight from a list is.

    Args:
        shown: The impressions.
        visits: Their lists.
        of: Person and session of each act.
        film_appetite: How readily each film is saved.
        segment: Segment of taste of each film.
    """
    person, session = of
    film = shown.film[shown.acts].astype(np.int64)
    visit = shown.visit[shown.acts]
    share = SAVE_SHARE * np.exp(SAVE_PERSON * bell(child(person, PersonStream.SAVING))) * film_appetite[film]
    share[visits.knows(visit, segment[film])] *= SAVE_OWN_TASTE
    saved = uniform(child(shown.chain, 6)) < np.minimum(share, _SAVE_MAX)
    # What somebody searched for by name, or came for, is known already: people save what they come across.
    sought = visits.searched[visit] & (shown.rank[shown.acts] == visits.put_rank[visit])
    saved &= shown.opened & ~sought
    rows = np.flatnonzero(saved)
    order = rows[np.lexsort((rows, film[rows], session[rows]))]
    again = (film[order[1:]] == film[order[:-1]]) & (session[order[1:]] == session[order[:-1]])
    saved[order[1:][again]] = False
    return saved | ~shown.opened


def generate_events(
    episodes: Episodes,
    context: SessionContext,
    visits: ListVisits,
    shown: Impressions,
    *,
    films: FilmColumns,
    settings: WorldSettings,
) -> tuple[Events, NDArray[np.int64]]:
    """The events of whole episodes, in order of session and time, and the visit of each."""
    session_of_act = visits.session[shown.visit[shown.acts]]
    episode_of_act = context.episode[session_of_act]
    human = episodes.bot[episode_of_act] == 0
    landed = (visits.page == DETAIL)[shown.visit[shown.acts]]
    trailer = shown.opened & (((shown.chain >> np.uint64(48)) & _LOW16) < TRAILER_SHARE) & human & ~landed
    of = (episodes.person[episode_of_act], session_of_act)
    saved = human & _saves(shown, visits, of, films.appetite, films.segment)
    earlier = _opened_before(shown, session_of_act)
    compared = (
        shown.opened
        & human
        & (earlier >= 0)
        & ~landed[earlier]
        & ((child(shown.chain, 5) & _LOW16) < round(settings.page_again * 65536))
    )
    layout = _layout(shown, visits, (trailer, saved, compared))

    gap = _gaps(shown, visits, episodes.pace[context.episode[visits.session]], layout, settings)
    ts_ms, kept, ordinal = _times(gap, episodes, context, layout, settings)
    visit = np.repeat(np.arange(len(visits.key)), np.diff(layout.visit_ends, prepend=-1))
    session = visits.session[visit]

    event_type = np.full(layout.count, VIEW, np.uint8)
    page = visits.page[visit]
    row = np.empty(layout.count, np.int64)
    row[layout.views] = layout.viewed
    for place, act, code in (
        (layout.detail, layout.detail_act, DETAIL_VIEW),
        (layout.trailer, layout.trailer_act, TRAILER),
        (layout.saved, layout.saved_act, WATCHLIST),
        (layout.compared, layout.compared_act, DETAIL_VIEW),
    ):
        event_type[place] = code
        row[place] = shown.acts[act]
        page[place] = DETAIL
    straight = layout.saved[~shown.opened[layout.saved_act]]
    page[straight] = visits.page[visit[straight]]
    row[layout.compared] = shown.acts[earlier[layout.compared_act]]

    numbers = session_numbers(settings.seed, episodes.number[context.episode], context.second)
    events = Events(
        ts_ms=ts_ms,
        user=episodes.user[context.episode][session],
        ordinal=ordinal,
        session=numbers[session],
        film=films.film_id[shown.film[row]],
        event_type=event_type,
        page=page,
        position=shown.rank[row].astype(np.int16),
        device=episodes.device[context.episode][session],
        referrer=context.referrer[session],
    )
    if kept.all():
        return events, visit
    return events.take(kept), visit[kept]


def _opened_before(shown: Impressions, session: NDArray[np.int64]) -> NDArray[np.int64]:
    """For each act the one whose page comes up once more after it: its own, the one before, or the one before that; -1 where there is none."""
    rows = np.flatnonzero(shown.opened)
    earlier = np.full(len(shown.acts), -1)
    one, two = np.full(len(rows), -1), np.full(len(rows), -1)
    one[1:] = np.where(session[rows[1:]] == session[rows[:-1]], rows[:-1], -1)
    two[2:] = np.where(session[rows[2:]] == session[rows[:-2]], rows[:-2], -1)
    back = (shown.chain[rows] >> np.uint64(16)) & np.uint64(7)
    earlier[rows] = np.where(back < OWN_PAGE, rows, np.where((back == OWN_PAGE) & (two >= 0), two, one))
    return earlier


def _gaps(
    shown: Impressions,
    visits: ListVisits,
    pace_of_visit: NDArray[np.float32],
    layout: _Layout,
    settings: WorldSettings,
) -> NDArray[np.int64]:
    """Milliseconds from each event to the one after it."""
    gap = np.empty(layout.count, np.float32)
    key = shown.key[layout.viewed]
    gap[layout.views] = _BATCH_MS + ((key >> np.uint64(3)) & np.uint64(31)).astype(np.float32)
    last = np.searchsorted(layout.views, layout.ends_screen)
    pace = pace_of_visit[shown.visit[layout.viewed[last]]]
    look = _WEIBULL[key[last] & _LOW16] * pace * np.sqrt(layout.screen_size).astype(np.float32)
    gap[layout.ends_screen] = np.float32(REACTION_MS) + look * np.float32(VIEW_MS)
    for place, act, mean, number in (
        (layout.detail, layout.detail_act, DETAIL_MS, 1),
        (layout.trailer, layout.trailer_act, TRAILER_MS, 2),
        (layout.saved, layout.saved_act, WATCHLIST_MS, 3),
        (layout.compared, layout.compared_act, DETAIL_MS, 4),
    ):
        pace = pace_of_visit[shown.visit[shown.acts[act]]]
        stay = _WEIBULL[child(shown.chain[act], number) & _LOW16] * pace * np.float32(mean)
        gap[place] = np.float32(2 * REACTION_MS) + stay
    # Nobody stays so long with one thing that the session would end; the longest stays crowd together softly, without an edge.
    most = break_from_ms(settings) - MINUTE_MS
    knee = np.float32(most / 2)
    long = np.flatnonzero(gap > knee)
    gap[long] = knee + (most - knee) * -np.expm1(-(gap[long] - knee) / np.float32(most - knee))
    gap_ms = gap.astype(np.int64)
    np.maximum(gap_ms, 1, out=gap_ms)
    ends = layout.visit_ends
    gap_ms[ends] = np.maximum(gap_ms[ends], visits.pause_ms)
    return gap_ms


def _times(
    gap_ms: NDArray[np.int64], episodes: Episodes, context: SessionContext, layout: _Layout, settings: WorldSettings
) -> tuple[NDArray[np.int64], NDArray[np.bool_], NDArray[np.uint16]]:
    """Event times, which events take place, and their ordinals."""
    ends = layout.visit_ends[np.cumsum(context.lists) - 1]
    count = np.diff(ends, prepend=-1)
    begins = ends - count + 1
    session = np.repeat(np.arange(len(count)), count)
    total = np.cumsum(gap_ms)
    elapsed = (total - gap_ms) - (total[begins] - gap_ms[begins])[session]
    ordinal = np.arange(len(gap_ms)) - begins[session]
    limit = episodes.limit_ms[context.episode, context.second.astype(np.int64)]
    # The second session begins after the pause that ended the first one.
    start = episodes.start_ms[context.episode].copy()
    second = np.flatnonzero(context.second)
    kept = (elapsed <= limit[session]) & (ordinal < ids.ORDINALS_PER_SESSION)
    last = begins + np.maximum(np.add.reduceat(kept.astype(np.int64), begins), 1) - 1
    pause = gap_ms[ends[second - 1]]
    soon = soon_ms(episodes.key[context.episode[second]], settings)
    start[second] += elapsed[last[second - 1]] + np.where(pause >= break_from_ms(settings), pause, soon)
    since = elapsed + (start - episodes.start_ms[context.episode])[session]
    kept &= since <= episodes.bound_ms[context.episode][session]
    which = episodes.of_day[context.episode].astype(np.int64) * 2 + context.second
    return (
        elapsed + start[session],
        kept,
        (np.minimum(ordinal, ids.ORDINALS_PER_SESSION - 1) + which[session] * ids.ORDINALS_PER_SESSION).astype(
            np.uint16
        ),
    )
