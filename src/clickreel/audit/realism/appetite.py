"""R18 and R19: how differently people and films draw, and whether people have enough of what they had."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clickreel.audit.realism.bands import Band, Evidence, Measurement, RealismTest, ratio
from clickreel.audit.realism.columns import EventTable
from clickreel.audit.realism.machines import machines
from clickreel.contract.vocabulary import EVENT_TYPES

_RANKS = 64
VIEW, DETAIL, SAVE = (EVENT_TYPES.index(name) for name in ("view", "detail_view", "add_to_watchlist"))


def dispersion(tried: NDArray[np.int64], done: NDArray[np.int64]) -> float:
    """Pearson dispersion of shares around the common share: 1 is one coin for all."""
    kept = tried > 0
    tried, done = tried[kept], np.minimum(done[kept], tried[kept])
    share = ratio(done.sum(), tried.sum())
    if len(tried) < 2 or not 0 < share < 1:
        return float("nan")
    return float(((done - tried * share) ** 2 / (tried * share * (1 - share))).sum() / (len(tried) - 1))


def _counts(timeline: EventTable, by: str, kind: int, people: NDArray[np.bool_]) -> NDArray[np.int64]:
    column = getattr(timeline, by)[(timeline.event_type == kind) & people]
    return np.bincount(column, minlength=len(timeline.films if by == "film" else timeline.users))


def appetite(evidence: Evidence) -> Measurement:
    """R18: dispersions of saves and clicks."""
    timeline = evidence.timeline
    people = ~machines(timeline)[timeline.user]
    of = {(by, kind): _counts(timeline, by, kind, people) for by in ("film", "user") for kind in (VIEW, DETAIL, SAVE)}
    values = {
        "saves by film": dispersion(of["film", DETAIL], of["film", SAVE]),
        "saves by person": dispersion(of["user", DETAIL], of["user", SAVE]),
        "clicks by person": dispersion(of["user", VIEW], of["user", DETAIL]),
    }
    return Measurement(values, "saves per detail view, detail views per view; without machines")


@dataclass(frozen=True, slots=True)
class Repetition:
    """How readily a film is done (opened, saved) by those who did it before, over others with a film at the same place.

    Attributes:
        same_visit: Done before in the same session.
        later: Done before in an earlier session.
        share: Share of the tries (views, openings) whose film was done before.
    """

    same_visit: float
    later: float
    share: float


def repetition(timeline: EventTable, tried: int, done: int) -> Repetition:
    """What becomes of tries (views, openings) at films that were done before: page and rank, which decide most, are kept apart."""
    by = timeline.by_user
    user, film = timeline.user[by].astype(np.int64), timeline.film[by].astype(np.int64)
    kind = timeline.event_type[by]
    rows = np.flatnonzero(((kind == tried) | (kind == done)) & ~machines(timeline)[user])
    if len(rows) < 2:
        return Repetition(math.nan, math.nan, math.nan)
    pair = user[rows] * len(timeline.films) + film[rows]
    order = np.argsort(pair, kind="stable")
    rows, pair = rows[order], pair[order]
    session, is_done = timeline.session[by][rows], kind[rows] == done
    last = np.maximum.accumulate(np.where(is_done, np.arange(len(pair)), -1))
    last = np.concatenate([[-1], last[:-1]])
    before = (last >= 0) & (pair[last] == pair)
    same = before & (session[last] == session)
    # A try leads somewhere where the next thing with that film, in the session, is the deed.
    leads = np.zeros(len(pair), bool)
    leads[:-1] = is_done[1:] & (pair[1:] == pair[:-1]) & (session[1:] == session[:-1])
    place = timeline.page[by][rows].astype(np.int64) * _RANKS + np.minimum(timeline.position[by][rows], _RANKS - 1)
    tries, first = ~is_done, ~is_done & ~before
    usual = np.bincount(place[first & leads], minlength=place.max() + 1) / np.maximum(
        np.bincount(place[first], minlength=place.max() + 1), 1
    )

    def over_usual(which: NDArray[np.bool_]) -> float:
        return ratio((leads & which).sum(), usual[place[which]].sum())

    return Repetition(
        over_usual(tries & same), over_usual(tries & before & ~same), ratio((tries & before).sum(), tries.sum())
    )


def satiation(evidence: Evidence) -> Measurement:
    """R19: opened before, saved before."""
    opened = repetition(evidence.timeline, VIEW, DETAIL)
    saved = repetition(evidence.timeline, DETAIL, SAVE)
    note = f"{opened.share:.1%} of the views are of a film opened before, {saved.share:.1%} of the detail views of one saved before"
    values = {
        "opened again, same visit": opened.same_visit,
        "saved again, same visit": saved.same_visit,
        "opened again, later": opened.later,
        "saved again, later": saved.later,
    }
    return Measurement(values, note)


TESTS = (
    RealismTest(
        "R18",
        "appetite",
        (
            Band("saves by film", 2, 10, assumed=True),
            Band("saves by person", 1.5, 10, assumed=True),
            Band("clicks by person", 2, 10, assumed=True),
        ),
        "people and items differ: beta-binomial click models (Agarwal et al., KDD 2010); one coin for all gives 1 [A]",
        appetite,
    ),
    RealismTest(
        "R19",
        "satiation",
        (
            Band("opened again, same visit", 0.05, 1.0),
            Band("saved again, same visit", None, 0.25, assumed=True),
            Band("opened again, later"),
            Band("saved again, later"),
        ),
        "impression discounting (Lee et al., KDD 2014); what is on the list is not put there again [A]",
        satiation,
    ),
)
