"""R13: are the bursts of the ledger found, is nothing else found, and do they fade as a power law?"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from clickreel.audit.realism.bands import Band, Evidence, Measurement, RealismTest
from clickreel.audit.realism.columns import DAY_MS, HOUR_MS, EventTable
from clickreel.audit.realism.ledger_reader import Bursts
from clickreel.contract.vocabulary import EVENT_TYPES
from clickreel.insight.rise_detector import MINUTES_A_DAY, Openings, RiseRule, levels, statistics

DETAIL = EVENT_TYPES.index("detail_view")
# The rule of `trending` but for one number: that allows a false alarm a day, and a month has some twenty true ones.
RULE = RiseRule(false_alarms_per_day=0.01)
SLACK_H = 3  # an alarm may follow a burst's end for so long
_MINUTE_MS = DAY_MS // MINUTES_A_DAY
_HOUR_MIN = HOUR_MS // _MINUTE_MS
# Alarms of one film that lie closer together are one episode: a night's quiet does not end a burst.
EPISODE_H = 24
# Two laws of two parameters cannot be told apart on less.
FADE_COUNT_MIN = 50
FADE_HOURS_MIN = 12


def hourly_viewers(timeline: EventTable) -> tuple[int, NDArray[np.int64]]:
    """First hour since the epoch, and the people who opened each film in each hour (int64[hours, films])."""
    rows = timeline.event_type == DETAIL
    first, last = timeline.first_ms // HOUR_MS, timeline.last_ms // HOUR_MS
    hours, films = last - first + 1, len(timeline.films)
    cell = (timeline.ts_ms[rows] // HOUR_MS - first) * films + timeline.film[rows]
    once = np.unique(cell * len(timeline.users) + timeline.user[rows]) // len(timeline.users)
    return int(first), np.bincount(once, minlength=hours * films).reshape(hours, films)


def first_openings(timeline: EventTable) -> tuple[int, Openings]:
    """The first UTC day since the epoch, and people by minute and film: the first time on a day that each opens it."""
    by = timeline.by_user
    user, film, ts_ms = timeline.user[by], timeline.film[by], timeline.ts_ms[by]
    rows = np.flatnonzero(timeline.event_type[by] == DETAIL)
    first, films = timeline.first_ms // DAY_MS, len(timeline.films)
    whose = (ts_ms[rows] // DAY_MS * len(timeline.users) + user[rows]) * films + film[rows]
    # In order of time: of equal ones np.unique gives the first.
    rows = rows[np.unique(whose, return_index=True)[1]]
    cell, people = np.unique(
        (ts_ms[rows] // _MINUTE_MS - first * MINUTES_A_DAY) * films + film[rows], return_counts=True
    )
    minutes = (timeline.last_ms // DAY_MS + 1 - first) * MINUTES_A_DAY
    return int(first), Openings(cell // films, cell % films, people, int(minutes), films)


def rises(openings: Openings, rule: RiseRule) -> NDArray[np.bool_]:
    """The hours in which each film rises (bool[hours, films]), by the sequential test of :mod:`clickreel.insight.rise_detector`."""
    days = openings.minutes // MINUTES_A_DAY
    cell = openings.minute // MINUTES_A_DAY * openings.items + openings.item
    daily = np.bincount(cell, openings.people, days * openings.items).astype(np.int64)
    level = levels(daily.reshape(days, openings.items), rule, 0)
    level[: rule.baseline_days] = np.nan  # no verdict without a whole baseline
    threshold = rule.threshold(openings.items)
    found = np.zeros((openings.minutes // _HOUR_MIN, openings.items), np.bool_)
    for minute, values in enumerate(statistics(openings, level, rule, threshold)):
        found[minute // _HOUR_MIN] |= values >= threshold
    return found


def episodes(alarms: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Spans of alarms of one film: rows of (film, first hour, last hour), int64[n, 3]."""
    film, hour = np.nonzero(alarms.T)
    if not len(film):
        return np.empty((0, 3), np.int64)
    new = np.ones(len(film), np.bool_)
    new[1:] = (film[1:] != film[:-1]) | (hour[1:] - hour[:-1] > EPISODE_H)
    first = np.flatnonzero(new)
    last = np.append(first[1:], len(film)) - 1
    return np.stack([film[first], hour[first], hour[last]], axis=1).astype(np.int64)


def overlap(found: NDArray[np.int64], spans: NDArray[np.int64], slack_h: int) -> NDArray[np.bool_]:
    """Which found episodes meet which spans of the same film (bool[found, spans]); spans get ``slack_h`` more at their end."""
    same = found[:, None, 0] == spans[None, :, 0]
    meets: NDArray[np.bool_] = (
        same & (found[:, None, 1] <= spans[None, :, 2] + slack_h) & (found[:, None, 2] >= spans[None, :, 1])
    )
    return meets


