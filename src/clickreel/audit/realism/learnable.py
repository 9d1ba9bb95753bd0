"""R10: is there something for a recommender to learn?

The next film opened in a session is predicted from the film opened last (Hidasi et al., ICLR 2016), trained on the first 80 % of
the days and asked on the rest. POP: the films opened most. S-POP: the films of this session first, by how often, then POP.
Item-kNN: the 20 films that were opened most often in the sessions with the last one, in the order of that conditional probability
(Deshpande, Karypis, TOIS 2004). The cosine, which divides by the other film's popularity too, does worse here (hit rate in the first 10 .35 against
.38) and falls to .81 of POP in the control, where chance meetings make rare films near. The control gives every detail view a film drawn without
replacement from all detail views: popularity stays, who saw what is gone, and item-kNN must fall back to POP.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clickreel.audit.realism.bands import Band, Evidence, Measurement, RealismTest, ratio
from clickreel.audit.realism.columns import EventTable
from clickreel.audit.realism.item_neighbours import DEPTH, nearest_items
from clickreel.contract.vocabulary import EVENT_TYPES

DETAIL = EVENT_TYPES.index("detail_view")
TRAIN_PART = 0.8
# Questions asked at most, drawn with a fixed seed: the error of a hit rate is then under 0.2 points.
QUESTIONS = 100_000


@dataclass(frozen=True, slots=True)
class Clicks:
    """Detail views in (session, time) order.

    Attributes:
        session: Code of the session, never falling (int64[n]).
        film: Code of the film (int64[n]).
        train: Whether it lies in the training days (bool[n]).
        films: Number of films.
    """

    session: NDArray[np.int64]
    film: NDArray[np.int64]
    train: NDArray[np.bool_]
    films: int


@dataclass(frozen=True, slots=True)
class Score:
    """What a recommender reached: hit rate in the first 10 and 20, mean reciprocal rank in the first 20."""

    hr10: float
    hr20: float
    mrr20: float


def clicks(timeline: EventTable) -> Clicks:
    """The detail views of a timeline, split in time."""
    rows = np.flatnonzero(timeline.event_type == DETAIL)
    session = timeline.session[rows].astype(np.int64)
    cut = timeline.first_ms + TRAIN_PART * (timeline.last_ms - timeline.first_ms)
    train = timeline.ts_ms[rows] < cut
    return Clicks(session, timeline.film[rows].astype(np.int64), train, len(timeline.films))


def permuted(seen: Clicks, *, seed: int = 0) -> Clicks:
    """The control: the same sessions, the same films as often, but anybody may have seen anything."""
    return Clicks(seen.session, np.random.default_rng(seed).permutation(seen.film), seen.train, seen.films)


def questions(seen: Clicks, *, seed: int = 0) -> NDArray[np.int64]:
    """Rows of the test days that have a next detail view in their session."""
    rows = np.flatnonzero(~seen.train[:-1] & (seen.session[1:] == seen.session[:-1]))
    if len(rows) > QUESTIONS:
        rows = np.sort(np.random.default_rng(seed).choice(rows, QUESTIONS, replace=False))
    return rows


def pop_ranks(seen: Clicks) -> NDArray[np.int64]:
    """Rank of each film by detail views of the training days, from 1 (int64[films])."""
    counts = np.bincount(seen.film[seen.train], minlength=seen.films)
    ranks = np.empty(seen.films, np.int64)
    ranks[np.argsort(-counts, kind="stable")] = np.arange(1, seen.films + 1)
    return ranks


def session_pop_ranks(seen: Clicks, asked: NDArray[np.int64], pop: NDArray[np.int64]) -> NDArray[np.int64]:
    """Rank that S-POP gives to the next film of each question."""
    first = np.searchsorted(seen.session, seen.session[asked])
    lengths = asked - first + 1
    question = np.repeat(np.arange(len(asked)), lengths)
    rows = np.arange(len(question)) - np.repeat(np.cumsum(lengths) - lengths, lengths) + np.repeat(first, lengths)
    pair, times = np.unique(question * seen.films + seen.film[rows], return_counts=True)
    question, film = pair // seen.films, pair % seen.films
    target = seen.film[asked + 1]
    # One number that orders the films of a session: how often, then POP.
    weight = times * (seen.films + 1) - pop[film]
    own = np.full(len(asked), -(10**9))
    is_target = film == target[question]
    own[question[is_target]] = weight[is_target]
    distinct = np.bincount(question, minlength=len(asked))
    better = np.bincount(question[weight > own[question]], minlength=len(asked))
    above = np.bincount(question[pop[film] < pop[target[question]]], minlength=len(asked))
    return np.where(own > -(10**9), better + 1, distinct + pop[target] - above)


def neighbours(seen: Clicks) -> NDArray[np.int64]:
    """The 20 films met most often in the training sessions of each film, most often first (int64[films, 20])."""
    from scipy.sparse import csr_matrix

    session, film = seen.session[seen.train], seen.film[seen.train]
    pairs = np.unique(session * seen.films + film)
    met = csr_matrix(
        (np.ones(len(pairs), np.float32), (np.unique(pairs // seen.films, return_inverse=True)[1], pairs % seen.films)),
        shape=(max(1, len(np.unique(pairs // seen.films))), seen.films),
    )
    return nearest_items(met)


def neighbour_ranks(
    nearest: NDArray[np.int64], last: NDArray[np.int64], target: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Rank of each target among the neighbours of the last film; one past the depth where it is none of them."""
    hit = nearest[last] == target[:, None]
    ranks: NDArray[np.int64] = np.where(hit.any(axis=1), hit.argmax(axis=1) + 1, nearest.shape[1] + 1)
    return ranks


