"""R14 and R20: when people come back, in bursts, on their days and at their hours."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clickreel.audit.realism.bands import Band, Evidence, Measurement, RealismTest, ratio
from clickreel.audit.realism.click_log import correlation
from clickreel.audit.realism.columns import DAY_MS, HOUR_MS, MINUTE_MS, EventTable
from clickreel.audit.realism.machines import machines
from clickreel.audit.realism.traffic_rhythm import EPOCH_WEEKDAY
from clickreel.contract.vocabulary import DEVICES

F64 = NDArray[np.float64]

_COUNTED_MIN = 150  # events of a bin, for its neighbour to be compared with it
_VISITS_MIN = 10  # of a person, for its rhythm to be measured
_HABIT_VISITS_MIN = 16
_SETTLED_DAYS = 7  # who was not seen in the first week is new
_RETURN_DAYS = (1, 3, 7, 13)


def silences_min(timeline: EventTable) -> F64:
    """Minutes from the end of each session to the start of its user's next one."""
    user, start = timeline.session_user, timeline.session_start_ms
    end = timeline.ts_ms[timeline.starts[1:] - 1]
    silences: F64 = ((start[1:] - end[:-1]) / MINUTE_MS)[user[1:] == user[:-1]]
    return silences


def steepest(values: F64, low: float, high: float, width: float) -> float:
    """The largest rise of a histogram from one bin to the next: an edge, where nothing would have been; NaN where too few are counted."""
    counts = np.bincount(((values[(values >= low) & (values < high)] - low) / width).astype(np.int64))
    rises = [
        ratio(later, max(before, 1))
        for before, later in itertools.pairwise(counts)
        if max(before, later) >= _COUNTED_MIN
    ]
    return max(rises, default=float("nan"))


def returns(evidence: Evidence) -> Measurement:
    """R14: soon after a visit, and without an edge anywhere."""
    timeline = evidence.timeline
    silences = silences_min(timeline)
    lasted = (timeline.ts_ms[timeline.starts[1:] - 1] - timeline.session_start_ms) / MINUTE_MS
    values = {
        "back within 30-60 min": ratio(((silences >= 30) & (silences < 60)).sum(), len(silences)),
        "edge of silences": steepest(silences, 30, 240, 5),
        "edge of lengths": steepest(lasted, 10, 180, 5),
    }
    return Measurement(
        values, "of all returns of one's last visit's end; an edge: a bin of five minutes over the one before"
    )


@np.errstate(divide="ignore", invalid="ignore")
def burstiness(timeline: EventTable, people: NDArray[np.bool_]) -> float:
    """Mean over people of (sd - mean) / (sd + mean) of the times between visits (Goh, Barabasi, EPL 2008): 0 for a Poisson process."""
    user, start = timeline.session_user, timeline.session_start_ms
    same = (user[1:] == user[:-1]) & people[user[1:]]
    wait, of = (np.diff(start) / HOUR_MS)[same], user[1:][same]
    count = np.bincount(of, minlength=len(people))
    mean = np.bincount(of, wait, len(people)) / count
    spread = np.sqrt(np.maximum(np.bincount(of, wait**2, len(people)) / count - mean**2, 0))
    each = ((spread - mean) / (spread + mean))[count >= _VISITS_MIN - 1]
    return float(each.mean()) if len(each) else float("nan")


def weekly_dispersion(timeline: EventTable, people: NDArray[np.bool_]) -> float:
    """Variance over mean of a person's visits from week to week, over all people: 1 for a Poisson process."""
    weeks = int(timeline.days + 0.01) // 7
    if weeks < 2:
        return float("nan")
    week = (timeline.session_start_ms - timeline.first_ms) // (7 * DAY_MS)
    kept = (week < weeks) & people[timeline.session_user]
    cell = timeline.session_user[kept].astype(np.int64) * weeks + week[kept]
    counts = np.bincount(cell, minlength=len(people) * weeks).reshape(-1, weeks)
    return ratio(counts.var(axis=1, ddof=1).sum(), counts.mean(axis=1).sum())


def return_curve(timeline: EventTable, people: NDArray[np.bool_]) -> list[float]:
    """Share of those first seen after the first week who are here 1, 3, 7, 13 days later."""
    day = (timeline.session_start_ms - timeline.first_ms) // DAY_MS
    last = int(timeline.days + 0.01)
    first = np.full(len(people), last + 1)
    np.minimum.at(first, timeline.session_user, day)
    new = people & (first >= _SETTLED_DAYS) & (first + _RETURN_DAYS[-1] < last)
    if new.sum() < 20:
        return [float("nan")] * len(_RETURN_DAYS)
    here = np.unique(timeline.session_user.astype(np.int64) * (last + 2) + day)
    wanted = np.flatnonzero(new) * (last + 2) + first[new]
    return [float(np.isin(wanted + later, here).mean()) for later in _RETURN_DAYS]


