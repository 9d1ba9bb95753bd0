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

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from clickreel.audit.realism.click_log import ClickLog

ALGORITHMS = ("POP", "S-POP", "item-kNN", "SKNN", "V-SkNN", "VSTAN")
DEPTH = 20
LAGS = 6
_TRAIN_PART = 0.8
_QUESTIONS_MAX = 4_000
_SESSIONS_MAX = 80_000  # newest sessions of the training part
_NEIGHBOURS = 150
_CLICKS_KEPT = 12  # last clicks of a session that are looked at
_AT_ONCE = 500
# Decay of the weight: by clicks back in this session, by days between the sessions, by clicks between the common item and another.
_CLICKS_BACK, _DAYS, _CLICKS_APART = 1.6, 14.0, 2.5
_DAY_MS = 86_400_000.0

I64 = NDArray[np.int64]
F64 = NDArray[np.float64]


@dataclass(frozen=True)
class NextItemTask:
    """A log split in time, and the questions.

    Attributes:
        log: The log.
        cut: First session of the part that is asked about.
        asked: Rows of the log whose next click is to be foretold (int64[q]).
        nearest: For each item the items of its training sessions, most often first, without itself (int64[items, 20]).
        rank: POP rank of each item in the training part, from 1 (int64[items]).
    """

    log: ClickLog
    cut: int
    asked: I64
    nearest: I64
    rank: I64

    @staticmethod
    def from_log(log: ClickLog, *, seed: int = 0) -> NextItemTask | None:
        """The task of a log; None where it is too small."""
        cut = int(_TRAIN_PART * log.sessions)
        asked = log.inner[log.session[log.inner] >= cut]
        if len(asked) < 50 or log.items < 2:
            return None
        if len(asked) > _QUESTIONS_MAX:
            asked = np.sort(np.random.default_rng(seed).choice(asked, _QUESTIONS_MAX, replace=False))
        train = log.session < cut
        counts = np.bincount(log.item[train], minlength=log.items)
        rank = np.empty(log.items, np.int64)
        rank[np.argsort(-counts, kind="stable")] = np.arange(1, log.items + 1)
        return NextItemTask(log, cut, asked, _nearest(log, cut), rank)