def measured(ranks: NDArray[np.int64]) -> Score:
    """Hit rates and mean reciprocal rank of the ranks given to the true next films."""
    reciprocal = np.where(ranks <= DEPTH, 1.0 / ranks, 0.0)
    return Score(float((ranks <= 10).mean()), float((ranks <= 20).mean()), float(reciprocal.mean()))


def compete(seen: Clicks) -> tuple[Score, Score, Score]:
    """POP, S-POP and item-kNN on the same questions."""
    asked, pop = questions(seen), pop_ranks(seen)
    target = seen.film[asked + 1]
    ranks = (
        pop[target],
        session_pop_ranks(seen, asked, pop),
        neighbour_ranks(neighbours(seen), seen.film[asked], target),
    )
    by_pop, by_session, by_neighbour = (measured(rank) for rank in ranks)
    return by_pop, by_session, by_neighbour


def learnable(evidence: Evidence) -> Measurement:
    """R10: item-kNN against POP and S-POP, and the control."""
    seen = clicks(evidence.timeline)
    if len(questions(seen)) < 100:
        return Measurement({}, "fewer than 100 next films to predict in the last fifth of the days: not measured")
    pop, session_pop, knn = compete(seen)
    control_pop, _, control_knn = compete(permuted(seen))
    better = max(pop.mrr20, session_pop.mrr20)
    lead, gain = ratio(knn.mrr20, better), knn.hr10 - max(pop.hr10, session_pop.hr10)
    values = {
        "kNN/better MRR@20": lead,
        "kNN-better HR@10": gain,
        "lift": float(np.fmax(lead / 2.0, gain / 0.10)),
        "control kNN/POP": ratio(control_knn.mrr20, control_pop.mrr20),
        "POP HR@20": pop.hr20,
    }
    scores = zip(("POP", "S-POP", "kNN"), (pop, session_pop, knn), strict=True)
    told = "; ".join(f"{name} HR@10 {s.hr10:.3f} HR@20 {s.hr20:.3f} MRR@20 {s.mrr20:.3f}" for name, s in scores)
    return Measurement(values, f"lift 1 = twice the MRR@20, or 10 points of HR@10; {told}")


TESTS = (
    RealismTest(
        "R10",
        "learnable",
        (
            Band("kNN/better MRR@20"),
            Band("kNN-better HR@10"),
            Band("lift", 1.0, assumed=True),
            Band("control kNN/POP", 0.9, 1.1, assumed=True),
            Band("POP HR@20", None, 0.40, assumed=True),
        ),
        "Hidasi et al.: item-kNN .338 against S-POP .086 on VIDEO; thresholds scaled to 1,000 films [A]",
        learnable,
    ),
)