def habits(timeline: EventTable, people: NDArray[np.bool_]) -> tuple[float, float]:
    """Correlation over people, between odd and even weeks, of the share of visits on weekends, and of the usual hour."""
    start, user = timeline.session_start_ms, timeline.session_user
    day = start // DAY_MS
    odd = (day + EPOCH_WEEKDAY) // 7 % 2
    weekend = ((day + EPOCH_WEEKDAY) % 7 >= 5).astype(np.float64)
    angle = 2 * np.pi * (start % DAY_MS) / DAY_MS
    count = np.stack([np.bincount(user[odd == part], minlength=len(people)) for part in (0, 1)])
    busy = people & (count >= _HABIT_VISITS_MIN // 2).all(axis=0)
    if busy.sum() < 20:
        return float("nan"), float("nan")

    def halves(value: F64) -> NDArray[Any]:
        sums = [np.bincount(user[odd == part], value[odd == part], len(people)) for part in (0, 1)]
        return np.asarray(np.stack(sums) / np.maximum(count, 1))[:, busy]

    by_day = correlation(*halves(weekend))
    east, north = halves(np.cos(angle)), halves(np.sin(angle))
    middle = np.arctan2(north.mean(), east.mean())
    east, north = east * np.sin(middle), north * np.cos(middle)
    by_hour = correlation(*(north - east))
    return by_day, by_hour


def device_by_hour(timeline: EventTable, people: NDArray[np.bool_]) -> float:
    """Cramer's V of the device and the hour of the day, over sessions, less what chance adds (Bergsma 2013)."""
    kept = people[timeline.session_user]
    hour = (timeline.session_start_ms[kept] % DAY_MS) // HOUR_MS
    device = timeline.device[timeline.starts[:-1]][kept].astype(np.int64)
    table = np.bincount(hour * len(DEVICES) + device, minlength=24 * len(DEVICES)).reshape(24, -1).astype(np.float64)
    table = table[table.sum(axis=1) > 0][:, table.sum(axis=0) > 0]
    total, (rows, columns) = table.sum(), table.shape
    if total < 2 or min(rows, columns) < 2:
        return float("nan")
    expected = table.sum(axis=1, keepdims=True) * table.sum(axis=0) / total
    squared = ((table - expected) ** 2 / expected).sum() / total - (rows - 1) * (columns - 1) / (total - 1)
    return float(np.sqrt(max(squared, 0.0) / (min(rows, columns) - 1)))


def lives(evidence: Evidence) -> Measurement:
    """R20: bursts, weeks, farewells, habits, devices."""
    timeline = evidence.timeline
    people = ~machines(timeline)
    weekend, hour = habits(timeline, people)
    curve = return_curve(timeline, people)
    values = {
        "burstiness": burstiness(timeline, people),
        "weekly var/mean": weekly_dispersion(timeline, people),
        "return day 13 / day 1": ratio(curve[-1], curve[0]),
        "weekend habit r": weekend,
        "hour habit r": hour,
        "device by hour V": device_by_hour(timeline, people),
    }
    told = " ".join(f"{share:.2f}" for share in curve)
    return Measurement(values, f"without machines; newcomers' return on day 1, 3, 7, 13: {told}")


TESTS = (
    RealismTest(
        "R14",
        "returns",
        (
            Band("back within 30-60 min", 0.03, 0.25),
            Band("edge of silences", None, 1.4, assumed=True),
            Band("edge of lengths", None, 1.4, assumed=True),
        ),
        "long tail without an edge: Halfaker et al., WWW 2015; share [A]",
        returns,
    ),
    RealismTest(
        "R20",
        "lives",
        (
            Band("burstiness", 0.2, 0.6),
            Band("weekly var/mean", 2.0),
            Band("return day 13 / day 1", 0.2, 0.6, assumed=True),
            Band("weekend habit r", 0.3, assumed=True),
            Band("hour habit r", 0.3, assumed=True),
            Band("device by hour V", 0.03, assumed=True),
        ),
        "Goh, Barabasi, EPL 2008; Barabasi, Nature 2005; return halves by day 13, habits [A]",
        lives,
    ),
)
