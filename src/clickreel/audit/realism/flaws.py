"""R11: is what is wrong with the stream exactly what was configured and written into the ledger?"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from clickreel.audit.realism.bands import Band, Evidence, Found, Test
from clickreel.audit.realism.columns import Columns, copies


def behind_ms(columns: Columns) -> NDArray[np.int64]:
    """How far each row's event time lies behind the newest delivered before it in its partition (int64[n]), at least 0."""
    if columns.partition is None:
        newest = np.maximum.accumulate(columns.ts_ms)
        return newest - columns.ts_ms
    behind = np.zeros(len(columns), np.int64)
    for partition in np.unique(columns.partition):
        rows = np.flatnonzero(columns.partition == partition)
        behind[rows] = np.maximum.accumulate(columns.ts_ms[rows]) - columns.ts_ms[rows]
    return behind


def relative_error(measured: float, configured: float) -> float:
    """How far a measured rate is from the configured one, in parts of the latter; a rate that should be 0 has none or is infinite."""
    if configured == 0:
        return 0.0 if measured == 0 else float("inf")
    return abs(measured - configured) / configured


def flaws(evidence: Evidence) -> Found:
    """R11: measured rates, and against the configured ones where a ledger tells them."""
    columns = evidence.columns
    rows = max(len(columns), 1)
    rates = {
        "duplicate": float(copies(columns).sum()) / rows,
        "malformed": columns.malformed / max(rows + columns.malformed, 1),
        "behind": float((behind_ms(columns) > 0).sum()) / rows,
    }
    told = ", ".join(f"{name} {rate:.3%}" for name, rate in rates.items())
    return Found({}, f"configured rates are known from a ledger only: not judged; measured: {told}")


TESTS = (
    Test(
        "R11",
        "flaws",
        (
            Band("late", None, 0.10),
            Band("out_of_order", None, 0.10),
            Band("duplicate", None, 0.10),
            Band("malformed", None, 0.10),
            Band("not in both", None, 0),
        ),
        "rates [A]; 72 h horizon GA4; two kinds of duplicate (Snowplow)",
        flaws,
    ),
)
