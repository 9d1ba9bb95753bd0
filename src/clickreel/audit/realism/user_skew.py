"""R4 and R9: how unequal users are, what they come back to, and whether they come back."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from clickreel.audit.realism.bands import Band, Evidence, Measurement, RealismTest, ratio
from clickreel.audit.realism.columns import DAY_MS, EventTable
from clickreel.contract.vocabulary import EVENT_TYPES

DETAIL = EVENT_TYPES.index("detail_view")
WINDOW_DAYS = 28
RETURN_DAYS = 7


def events_per_user(timeline: EventTable) -> NDArray[np.int64]:
    """Events of each user seen in the first four weeks."""
    inside = timeline.ts_ms < timeline.first_ms + WINDOW_DAYS * DAY_MS
    counts = np.bincount(timeline.user[inside], minlength=len(timeline.users))
    return counts[counts > 0]


def top_share(counts: NDArray[np.int64], part: float) -> float:
    """Share of the total that the largest ``part`` of the counts holds (at least one of them)."""
    largest = np.sort(counts)[::-1][: max(1, round(part * len(counts)))]
    return ratio(largest.sum(), counts.sum())


def user_skew(evidence: Evidence) -> Measurement:
    """R4: spread of activity over users."""
    counts = events_per_user(evidence.timeline)
    p50, p95 = np.percentile(counts, [50, 95])
    days = min(evidence.timeline.days, WINDOW_DAYS)
    note = "" if days > WINDOW_DAYS - 1 else f"over {days:.1f} days, not {WINDOW_DAYS}: the ratio is a little lower"
    return Measurement({"p95/p50": ratio(p95, p50), "top 20% share": top_share(counts, 0.2)}, note)


def repeat_share(group: NDArray[np.int32], film: NDArray[np.int32], films: int) -> float:
    """Share of rows whose film came up before in the same group (session or user)."""
    if not len(film):
        return float("nan")
    pairs = np.unique(group.astype(np.int64) * films + film)
    return 1.0 - len(pairs) / len(film)


def return_hazard(user: NDArray[np.int32], start_ms: NDArray[np.int64], last_ms: int, visits: int = 3) -> list[float]:
    """Chance of another visit within a week, after a user's first, second, ... visit in the stream.

    Args:
        user: User of each session, rising.
        start_ms: Start of each session, rising within a user.
        last_ms: End of the stream; a visit less than a week before it is not asked, nobody knows its answer.
        visits: How many places to tell.
    """
    first = np.searchsorted(user, user)
    place = np.arange(len(user)) - first
    wait_ms = np.full(len(user), np.iinfo(np.int64).max)
    same = user[1:] == user[:-1]
    wait_ms[:-1][same] = np.diff(start_ms)[same]
    known = start_ms <= last_ms - RETURN_DAYS * DAY_MS
    hazards = []
    for k in range(visits):
        asked = wait_ms[(place == k) & known]
        hazards.append(float((asked <= RETURN_DAYS * DAY_MS).mean()) if len(asked) else float("nan"))
    return hazards


def repeats_and_return(evidence: Evidence) -> Measurement:
    """R9: films seen again, and the hazard of return."""
    timeline = evidence.timeline
    rows = np.flatnonzero(timeline.event_type == DETAIL)
    film, films = timeline.film[rows], len(timeline.films)
    hazards = return_hazard(timeline.session_user, timeline.session_start_ms, timeline.last_ms)
    values = {
        "repeat in session": repeat_share(timeline.session[rows], film, films),
        "repeat in history": repeat_share(timeline.user[rows], film, films),
        **{f"return after visit {k}": hazard for k, hazard in enumerate(hazards, 1)},
        "smallest rise": float(np.diff(hazards).min()),
    }
    return Measurement(values, "history begins with the stream; return: another session within 7 days")


TESTS = (
    RealismTest(
        "R4",
        "user skew",
        (Band("p95/p50", 8, 15), Band("top 20% share", 0.55, 0.80)),
        "OTTO p95/p50 = 11.3; log-normal sigma about 1.4",
        user_skew,
    ),
    RealismTest(
        "R9",
        "repeats and return",
        (
            Band("repeat in session", 0.05, 0.27),
            Band("repeat in history", 0.15, 0.59),
            Band("return after visit 1"),
            Band("return after visit 2"),
            Band("return after visit 3"),
            # A rise of at least a tenth of a point: two equal hazards must not pass by their last digit.
            Band("smallest rise", 0.001),
        ),
        "S-POP (Hidasi et al.); Benson et al., WWW 2016; Google Merchandise Store .13 .39 .53",
        repeats_and_return,
    ),
)
