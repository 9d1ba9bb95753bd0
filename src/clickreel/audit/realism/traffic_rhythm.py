"""R8 and R12: the rhythm of day and week, and what a session keeps or changes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from clickreel.audit.realism.bands import Band, Evidence, Measurement, RealismTest, ratio
from clickreel.audit.realism.columns import DAY_MS, HOUR_MS, MINUTE_MS, EventTable
from clickreel.contract.vocabulary import DEVICES, PAGES

HARMONICS = 6
# The fitted rate has 32 coefficients; fewer session starts than this fit anything.
STARTS_MIN = 1000
# 1970-01-01 was a Thursday; Monday is 0.
EPOCH_WEEKDAY = 3
DETAIL_PAGE = PAGES.index("film_detail")


def whole_days(timeline: EventTable) -> tuple[int, int]:
    """First and last UTC day number (exclusive) that the stream covers whole; half a minute at an edge is forgiven."""
    slack = MINUTE_MS // 2
    return -(-(timeline.first_ms - slack) // DAY_MS), (timeline.last_ms + slack) // DAY_MS


def hour_by_weekday(timeline: EventTable) -> NDArray[np.float64]:
    """Mean events an hour, by weekday (Monday first) and hour of the day, UTC, over whole days (float64[7, 24])."""
    first, last = whole_days(timeline)
    hours = np.bincount(
        np.clip(timeline.ts_ms // HOUR_MS - first * 24, -1, (last - first) * 24) + 1, minlength=(last - first) * 24 + 2
    )[1:-1].reshape(-1, 24)
    weekday = (np.arange(first, last) + EPOCH_WEEKDAY) % 7
    return np.stack(
        [hours[weekday == day].mean(axis=0) if (weekday == day).any() else np.full(24, np.nan) for day in range(7)]
    )


def start_dispersion(timeline: EventTable) -> float:
    """Pearson dispersion of session starts per minute around a fitted Poisson rate; 1 is a Poisson process.

    The rate: six harmonics of the day, apart for weekend and working days, a level for each weekday, and a trend.
    """
    from sklearn.linear_model import PoissonRegressor

    first, last = whole_days(timeline)
    minutes = (last - first) * 1440
    place = timeline.session_start_ms // MINUTE_MS - first * 1440
    starts = np.bincount(place[(place >= 0) & (place < minutes)], minlength=minutes).astype(np.float64)
    if starts.sum() < STARTS_MIN:
        return float("nan")
    minute = np.arange(minutes)
    day = (first + minute // 1440 + EPOCH_WEEKDAY) % 7
    angle = 2 * np.pi * (minute % 1440)[:, None] / 1440 * np.arange(1, HARMONICS + 1)
    waves = np.concatenate([np.sin(angle), np.cos(angle)], axis=1)
    weekend = (day >= 5)[:, None]
    level = (day[:, None] == np.arange(1, 7)).astype(np.float64)
    trend = (minute / minutes - 0.5)[:, None]
    features = np.concatenate([waves, waves * weekend, level, trend], axis=1)
    rate = PoissonRegressor(alpha=1e-6, max_iter=1000).fit(features, starts).predict(features)
    return float(((starts - rate) ** 2 / rate).sum() / (minutes - features.shape[1] - 1))


def rhythm(evidence: Evidence) -> Measurement:
    """R8: peak hour, swing of the day, swing of the week, and how Poisson-like sessions start."""
    first, last = whole_days(evidence.timeline)
    if last - first < 7:
        return Measurement({}, "the stream covers less than a week of whole days: not measured")
    grid = hour_by_weekday(evidence.timeline)
    hours, week = np.nanmean(grid, axis=0), grid.sum(axis=1)
    values = {
        "peak hour": float(np.argmax(hours)),
        "peak/trough": ratio(hours.max(), hours.min()),
        "weekday max/min": ratio(np.nanmax(week), np.nanmin(week)),
        "dispersion": start_dispersion(evidence.timeline),
    }
    return Measurement(values, "UTC, whole days")


def change_share(timeline: EventTable, column: NDArray[np.uint8]) -> float:
    """Share of sessions with at least two events in which a column changes."""
    change = (column[1:] != column[:-1]) & (timeline.session[1:] == timeline.session[:-1])
    changed = np.unique(timeline.session[1:][change])
    longer = int((np.diff(timeline.starts) >= 2).sum())
    return ratio(len(changed), longer)


def conditional_entropy(of: NDArray[np.uint8], given: NDArray[np.uint8]) -> float:
    """Entropy of one column given another one, in nats: 0 where the one follows from the other."""
    table = np.zeros((int(given.max()) + 1, int(of.max()) + 1))
    np.add.at(table, (given, of), 1.0)
    share = table / table.sum()
    within = share / np.maximum(share.sum(axis=1, keepdims=True), 1e-300)
    return float(-(share * np.log(np.where(within > 0, within, 1.0))).sum())


def session_attributes(evidence: Evidence) -> Measurement:
    """R12: the device stays, the referrer is the session's entry source."""
    timeline = evidence.timeline
    first = timeline.starts[:-1]
    mix = np.bincount(timeline.device[first], minlength=len(DEVICES)) / len(timeline.sessions)
    devices = ", ".join(f"{share:.0%} {name}" for share, name in sorted(zip(mix, DEVICES, strict=True), reverse=True))
    values = {
        "device changes": change_share(timeline, timeline.device),
        "one referrer": 1.0 - change_share(timeline, timeline.referrer),
        "H(referrer given page)": conditional_entropy(timeline.referrer, timeline.page),
        "landings": float((timeline.page[first] == DETAIL_PAGE).mean()),
    }
    return Measurement(values, f"sessions by device: {devices}; landings: sessions that begin on a film's page")


TESTS = (
    RealismTest(
        "R8",
        "rhythm",
        (
            Band("peak hour", 19, 22),
            Band("peak/trough", 3, 10, assumed=True),
            Band("weekday max/min", 1.05, 1.5, assumed=True),
            Band("dispersion", 0.9, 1.5),
        ),
        "ONS 21:00; Yu et al., EuroSys 2006; swings of day and week [A]",
        rhythm,
    ),
    RealismTest(
        "R12",
        "session attributes",
        (
            Band("device changes", None, 0.01),
            Band("one referrer", 0.9),
            Band("H(referrer given page)", 0.3),
            Band("landings", 0.10, 0.40, assumed=True),
        ),
        "definition (the referrer is the entry source); device mix about 56 mobile / 42 web / 2 tablet (StatCounter 2021); landings [A]",
        session_attributes,
    ),
)
