"""Can a machine tell two logs apart? The classifier two-sample test (Lopez-Paz, Oquab, ICLR 2017).

Boosted trees learn from four fifths of the sessions of both logs whose session is whose, and are asked about the rest. The area under the ROC
curve (AUC) is the chance that of two sessions, one of each log, the right one is named: .5 is a coin, 1 is certainty.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]

SESSIONS_MAX = 20_000
FOLDS = 5


@dataclass(frozen=True, slots=True)
class TwoSampleTest:
    """What the machine found.

    Attributes:
        auc: Area under the ROC curve, of sessions it has not learnt from.
        tells: For each feature, how much of the AUC is lost when it is shuffled (float64[features]).
    """

    auc: float
    tells: F64


def classify(first: F64, second: F64, *, seed: int = 0, tells: bool = True) -> TwoSampleTest:
    """Try to tell the rows of two tables apart.

    Args:
        first: Rows of one log (float64[n, features]); NaN is allowed.
        second: Rows of the other one.
        seed: Of the sample, the folds and the shuffling.
        tells: Whether to work out what each feature gives away.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import StratifiedKFold
    from threadpoolctl import threadpool_limits

    rng = np.random.default_rng(seed)
    size = min(len(first), len(second), SESSIONS_MAX)
    width = first.shape[1]
    if size < 10 * FOLDS:
        return TwoSampleTest(float("nan"), np.full(width, np.nan))
    rows = np.concatenate([table[rng.choice(len(table), size, replace=False)] for table in (first, second)])
    label = np.repeat([0, 1], size)
    scores = np.zeros(2 * size)
    shuffled = np.zeros((width, 2 * size))
    # One thread: several that wait for each other on a busy machine are slower than one by far.
    with threadpool_limits(1, user_api="openmp"):
        for train, test in StratifiedKFold(FOLDS, shuffle=True, random_state=seed).split(rows, label):
            # The model cannot learn a feature that no session has, as the gap after a repeat where nobody repeats.
            known = np.where(np.isnan(rows[train]).all(axis=0), 0.0, rows)
            model = HistGradientBoostingClassifier(
                max_iter=60, max_leaf_nodes=15, learning_rate=0.1, min_samples_leaf=40, random_state=seed
            ).fit(known[train], label[train])
            scores[test] = model.predict_proba(known[test])[:, 1]
            for feature in range(width if tells else 0):
                other = known[test].copy()
                other[:, feature] = rng.permutation(other[:, feature])
                shuffled[feature, test] = model.predict_proba(other)[:, 1]
    auc = float(roc_auc_score(label, scores))
    lost = [auc - float(roc_auc_score(label, row)) for row in shuffled] if tells else [np.nan] * width
    return TwoSampleTest(auc, np.array(lost))