def spans(bursts: Bursts, timeline: EventTable, first_hour: int) -> NDArray[np.int64]:
    """Bursts of films of the stream as rows of (film code, first hour, last hour), hours counted from ``first_hour``."""
    known = np.isin(bursts.film, timeline.films)
    return np.stack(
        [
            np.searchsorted(timeline.films, bursts.film[known]),
            bursts.start_ms[known] // HOUR_MS - first_hour,
            bursts.end_ms[known] // HOUR_MS - first_hour,
        ],
        axis=1,
    ).astype(np.int64)


def fade(counts: NDArray[np.int64], background: NDArray[np.float64]) -> float:
    """AIC of an exponential fade less AIC of a power law over hourly counts from the peak on; above 0 the power law is better.

    Counts are Poisson around ``background * (1 + A * shape)``, shape being ``(1 + t)^-p`` or ``exp(-t / tau)``, t in hours: a
    burst follows the rhythm of the day as everything does, else the first night would pass for its end. Both laws have two
    parameters, so the difference is twice that of the log-likelihoods.
    """
    from scipy.optimize import minimize

    t = np.arange(len(counts)) + 0.5
    peak = np.log(max(float(counts[0] - background[0]), 1.0))
    rhythm = background / background[0] if (background > 0).all() else np.ones(len(counts))

    def loss(parameters: NDArray[np.float64], power: bool) -> float:
        height, pace = np.exp(np.clip(parameters, -20, 20))
        rate = background + height * rhythm * ((1 + t) ** -pace if power else np.exp(-t * pace)) + 1e-9
        return float((rate - counts * np.log(rate)).sum())

    best = [
        min(float(minimize(loss, [peak, pace], args=(power,), method="Nelder-Mead").fun) for pace in np.log(starts))
        for power, starts in ((True, (0.5, 1.0)), (False, (0.03, 0.3)))
    ]
    return 2.0 * (best[1] - best[0])


def fades(counts: NDArray[np.int64], spans_: NDArray[np.int64]) -> list[float]:
    """:func:`fade` of each span that lies in the stream and holds enough clicks above its background.

    The background is the film's share of the week before, of what all films get now.
    """
    hour_total = counts.sum(axis=1)
    outcome = []
    for film, first, last in spans_:
        before = slice(max(first - RULE.baseline_days * 24, 0), first)
        if last >= len(counts) or last - first < FADE_HOURS_MIN or not hour_total[before].any():
            continue
        seen = counts[first : last + 1, film]
        background = counts[before, film].sum() / hour_total[before].sum() * hour_total[first : last + 1]
        top = int(np.argmax(seen[: FADE_HOURS_MIN // 2]))
        if (seen - background)[top:].sum() >= FADE_COUNT_MIN:
            outcome.append(fade(seen[top:], background[top:]))
    return outcome


def bursts(evidence: Evidence) -> Measurement:
    """R13: precision and recall of trending's sequential test against the ledger, and how bursts fade."""
    if evidence.ledger is None:
        return Measurement({}, "bursts are known from a ledger only: not measured")
    day, openings = first_openings(evidence.timeline)
    first, counts = hourly_viewers(evidence.timeline)
    true = spans(evidence.ledger.bursts, evidence.timeline, day * 24)
    explained = np.concatenate([true, spans(evidence.ledger.launches, evidence.timeline, day * 24)])
    asked = true[(true[:, 1] >= RULE.baseline_days * 24) & (true[:, 1] + SLACK_H < first - day * 24 + len(counts))]
    if not len(asked):
        return Measurement({}, "the ledger names no burst inside the stream: not measured")
    found = episodes(rises(openings, RULE))
    hit = overlap(found, asked, SLACK_H).any(axis=0)
    right = overlap(found, explained, SLACK_H).any(axis=1)
    values = {
        "recall": float(hit.mean()),
        "precision": float(right.mean()) if len(found) else float("nan"),
    }
    laws = fades(counts, asked - np.array([0, first - day * 24, first - day * 24]))
    if laws:
        values["AIC gain of power law"] = float(np.sum(laws))
    told = (
        f"{int(hit.sum())} of {len(asked)} bursts found, {int(right.sum())} of {len(found)} episodes are in the ledger"
    )
    return Measurement(values, f"{told}; the power law fits {sum(law > 0 for law in laws)} of {len(laws)} fades better")


TESTS = (
    RealismTest(
        "R13",
        "trending",
        (Band("recall", 0.9), Band("precision", 0.9), Band("AIC gain of power law", 0)),
        "Crane, Sornette, PNAS 2008; Dezso et al. 2005",
        bursts,
    ),
)
