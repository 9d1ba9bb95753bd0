"""R21, R22 and R24: what moves everybody, who can be met, and what is no person."""

from __future__ import annotations

import numpy as np

from clickreel.audit.realism.bands import Band, Evidence, Measurement, RealismTest, ratio
from clickreel.audit.realism.click_log import ClickLog
from clickreel.audit.realism.columns import DAY_MS, HOUR_MS, MINUTE_MS, EventTable
from clickreel.audit.realism.machines import SCREEN_MS, machines
from clickreel.audit.realism.traffic_rhythm import EPOCH_WEEKDAY, whole_days
from clickreel.audit.realism.two_sample import classify
from clickreel.contract.vocabulary import EVENT_TYPES

_DETAIL = EVENT_TYPES.index("detail_view")
_MESSAGES = 600  # what is seen of a topic in some minutes
_BLOCKS = 20
_QUIET_EVENTS = 5  # a minute with fewer says nothing about its gaps


def daily_dispersion(timeline: EventTable) -> float:
    """Variance over mean of the sessions a day around the mean of the weekday; 1 for a Poisson process."""
    first, last = whole_days(timeline)
    if last - first < 14:
        return float("nan")
    day = timeline.session_start_ms // DAY_MS - first
    counts = np.bincount(day[(day >= 0) & (day < last - first)], minlength=last - first).astype(np.float64)
    weekday = (np.arange(first, last) + EPOCH_WEEKDAY) % 7
    around = np.array([counts[weekday == number].mean() for number in range(7)])[weekday]
    return ratio(((counts - around) ** 2).sum() / (len(counts) - 7), counts.mean())


def weather(evidence: Evidence) -> Measurement:
    """R21: busy and quiet days, new films, films that come."""
    from scipy.stats import spearmanr

    timeline, ledger = evidence.timeline, evidence.ledger
    values = {"days var/mean": daily_dispersion(timeline)}
    notes = []
    if evidence.years:
        years = np.array([evidence.years.get(int(film), 0) for film in timeline.films])
        counts = np.bincount(timeline.film[timeline.event_type == _DETAIL], minlength=len(timeline.films))
        known = years > 0
        values["popularity and year rho"] = float(spearmanr(counts[known], years[known]).statistic)
    else:
        notes.append("the films' years are not known: their rho is not measured")
    if ledger is not None and timeline.days > 6:
        start = ledger.arrivals.start_ms
        seen = start[(start >= timeline.first_ms) & (start <= timeline.last_ms)]
        values["launches a week"] = len(seen) / (timeline.days / 7)
        hours = np.unique(seen % DAY_MS // HOUR_MS)
        notes.append(f"films arrive at {len(hours)} different hours")
    return Measurement(values, "; ".join(notes))


def seen_again(timeline: EventTable) -> float:
    """Of 600 messages in sequence: the share whose person was seen in them before; over stretches spread over the stream."""
    order = np.argsort(timeline.ts_ms, kind="stable")
    shares = []
    for first in np.linspace(0, max(len(order) - _MESSAGES, 0), 40).astype(np.int64):
        user = timeline.user[order[first : first + _MESSAGES]]
        shares.append(1 - len(np.unique(user)) / len(user))
    return float(np.mean(shares))


def identities(evidence: Evidence) -> Measurement:
    """R22: numbers that leak nothing, people who can be met."""
    timeline = evidence.timeline
    largest = int(timeline.users.max())
    block = np.minimum(timeline.users.astype(np.int64) * _BLOCKS // (largest + 1), _BLOCKS - 1)
    counts = np.bincount(block, minlength=_BLOCKS)
    values = {
        "largest id / people": ratio(largest, len(timeline.users)),
        "emptiest block of ids": ratio(counts.min(), counts.mean()),
        "seen again in 600": seen_again(timeline),
    }
    return Measurement(values, "ids in twenty blocks: people in the emptiest one, over the mean")


def gap_variation(timeline: EventTable) -> float:
    """Coefficient of variation of the gaps between successive screens of the whole stream, minute by minute: 1 for a Poisson process, 0 for a metronome."""
    first = np.ones(len(timeline), bool)
    first[1:] = (timeline.session[1:] != timeline.session[:-1]) | (np.diff(timeline.ts_ms) >= SCREEN_MS)
    ts_ms = np.sort(timeline.ts_ms[first])
    gap, minute = np.diff(ts_ms).astype(np.float64), ts_ms[:-1] // MINUTE_MS - ts_ms[0] // MINUTE_MS
    count = np.bincount(minute)
    busy = count >= _QUIET_EVENTS
    if not busy.any():
        return float("nan")
    mean = np.bincount(minute, gap)[busy] / count[busy]
    spread = np.sqrt(
        np.maximum(np.bincount(minute, gap**2)[busy] / count[busy] - mean**2, 0) * count[busy] / (count[busy] - 1)
    )
    return float((spread / np.maximum(mean, 1e-9)).mean())


def machines_and_chance(evidence: Evidence) -> Measurement:
    """R24: bots, jitter, and the floor of the two-sample test."""
    timeline = evidence.timeline
    log = ClickLog.from_timeline(timeline)
    floor = classify(log.half(0).features(), log.half(1).features(), tells=False) if log.sessions > 200 else None
    values = {
        "machines' events": float(machines(timeline)[timeline.user].mean()),
        "variation of gaps": gap_variation(timeline),
    }
    if floor is not None:
        values["two halves AUC"] = floor.auc
    return Measurement(
        values, "machines by their pace; the two-sample test between two halves of the sessions finds chance only"
    )


TESTS = (
    RealismTest(
        "R21",
        "weather",
        (
            Band("days var/mean", 5.0, assumed=True),
            Band("popularity and year rho", 0.2, 0.7, assumed=True),
            Band("launches a week", 0.5, 5.0, assumed=True),
        ),
        "days differ for everybody: Weinberg et al., JASA 2007 (over-dispersed arrivals); new films, launches [A]",
        weather,
    ),
    RealismTest(
        "R22",
        "identities",
        (
            Band("largest id / people", None, 3.0),
            Band("emptiest block of ids", 0.25, assumed=True),
            Band("seen again in 600", 0.5, assumed=True),
        ),
        "definition (numbers are given out in order of joining); a session can be seen [A]",
        identities,
    ),
    RealismTest(
        "R24",
        "machines and chance",
        (
            Band("machines' events", 0.02, 0.05),
            Band("variation of gaps", 0.6, 1.6, assumed=True),
            Band("two halves AUC", 0.45, 0.55),
        ),
        "bots in shops' logs 2-5 % after filtering [A]; Lopez-Paz, Oquab, ICLR 2017 (RSC15's halves: .505)",
        machines_and_chance,
    ),
)
