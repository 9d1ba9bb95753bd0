"""Item-kNN's neighbours: which items stand most often in the same sessions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

DEPTH = 20
# Rows of the matrix of items by items that are dense at a time.
_ROWS_AT_ONCE = 512


def nearest_items(visits: csr_matrix) -> NDArray[np.int64]:
    """The items met most often in the sessions of each item, most often first.

    Args:
        visits: 1 where a session has an item (sessions x items).

    Returns:
        Twenty items for each, or all others where there are fewer (int64[items, 20]).
    """
    together = (visits.T @ visits).tocsr()
    items = visits.shape[1]
    depth = min(DEPTH, items - 1)
    nearest = np.empty((items, depth), np.int64)
    for start in range(0, items, _ROWS_AT_ONCE):
        block = together[start : start + _ROWS_AT_ONCE].toarray()
        rows = np.arange(len(block))
        block[rows, start + rows] = -1.0
        best = np.argpartition(-block, depth - 1, axis=1)[:, :depth]
        order = np.argsort(-np.take_along_axis(block, best, axis=1), axis=1, kind="stable")
        nearest[start : start + _ROWS_AT_ONCE] = np.take_along_axis(best, order, axis=1)
    return nearest
