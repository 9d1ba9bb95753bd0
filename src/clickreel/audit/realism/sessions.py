"""R1 to R3: how long sessions are, whether silence alone cuts them, how long people stay on a page."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from clickreel.audit.realism.bands import Band, Evidence, Measurement, RealismTest, ratio
from clickreel.audit.realism.columns import MINUTE_MS, EventTable
from clickreel.contract.vocabulary import EVENT_TYPES, PAGES

VIEW = EVENT_TYPES.index("view")
SILENCE_MS = 30 * MINUTE_MS
# Enough for BIC and a valley to two digits; fixed seed, so that a stream always scores the same.
GAPS_SAMPLED = 200_000
# Nobody reacts faster to what appears (0.2 to 0.25 s for a simple stimulus; Luce, Response Times, 1986).
REACTION_S = 0.25
DWELLS_SAMPLED = 20_000
DWELLS_MIN = 200


def interactions(timeline: EventTable) -> NDArray[np.int64]:
    """Rows that are more than a plain view: what the clickstream literature counts as events."""
    return np.flatnonzero(timeline.event_type != VIEW)


def lengths(timeline: EventTable) -> NDArray[np.int64]:
    """Interactions of each session with at least two (Hidasi et al. drop shorter ones)."""
    counts = np.bincount(timeline.session[interactions(timeline)], minlength=len(timeline.sessions))
    return counts[counts >= 2]


def session_length(evidence: Evidence) -> Measurement:
    """R1: mean length and how far the tail reaches."""
    counts = lengths(evidence.timeline)
    if not len(counts):
        return Measurement({"mean": np.nan, "p95/p50": np.nan}, "no session has two interactions")
    p50, p95 = np.percentile(counts, [50, 95])
    return Measurement({"mean": float(counts.mean()), "p95/p50": ratio(p95, p50)})


def cut_by_silence(timeline: EventTable, silence_ms: int = SILENCE_MS) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Cut each user's events where nothing happens for ``silence_ms``.

    Returns:
        The number of the cut session and the code of the true one, row by row, both in (user, event time) order.
    """
    ts_ms, user = timeline.ts_ms[timeline.by_user], timeline.user[timeline.by_user]
    new = np.ones(len(ts_ms), np.bool_)
    new[1:] = (user[1:] != user[:-1]) | (ts_ms[1:] - ts_ms[:-1] > silence_ms)
    return np.cumsum(new) - 1, timeline.session[timeline.by_user]


def agreement(cut: NDArray[np.int64], true: NDArray[np.int32]) -> float:
    """Pairwise agreement of two partitions of the same rows, corrected for chance (adjusted Rand index)."""
    from sklearn.metrics import adjusted_rand_score

    return float(adjusted_rand_score(true, cut))


def gaps_s(timeline: EventTable) -> NDArray[np.float64]:
    """Seconds between a user's consecutive interactions, inside and across sessions; zero gaps are left out."""
    kept = timeline.event_type[timeline.by_user] != VIEW
    ts_ms, user = timeline.ts_ms[timeline.by_user][kept], timeline.user[timeline.by_user][kept]
    gaps = np.diff(ts_ms)[user[1:] == user[:-1]] / 1000.0
    positive: NDArray[np.float64] = gaps[gaps > 0]
    return positive


def valley_minutes(gaps: NDArray[np.float64], *, seed: int = 0) -> tuple[float, float]:
    """Fit one and two Gaussians to log gaps and find the lowest density between the two means.

    Returns:
        The valley in minutes (NaN when the mixture has one mode), and BIC of one Gaussian less BIC of two, per gap.
    """
    from sklearn.mixture import GaussianMixture

    if len(gaps) < 100:
        return np.nan, np.nan
    rng = np.random.default_rng(seed)
    chosen = gaps if len(gaps) <= GAPS_SAMPLED else rng.choice(gaps, GAPS_SAMPLED, replace=False)
    logs = np.log10(chosen)[:, None]
    one, two = (GaussianMixture(k, random_state=seed, n_init=1, tol=1e-4).fit(logs) for k in (1, 2))
    gain = (one.bic(logs) - two.bic(logs)) / len(logs)
    low, high = np.sort(two.means_.ravel())
    grid = np.linspace(low, high, 512)
    density = two.score_samples(grid[:, None])
    lowest = int(np.argmin(density))
    inside = 0 < lowest < len(grid) - 1
    return (float(10 ** grid[lowest] / 60) if inside else np.nan), float(gain)


def sessionisation(evidence: Evidence) -> Measurement:
    """R2: sessions cut from event times alone against ``session_id``; the two modes of the log gaps."""
    valley, gain = valley_minutes(gaps_s(evidence.timeline))
    values = {
        "agreement": agreement(*cut_by_silence(evidence.timeline)),
        "valley (min)": valley,
        "BIC gain of two modes": gain,
    }
    return Measurement(values, "agreement: adjusted Rand index over all pairs of events; gaps between interactions")


def dwells_s(timeline: EventTable, page: int) -> NDArray[np.float64]:
    """Seconds from each event on a page to the next event of the same session.

    Gaps below a reaction time are left out: films that appear on one screen together are one look.
    """
    same = timeline.session[1:] == timeline.session[:-1]
    gaps = np.diff(timeline.ts_ms)[same & (timeline.page[:-1] == page)] / 1000.0
    stays: NDArray[np.float64] = gaps[gaps >= REACTION_S]
    return stays


def weibull_shape(dwells: NDArray[np.float64], *, seed: int = 0) -> float:
    """Shape k of the Weibull law by maximum likelihood; below 1 means: the longer one has stayed, the longer one stays."""
    from scipy.stats import weibull_min

    if len(dwells) > DWELLS_SAMPLED:
        dwells = np.random.default_rng(seed).choice(dwells, DWELLS_SAMPLED, replace=False)
    if dwells.std() < 1e-6 * dwells.mean():
        return float("inf")  # a clock, no dwell: the law's limit for equal times
    # Scaled to a mean of 1: the optimiser starts at a scale of 1.
    shape, _, _ = weibull_min.fit(dwells / dwells.mean(), floc=0)
    return float(shape)


def dwell(evidence: Evidence) -> Measurement:
    """R3: shape of the dwell on each page."""
    values = {}
    for code, page in enumerate(PAGES):
        dwells = dwells_s(evidence.timeline, code)
        if len(dwells) >= DWELLS_MIN:
            values[f"k {page}"] = weibull_shape(dwells)
    return Measurement(values, f"a sample of {DWELLS_SAMPLED:,} gaps a page")


TESTS = (
    RealismTest(
        "R1",
        "session length",
        (Band("mean", 3.5, 8), Band("p95/p50", 3, 12, assumed=True)),
        "RSC15 3.97 and VIDEO 4.3 (Hidasi et al., ICLR 2016); Coveo SIGIR eCom 2021 7.2; ratio [A]",
        session_length,
    ),
    RealismTest(
        "R2",
        "sessionisation",
        (Band("agreement", 0.99), Band("valley (min)", 15, 180), Band("BIC gain of two modes", 0)),
        "GA4 30 min; Halfaker et al., WWW 2015 (about 1 h)",
        sessionisation,
    ),
    RealismTest(
        "R3",
        "dwell",
        tuple(Band(f"k {page}", 0.5, 0.95) for page in PAGES),
        "Liu, White, Dumais, SIGIR 2010 (k < 1)",
        dwell,
    ),
)
