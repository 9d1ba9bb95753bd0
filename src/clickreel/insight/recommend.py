"""What to watch next, computed in ClickHouse.

For a film: the films opened in its sessions, most sessions first: the conditional probability of the other given this one (Deshpande,
Karypis, TOIS 2004), which does better on streams like this than the cosine (see :mod:`clickreel.audit.realism.learnable`).

For a session and for a person: sequential rules (:mod:`clickreel.insight.recommenders.item_pairs`) over the last clicks of the session, and over the
last fifty of the person; films that the person has opened are left out. Of a window with more than 300,000 openings the newest hours
with so many are learnt from; the answer's window says which.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from clickreel.errors import UsageError
from clickreel.insight.queries import text
from clickreel.insight.recommenders.click_sessions import ClickSessions
from clickreel.insight.recommenders.item_pairs import CLICKS_GIVEN, FADE, LAGS, MEMORY, MEMORY_FADE, SHRINK
from clickreel.insight.recommenders.live_rules import LiveRecommender
from clickreel.insight.recommenders.people_evaluation import compare_people
from clickreel.insight.window import Window
from clickreel.warehouse.client import Client

DEPTH = 20
TRAIN_PART = 0.8
# What a list is learnt from at most. The statements read their openings several times: twelve million of them took minutes.
OPENINGS_MAX = 300_000


@dataclass(frozen=True)
class Film:
    """One recommended film.

    Attributes:
        film_id: Its id.
        title: Its title; empty where the dictionary does not know it.
        score: By what it is ranked: a probability for a film's neighbours, votes for a person and a session, sessions for popular ones.
        because_id: The film that adds most to its score; ``None`` for popular ones.
        because: That film's title.
    """

    film_id: int
    title: str
    score: float
    because_id: int | None = None
    because: str = ""


@dataclass(frozen=True)
class Recommendation:
    """A ranked list.

    Attributes:
        of: ``film``, ``user`` or ``session``.
        id: Whose; of a session the film that was opened last, 0 for a new user.
        basis: ``together``: films that share sessions with a film; ``rules``: films that follow; ``popular``: nothing is known, so the films opened most.
        window: The stretch of time that was learnt from.
        films: The films, best first.
    """

    of: str
    id: int
    basis: str
    window: Window
    films: tuple[Film, ...]

    def as_json(self) -> dict[str, Any]:
        """All of it, for ``--json``."""
        films = [{"rank": rank, **dataclasses.asdict(film)} for rank, film in enumerate(self.films, 1)]
        whose = f"u_{self.id}" if self.of == "user" else self.id
        return {self.of: whose, "basis": self.basis, "window": self.window.as_json(), "films": films}


@dataclass(frozen=True)
class Evaluation:
    """How good recommendations are: learnt from the first four fifths of a window, asked about the last.

    Attributes:
        window: The window.
        next_questions: Next films in a session that were to be predicted from the film before.
        next_hit_rate_10: Share that was among the first ten.
        next_hit_rate_20: Among the first twenty.
        next_mrr_20: Mean reciprocal rank among the first twenty.
        popular_next_hit_rate_10: The same for the films opened most.
        popular_next_hit_rate_20: Likewise.
        popular_next_mrr_20: Likewise.
        people: People whose next new film was to be predicted from all they opened before.
        people_hit_rate_10: Share of them in whose first ten it was.
        popular_people_hit_rate_10: The same for the films opened most of those new to them.
    """

    window: Window
    next_questions: int
    next_hit_rate_10: float
    next_hit_rate_20: float
    next_mrr_20: float
    popular_next_hit_rate_10: float
    popular_next_hit_rate_20: float
    popular_next_mrr_20: float
    people: int
    people_hit_rate_10: float
    popular_people_hit_rate_10: float

    def as_json(self) -> dict[str, Any]:
        """All of it, for ``--json``."""
        return {**dataclasses.asdict(self), "window": self.window.as_json()}


def film_of(client: Client, given: str) -> int:
    """The id of a film that is given by id or by title.

    Raises:
        UsageError: No film has this id, or none, or several, have this title.
    """
    if given.isascii() and given.isdigit():
        return _known_film(client, given)
    rows = client.rows(
        "SELECT film_id, film_title FROM dvd_films WHERE lowerUTF8(film_title) = lowerUTF8({title:String}) "
        "OR positionCaseInsensitiveUTF8(film_title, {title:String}) > 0 "
        "ORDER BY lowerUTF8(film_title) = lowerUTF8({title:String}) DESC, film_id LIMIT 5",
        {"title": given},
    )
    exact = [row for row in rows if str(row[1]).lower() == given.lower()]
    found = exact or rows
    if len(found) == 1:
        return int(found[0][0])
    if not found:
        raise UsageError(f"no film is called {given!r}", hint="give the film_id, or a part of the title")
    raise UsageError(
        f"several films are called {given!r}: " + ", ".join(f"{row[1]} ({row[0]})" for row in found),
        hint="give the film_id",
    )


def _known_film(client: Client, given: str) -> int:
    """The id, when the catalogue or an event has it."""
    film = int(given)
    known = film < 2**31 and client.rows(
        "SELECT 1 FROM dvd_films WHERE film_id = {film:Int32} LIMIT 1 "
        "UNION ALL SELECT 1 FROM dvd_clicks_landing WHERE error = '' AND film_id = {film:Int32} LIMIT 1",
        {"film": film},
    )
    if not known:
        raise UsageError(
            f"film {given[:20]} is neither in the catalogue nor in any event",
            hint="give the film_id, or a part of the title; clickreel trending shows ids",
        )
    return film


def user_of(given: str) -> int:
    """The number of a user that is given as ``u_10`` or ``10``.

    Raises:
        UsageError: It is neither.
    """
    bare = given.removeprefix("u_")
    if not (bare.isascii() and bare.isdigit() and int(bare) < 2**64):
        raise UsageError(f"the user is {given!r}", hint="write it as u_10 or 10")
    return int(bare)


def _newest(client: Client, window: Window) -> Window:
    """A window shortened to its newest whole hours with :data:`OPENINGS_MAX` openings at most."""
    ((hour,),) = client.rows(
        text("newest_openings"), {**window.parameters, "most": OPENINGS_MAX}, projection="device_hours"
    )
    return dataclasses.replace(window, begin_ms=max(window.begin_ms, int(hour) * 3_600_000))


def for_film(client: Client, film: int, window: Window, *, limit: int = 10) -> Recommendation:
    """Films that share sessions with a film; the popular ones when it has none."""
    window = _newest(client, window)
    rows = client.rows(text("similar"), {**window.parameters, "film": film, "limit": limit})
    if not rows:
        return Recommendation("film", film, "popular", window, _popular(client, window, 0, limit))
    films = tuple(Film(int(one), str(title), float(part)) for one, title, _, part in rows)
    return Recommendation("film", film, "together", window, films)


def for_user(client: Client, user: int, window: Window, *, limit: int = 10) -> Recommendation:
    """Films that are new to a person, by sequential rules; the popular ones when nothing is known of them."""
    window = _newest(client, window)
    rows = client.rows(text("opened_by"), {"user": user, "end_ms": window.end_ms})
    opened = [int(film) for film, _ in rows]
    films = _by_rules(client, opened[:MEMORY], window, fade=MEMORY_FADE, without=sorted(set(opened)), limit=limit)
    if not films:
        return Recommendation("user", user, "popular", window, _popular(client, window, user, limit))
    return Recommendation("user", user, "rules", window, films)


def for_session(client: Client, films: Sequence[int], window: Window, *, limit: int = 10) -> Recommendation:
    """What comes next in a session, by sequential rules; the popular films when its films were never opened by anybody.

    The film that was opened last may come again: people go back to compare.

    Args:
        client: The warehouse.
        films: Films opened in the session, the latest last.
        window: What is learnt from.
        limit: How many films.
    """
    last, window = int(films[-1]), _newest(client, window)
    found = _by_rules(client, list(films)[: -CLICKS_GIVEN - 1 : -1], window, fade=FADE, without=[], limit=limit)
    if not found:
        return Recommendation("session", last, "popular", window, _popular(client, window, 0, limit))
    return Recommendation("session", last, "rules", window, found)


def _by_rules(
    client: Client, latest: list[int], window: Window, *, fade: float, without: list[int], limit: int
) -> tuple[Film, ...]:
    """Films by the votes of the latest clicks, the latest first; none when nothing is known of those."""
    if not latest:
        return ()
    rules = {
        "films": latest,
        "weights": [fade**back for back in range(len(latest))],
        "lags": LAGS,
        "shrink": SHRINK,
        "without": without,
    }
    rows = client.rows(text("next_by_rules"), {**window.parameters, **rules, "limit": limit})
    return tuple(_because(row) for row in rows)


def for_new_user(client: Client, window: Window, *, limit: int = 10) -> Recommendation:
    """For somebody of whom nothing is known: the films opened most."""
    window = _newest(client, window)
    return Recommendation("user", 0, "popular", window, _popular(client, window, 0, limit))


def by_live_rules(client: Client, live: LiveRecommender, user: int, *, limit: int = 10) -> Recommendation:
    """For a person, by rules that are kept in memory: what was clicked counts as soon as the model has looked at what landed."""
    ranked = live.reasons_for_user(user, limit)
    ids = sorted({one for film, _, because in ranked for one in (film, because)})
    titles = dict(
        client.rows(
            "SELECT arrayJoin({ids:Array(Int32)}) AS film, dictGetOrDefault('dvd_films', 'film_title', toUInt64(film), '')",
            {"ids": ids},
        )
    )
    films = (_because((film, titles[film], score, because, titles[because])) for film, score, because in ranked)
    window = dataclasses.replace(live.window, end_ms=max(live.window.end_ms, live.rules.newest_ms + 1))
    basis = "rules" if any(because for _, _, because in ranked) else "popular"
    return Recommendation("user", user, basis, window, tuple(films))


def _because(row: tuple[Any, ...]) -> Film:
    film, title, score, because, because_title = row
    if not because:  # null or 0: popularity alone speaks for it
        return Film(int(film), str(title), float(score))
    return Film(int(film), str(title), float(score), int(because), str(because_title))


def _popular(client: Client, window: Window, user: int, limit: int) -> tuple[Film, ...]:
    rows = client.rows(text("popular"), {**window.parameters, "user": user, "limit": limit})
    return tuple(Film(int(film), str(title), float(sessions)) for film, title, sessions in rows)


def evaluate(client: Client, window: Window, clicks: ClickSessions) -> Evaluation:
    """Measure both kinds of recommendation against popularity; ``clicks`` are those of the window."""
    begin_ms = max(window.begin_ms, window.first_ms)
    places = {
        "from_ms": begin_ms,
        "end_ms": window.end_ms,
        "cut_ms": begin_ms + int(TRAIN_PART * (window.end_ms - 1 - begin_ms)),
    }
    (following,) = client.rows(text("evaluate_next"), {**places, "depth": DEPTH})
    people = compare_people(clicks, places["cut_ms"])
    if not following[0] or not people.asked:
        raise UsageError(
            f"nothing to ask: {following[0]} next films and {people.asked} people in the last fifth of the window",
            hint="a longer --since",
        )
    questions, hit_10, hit_20, mrr, popular_10, popular_20, popular_mrr = following
    return Evaluation(
        window=window,
        next_questions=int(questions),
        next_hit_rate_10=float(hit_10),
        next_hit_rate_20=float(hit_20),
        next_mrr_20=float(mrr),
        popular_next_hit_rate_10=float(popular_10),
        popular_next_hit_rate_20=float(popular_20),
        popular_next_mrr_20=float(popular_mrr),
        people=people.asked,
        people_hit_rate_10=people.hit_rate_10,
        popular_people_hit_rate_10=people.popular_hit_rate_10,
    )