def _visits(log: ClickLog, low: int, high: int) -> csr_matrix:
    """Which sessions of a range have which items: 1 for each pair."""
    rows = slice(int(log.starts[low]), int(log.starts[high]))
    pairs = np.unique((log.session[rows] - low) * log.items + log.item[rows])
    shape = (high - low, log.items)
    return csr_matrix((np.ones(len(pairs)), (pairs // log.items, pairs % log.items)), shape=shape)


def _nearest(log: ClickLog, cut: int) -> I64:
    visits = _visits(log, max(0, cut - 4 * _SESSIONS_MAX), cut)
    together = (visits.T @ visits).tocsr()
    depth = min(DEPTH, log.items - 1)
    nearest = np.zeros((log.items, depth), np.int64)
    for start in range(0, log.items, _AT_ONCE):
        block = together[start : start + _AT_ONCE].toarray()
        rows = np.arange(len(block))
        block[rows, start + rows] = -1.0
        best = np.argpartition(-block, depth - 1, axis=1)[:, :depth]
        order = np.argsort(-np.take_along_axis(block, best, axis=1), axis=1, kind="stable")
        nearest[start : start + _AT_ONCE] = np.take_along_axis(best, order, axis=1)
    return nearest


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
    log, target = task.log, task.log.item[task.asked + 1]
    if algorithm == "POP":
        return task.rank[target]
    if algorithm == "item-kNN":
        hit = task.nearest[log.item[task.asked]] == target[:, None]
        return np.where(hit.any(axis=1), hit.argmax(axis=1) + 1, DEPTH + 1)
    if algorithm == "S-POP":
        return np.concatenate([_session_pop(task, rows) for rows in _parts(task.asked)])
    return np.concatenate([_by_sessions(task, rows, algorithm) for rows in _parts(task.asked)])


def _parts(rows: I64) -> list[I64]:
    return [rows[first : first + _AT_ONCE] for first in range(0, len(rows), _AT_ONCE)]


def _so_far(log: ClickLog, asked: I64) -> tuple[I64, I64, I64]:
    """For each click of the questions' sessions up to the question: which question, which item, how many clicks back."""
    count = np.minimum(asked - log.starts[log.session[asked]] + 1, _CLICKS_KEPT)
    question = np.repeat(np.arange(len(asked)), count)
    back = np.arange(len(question)) - np.repeat(np.cumsum(count) - count, count)
    return question, log.item[asked[question] - back], back


def _rank_of(scored: F64, target: I64) -> I64:
    own = scored[np.arange(len(target)), target]
    ranks: I64 = (scored > own[:, None]).sum(axis=1) + 1
    return np.where(own > 0, ranks, DEPTH + 1)


def _session_pop(task: NextItemTask, asked: I64) -> I64:
    question, item, _ = _so_far(task.log, asked)
    scored = np.repeat(1.0 / (1.0 + task.rank)[None, :], len(asked), axis=0)
    np.add.at(scored, (question, item), 1.0)
    return _rank_of(scored, task.log.item[asked + 1])


def _by_sessions(task: NextItemTask, asked: I64, algorithm: str) -> I64:
    """Rank by the sessions most like the one so far."""
    log, low = task.log, max(0, task.cut - _SESSIONS_MAX)
    visits = _visits(log, low, task.cut)
    question, item, back = _so_far(log, asked)
    weight = np.ones(len(question)) if algorithm == "SKNN" else np.exp(-back / _CLICKS_BACK)
    # A click that is repeated counts once, by its latest place.
    order = np.lexsort((back, item, question))
    once = np.ones(len(order), bool)
    once[1:] = (question[order[1:]] != question[order[:-1]]) | (item[order[1:]] != item[order[:-1]])
    rows = order[once]
    wanted = csr_matrix((weight[rows], (question[rows], item[rows])), shape=(len(asked), log.items))
    like = (wanted @ visits.T).tocsr()
    like.data /= np.sqrt(np.diff(visits.indptr))[like.indices]
    if algorithm == "VSTAN":
        end_ms = log.ts_ms[log.starts[low + 1 : task.cut + 1] - 1]
        ages = np.repeat(log.ts_ms[asked], np.diff(like.indptr)) - end_ms[like.indices]
        like.data *= np.exp(-ages / (_DAYS * _DAY_MS))
    which, session, strength = _strongest(like)
    return _rank_of(
        _score(task, (which, session + low, strength), (wanted, len(asked)), near=algorithm == "VSTAN"),
        log.item[asked + 1],
    )


def _strongest(like: csr_matrix) -> tuple[I64, I64, F64]:
    """Question, session and likeness of each question's nearest sessions."""
    which = np.repeat(np.arange(like.shape[0]), np.diff(like.indptr))
    order = np.lexsort((-like.data, which))
    place = np.arange(len(order)) - np.repeat(like.indptr[:-1], np.diff(like.indptr))
    chosen = order[place < _NEIGHBOURS]
    return which[chosen], like.indices[chosen].astype(np.int64), like.data[chosen]


def _score(task: NextItemTask, found: tuple[I64, I64, F64], wanted: tuple[csr_matrix, int], *, near: bool) -> F64:
    """Sum over the neighbour sessions of each question of their items' weights."""
    log, (which, session, strength) = task.log, found
    count = np.diff(log.starts)[session]
    pair = np.repeat(np.arange(len(session)), count)
    row = np.arange(len(pair)) - np.repeat(np.cumsum(count) - count, count) + log.starts[session][pair]
    weight = strength[pair]
    if near:
        # Where the neighbour session has the wanted item that counts most.
        common = np.asarray(wanted[0][which[pair], log.item[row]]).ravel()
        best = np.zeros(len(session))
        np.maximum.at(best, pair, common)
        at = np.full(len(session), -1)
        is_best = (common > 0) & (common == best[pair])
        np.maximum.at(at, pair[is_best], row[is_best])
        weight = weight * np.exp(-np.abs(row - at[pair]) / _CLICKS_APART)
    cell = which[pair] * log.items + log.item[row]
    scored: F64 = np.bincount(cell, weight, wanted[1] * log.items).astype(np.float64)
    return scored.reshape(wanted[1], log.items)
