"""R5 to R7: which films draw, what the rank does, and how deep people go."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from clickreel.audit.realism.bands import Band, Evidence, Measurement, RealismTest, ratio
from clickreel.audit.realism.columns import EventTable
from clickreel.audit.realism.user_skew import top_share
from clickreel.contract.vocabulary import EVENT_TYPES

VIEW, DETAIL, TRAILER, WATCHLIST = (
    EVENT_TYPES.index(name) for name in ("view", "detail_view", "watch_trailer", "add_to_watchlist")
)
RANKS = (10, 300)
BEND = 100
PLACES = 10


def popularity(timeline: EventTable) -> NDArray[np.int64]:
    """Detail views of each film, most first; films shown but never opened count 0."""
    counts = np.bincount(timeline.film[timeline.event_type == DETAIL], minlength=len(timeline.films))
    return np.sort(counts)[::-1]


def rank_slope(counts: NDArray[np.int64], first: int, last: int) -> float:
    """Log-log slope of count over rank between two ranks, every factor of rank weighing the same."""
    from scipy.stats import linregress

    last = min(last, int((counts > 0).sum()))
    ranks = np.unique(np.geomspace(first, max(last, first + 1), 40).round().astype(np.int64))
    ranks = ranks[ranks <= last]
    if len(ranks) < 3:
        return float("nan")
    return float(linregress(np.log(ranks), np.log(counts[ranks - 1])).slope)


def popularity_curve(evidence: Evidence) -> Measurement:
    """R5: shares of the top films and the shape of the curve."""
    counts = popularity(evidence.timeline)
    head, tail = rank_slope(counts, RANKS[0], BEND), rank_slope(counts, BEND, RANKS[1])
    values = {
        "top 1% share": top_share(counts, 0.01),
        "top 10% share": top_share(counts, 0.10),
        "slope 10-300": rank_slope(counts, *RANKS),
        "bend at 100": tail - head,
    }
    return Measurement(values, f"bend: slope of ranks 100-300 ({tail:.2f}) less slope of ranks 10-100 ({head:.2f})")


def click_through(timeline: EventTable, rows: NDArray[np.bool_] | None = None) -> NDArray[np.float64]:
    """Detail views over views at ranks 1 to 10 (float64[10]); NaN where a rank was never shown."""
    near = timeline.position <= PLACES
    if rows is not None:
        near &= rows
    shown, opened = (
        np.bincount(timeline.position[near & (timeline.event_type == kind)], minlength=PLACES + 1)[1 : PLACES + 1]
        for kind in (VIEW, DETAIL)
    )
    rates: NDArray[np.float64] = np.divide(opened, shown, out=np.full(PLACES, np.nan), where=shown > 0)
    return rates


def click_slope(rates: NDArray[np.float64]) -> float:
    """Log-log slope of click-through over rank."""
    from scipy.stats import linregress

    if not (rates > 0).all():
        return float("nan")
    return float(linregress(np.log(np.arange(1, PLACES + 1)), np.log(rates)).slope)


def position(evidence: Evidence) -> Measurement:
    """R6: how click-through falls with rank, also where the order of the list was random."""
    rates = click_through(evidence.timeline)
    values = {"slope": click_slope(rates), "c1/c10": ratio(rates[0], rates[-1])}
    if evidence.ledger is None:
        return Measurement(values, "the slice of lists in random order needs a ledger: not measured")
    random = evidence.ledger.random_rows(evidence.timeline)
    if not random.any():
        return Measurement(values, "the ledger names no list in random order: that slice is not measured")
    values["slope, random order"] = click_slope(click_through(evidence.timeline, random))
    return Measurement(values, f"{int(random.sum()):,} events in lists of random order")


def preceded_share(timeline: EventTable) -> float:
    """Share of the three deeper events with an earlier view of the same film in the same session."""
    pair = timeline.session.astype(np.int64) * len(timeline.films) + timeline.film
    views = np.flatnonzero(timeline.event_type == VIEW)
    deeper = np.flatnonzero(timeline.event_type != VIEW)
    if not len(deeper):
        return float("nan")
    # Rows of a session are in time order, so the first row of a pair is its earliest view.
    seen, first = np.unique(pair[views], return_index=True)
    place = np.searchsorted(seen, pair[deeper]).clip(max=max(len(seen) - 1, 0))
    known = seen[place] == pair[deeper] if len(seen) else np.zeros(len(deeper), np.bool_)
    before = known & (views[first[place]] < deeper) if len(seen) else known
    return float(before.mean())


def funnel_counts(timeline: EventTable) -> NDArray[np.int64]:
    """Events by type, in the order of the vocabulary."""
    return np.bincount(timeline.event_type, minlength=len(EVENT_TYPES))


def funnel(evidence: Evidence) -> Measurement:
    """R7: how many go deeper, and in order."""
    counts = funnel_counts(evidence.timeline)
    values = {
        "detail/view": ratio(counts[DETAIL], counts[VIEW]),
        "watchlist/detail": ratio(counts[WATCHLIST], counts[DETAIL]),
        "preceded by a view": preceded_share(evidence.timeline),
        "trailer/detail": ratio(counts[TRAILER], counts[DETAIL]),
    }
    return Measurement(values, "trailer/detail has no published figure: told, not judged")


TESTS = (
    RealismTest(
        "R5",
        "popularity",
        (
            Band("top 1% share", 0.12, 0.30),
            Band("top 10% share", 0.55, 0.75),
            Band("slope 10-300", -1.1, -0.5),
            Band("bend at 100", None, 0),
        ),
        'Netflix "What We Watched" .24 / .68; Niconico; Guo et al., PODC 2008',
        popularity_curve,
    ),
    RealismTest(
        "R6",
        "position",
        (
            Band("slope", -1.3, -0.7),
            Band("c1/c10", 5, 15),
            Band("slope, random order", None, -0.4, assumed=True),
        ),
        "AOL 2006 -1.13, 14; Craswell et al., WSDM 2008 (cascade)",
        position,
    ),
    RealismTest(
        "R7",
        "funnel",
        (
            Band("detail/view", 0.05, 0.30),
            Band("watchlist/detail", 0.03, 0.12),
            Band("preceded by a view", 0.95),
            Band("trailer/detail", assumed=True),
        ),
        "Netflix .15-.30 (Gomez-Uribe, Hunt 2015); OTTO .087, RetailRocket .026; trailer/detail [A]",
        funnel,
    ),
)
