"""Six recommenders that know a click log only, and how long an interest lasts.

Trained on the first four fifths of the sessions, asked for the next item in the rest:

* POP: the items clicked most; S-POP: the session's own items first;
* item-kNN: what was clicked in the sessions of the last item;
* SKNN: what was clicked in the sessions most like this one (cosine); V-SkNN: the last clicks count more (Ludewig, Jannach, UMUAI 2018);
* VSTAN: later clicks, newer sessions and the neighbourhood of the common item count more (Garg et al., SIGIR 2019; Ludewig et al., 2021).

In logs of real shops recency helps: VSTAN is at or above SKNN. The drift curve says why: the item clicked 1, 2, ... 6 clicks later stands among the 20
items nearest to this one less and less often (RSC15: .51 .37 .33 .27 .25 .22).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from clickreel.audit.realism.click_log import ClickLog
from clickreel.audit.realism.item_neighbours import DEPTH, nearest_items
from clickreel.insight.recommenders.click_sessions import ClickSessions, SessionSoFar
from clickreel.insight.recommenders.popular_items import Popularity, SessionPopularity
from clickreel.insight.recommenders.protocol import ScoringRecommender
from clickreel.insight.recommenders.session_neighbours import SESSIONS_MAX, SessionNeighbours

ALGORITHMS = ("POP", "S-POP", "item-kNN", "SKNN", "V-SkNN", "VSTAN")
LAGS = 6
_TRAIN_PART = 0.8
_QUESTIONS_MAX = 4_000
_METHODS: dict[str, Callable[[], ScoringRecommender]] = {
    "POP": Popularity,
    "S-POP": SessionPopularity,
    "SKNN": lambda: SessionNeighbours("SKNN", late_clicks=False),
    "V-SkNN": SessionNeighbours,
    "VSTAN": lambda: SessionNeighbours("VSTAN", near_items=True),
}

I64 = NDArray[np.int64]


@dataclass(frozen=True)
class NextItemTask:
    """A log split in time, and the questions.

    Attributes:
        log: The log.
        cut: First session of the part that is asked about.
        asked: Rows of the log whose next click is to be foretold (int64[q]).
        nearest: For each item the items of its training sessions, most often first, without itself (int64[items, 20]).
    """

    log: ClickLog
    cut: int
    asked: I64
    nearest: I64

    @staticmethod
    def from_log(log: ClickLog, *, seed: int = 0) -> NextItemTask | None:
        """The task of a log; None where it is too small."""
        cut = int(_TRAIN_PART * log.sessions)
        asked = log.inner[log.session[log.inner] >= cut]
        if len(asked) < 50 or log.items < 2:
            return None
        if len(asked) > _QUESTIONS_MAX:
            asked = np.sort(np.random.default_rng(seed).choice(asked, _QUESTIONS_MAX, replace=False))
        return NextItemTask(log, cut, asked, nearest_items(_visits(log, max(0, cut - 4 * SESSIONS_MAX), cut)))


def _visits(log: ClickLog, low: int, high: int) -> csr_matrix:
    """Which sessions of a range have which items: 1 for each pair."""
    rows = slice(int(log.starts[low]), int(log.starts[high]))
    pairs = np.unique((log.session[rows] - low) * log.items + log.item[rows])
    shape = (high - low, log.items)
    return csr_matrix((np.ones(len(pairs)), (pairs // log.items, pairs % log.items)), shape=shape)


def drift_curve(task: NextItemTask) -> list[float]:
    """Share of the items clicked 1, 2, ... 6 clicks after another one that stand among the 20 nearest to it; the same item again is passed over."""
    log, curve = task.log, []
    for lag in range(1, LAGS + 1):
        rows = np.flatnonzero(log.session[:-lag] == log.session[lag:])
        rows = rows[(log.session[rows] >= task.cut) & (log.item[rows] != log.item[rows + lag])]
        hit = (task.nearest[log.item[rows]] == log.item[rows + lag][:, None]).any(axis=1)
        curve.append(float(hit.mean()) if len(hit) >= 20 else float("nan"))
    return curve


def scores(task: NextItemTask, algorithms: tuple[str, ...] = ALGORITHMS) -> dict[str, float]:
    """Mean reciprocal rank, in the first 20, of the true next items."""
    return {name: _mean_reciprocal(_ranks(task, name)) for name in algorithms}


def _mean_reciprocal(ranks: I64) -> float:
    return float(np.where(ranks <= DEPTH, 1.0 / ranks, 0.0).mean())


def _ranks(task: NextItemTask, algorithm: str) -> I64:
    log, wanted = task.log, task.log.item[task.asked + 1]
    if algorithm == "item-kNN":
        hit = task.nearest[log.item[task.asked]] == wanted[:, None]
        return np.where(hit.any(axis=1), hit.argmax(axis=1) + 1, DEPTH + 1)
    method = _METHODS[algorithm]().fit(_clicks(log, task.cut))
    ranks = np.full(len(task.asked), DEPTH + 1)
    for question, row in enumerate(task.asked):
        opened = log.item[log.starts[log.session[row]] : row + 1]
        place = np.flatnonzero(method.rank(SessionSoFar.from_items(opened), DEPTH) == wanted[question])
        if len(place):
            ranks[question] = place[0] + 1
    return ranks


def _clicks(log: ClickLog, sessions: int) -> ClickSessions:
    """The first sessions of a log."""
    rows = slice(0, int(log.starts[sessions]))
    none = np.zeros(int(log.starts[sessions]), np.int64)
    return ClickSessions(
        session=log.session[rows],
        item=log.item[rows],
        ts_ms=log.ts_ms[rows],
        user=none,
        ids=np.arange(log.items),
        viewed=none[:0],
        list_begins=none,
        list_ends=none,
    )
