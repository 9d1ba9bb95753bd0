"""R8 and R12: the rhythm of day and week, and what a session keeps or changes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from clickreel.audit.realism.bands import Band, Evidence, Measurement, RealismTest, ratio
from clickreel.audit.realism.columns import DAY_MS, HOUR_MS, MINUTE_MS, EventTable
from clickreel.contract.vocabulary import DEVICES, REFERRERS

HARMONICS = 6
# The fitted rate has 32 coefficients; fewer session starts than this fit anything.
STARTS_MIN = 1000
# 1970-01-01 was a Thursday; Monday is 0.
EPOCH_WEEKDAY = 3
# Place in session, in events: 1, 2-3, 4-7, 8-15, 16-31, 32 and more.
PLACE_BINS = 6


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


def device_change_share(timeline: EventTable) -> float:
    """Share of sessions with at least two events whose device changes."""
    change = (timeline.device[1:] != timeline.device[:-1]) & (timeline.session[1:] == timeline.session[:-1])
    changed = np.unique(timeline.session[1:][change])
    longer = int((np.diff(timeline.starts) >= 2).sum())
    return ratio(len(changed), longer)


def referrer_by_place(timeline: EventTable) -> NDArray[np.int64]:
    """Events by referrer and place in session (int64[referrers, PLACE_BINS])."""
    place = np.arange(len(timeline)) - timeline.starts[timeline.session] + 1
    bin_ = np.minimum(np.log2(place).astype(np.int64), PLACE_BINS - 1)
    cells = np.bincount(timeline.referrer.astype(np.int64) * PLACE_BINS + bin_, minlength=len(REFERRERS) * PLACE_BINS)
    return cells.reshape(len(REFERRERS), PLACE_BINS)


def information(table: NDArray[np.int64]) -> tuple[float, float]:
    """Mutual information of a table's two sides in nats, and the p-value of its G-test."""
    from scipy.stats import chi2_contingency

    table = table[table.sum(axis=1) > 0][:, table.sum(axis=0) > 0]
    if min(table.shape) < 2:
        return 0.0, 1.0
    test = chi2_contingency(table, correction=False, lambda_="log-likelihood")
    return float(test.statistic / (2 * table.sum())), float(test.pvalue)


def session_attributes(evidence: Evidence) -> Measurement:
    """R12: the device stays, the referrer depends on the place in the session."""
    timeline = evidence.timeline
    shared, p = information(referrer_by_place(timeline))
    mix = np.bincount(timeline.device[timeline.starts[:-1]], minlength=len(DEVICES)) / len(timeline.sessions)
    devices = ", ".join(f"{share:.0%} {name}" for share, name in sorted(zip(mix, DEVICES, strict=True), reverse=True))
    values = {"device changes": device_change_share(timeline), "information (nats)": shared, "p of no information": p}
    return Measurement(values, f"sessions by device: {devices}")


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
            # Above zero is not enough of a finite stream: chance alone gives about 1e-6 at 5 M events.
            Band("information (nats)", 1e-5),
            Band("p of no information", None, 0.001),
        ),
        "definition; device mix about 56 mobile / 42 web / 2 tablet (StatCounter 2021)",
        session_attributes,
    ),
)
