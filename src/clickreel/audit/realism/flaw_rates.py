"""R11: is what is wrong with the stream exactly what was configured and written into the ledger?

Seen from the stream alone: a *copy* repeats an id, a *malformed* row breaks the contract, and a row is *behind* when its event time is older
than one delivered before it in its partition. The ledger says which id was late, out of order or doubled on purpose. Both must
name the same events; a row that is on time is never behind, so a row behind that the ledger does not know is an error of ours.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from clickreel.audit.realism.bands import Band, Evidence, Measurement, RealismTest
from clickreel.audit.realism.columns import Columns, copies, fingerprint, fingerprints
from clickreel.audit.realism.ledger_reader import Flaws
from clickreel.contract.vocabulary import FLAWS, MALFORMED

# What is configured together is measured together: by its name in the settings, the flaws of the ledger.
KINDS: Mapping[str, tuple[str, ...]] = {
    "late": ("late",),
    "late_batch": ("late_batch",),
    "out_of_order": ("out_of_order",),
    "duplicate": ("duplicate_same", "duplicate_changed"),
    "malformed": MALFORMED,
}
DELAYED = ("late", "late_batch", "out_of_order")
_BEGINNING = 10  # rows among which one is on time


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


def of_kind(flaws_: Flaws, kind: str) -> NDArray[np.uint64]:
    """Fingerprints of the ids to which a kind of flaw was done (uint64[n]), sorted."""
    rows = np.isin(flaws_.name, [FLAWS.index(name) for name in KINDS[kind]])
    return np.sort(fingerprint(flaws_.id_hi[rows], flaws_.id_lo[rows]))


def unmatched(left: NDArray[np.uint64], right: NDArray[np.uint64]) -> int:
    """How many entries of two lists have no partner in the other; an id that stands twice needs two partners."""
    values, counts = np.unique(left, return_counts=True)
    others, their_counts = np.unique(right, return_counts=True)
    everything = np.union1d(values, others)
    ours, theirs = np.zeros(len(everything), np.int64), np.zeros(len(everything), np.int64)
    ours[np.searchsorted(everything, values)] = counts
    theirs[np.searchsorted(everything, others)] = their_counts
    return int(np.abs(ours - theirs).sum())


def _first_delivered_before(
    columns: Columns, prints: NDArray[np.uint64], behind: NDArray[np.bool_], doubled: NDArray[np.uint64]
) -> NDArray[np.uint64]:
    """What arrives twice, but for the first time before the stream begins: it stands in it once, older than what the stream begins with."""
    begin = columns.ts_ms[:_BEGINNING].max(initial=0)
    old = np.intersect1d(prints[behind & (columns.ts_ms < begin)], doubled)
    values, counts = np.unique(prints[np.isin(prints, old)], return_counts=True)
    once: NDArray[np.uint64] = values[counts == 1]
    return once


def flaws(evidence: Evidence) -> Measurement:
    """R11: measured rates against configured ones, and the stream against the ledger, id by id."""
    columns = evidence.columns
    prints, again = fingerprints(columns), copies(columns)
    behind = (behind_ms(columns) > 0) & ~again
    originals = len(columns) - int(again.sum()) + columns.malformed
    seen = {"duplicate": int(again.sum()), "malformed": columns.malformed, "behind": int(behind.sum())}
    told = "seen: " + ", ".join(f"{name} {count:,}" for name, count in seen.items())
    if evidence.ledger is None:
        return Measurement({}, f"configured rates are known from a ledger only: not judged; {told}")
    if evidence.ledger.flaws is None:
        return Measurement(
            {}, f"of a stream that may still grow 'clickreel verify' proves the flaws: not judged; {told}"
        )
    if prints is None:
        return Measurement({}, f"the stream has no event ids: not judged; {told}")
    ledger, configured = evidence.ledger.flaws, evidence.ledger.configured
    present = np.unique(prints)
    values = {}
    delayed = [of_kind(ledger, kind) for kind in DELAYED]
    for kind, ids in zip(DELAYED, delayed, strict=True):
        here = int(np.isin(ids, present, assume_unique=True).sum())
        values[kind] = relative_error(here / originals, configured.get(kind, 0.0))
    for kind in ("duplicate", "malformed"):
        values[kind] = relative_error(seen[kind] / originals, configured.get(kind, 0.0))
    known = np.concatenate(delayed)
    doubled = of_kind(ledger, "duplicate")
    cut = _first_delivered_before(columns, prints, behind, doubled)
    differences = (
        int((~np.isin(known, present)).sum())
        + int((~np.isin(prints[behind], np.concatenate([known, cut]))).sum())
        + unmatched(prints[again], doubled[~np.isin(doubled, cut)])
        + abs(columns.malformed - len(of_kind(ledger, "malformed")))
    )
    rates = ", ".join(f"{kind} {configured.get(kind, 0.0):.3%}" for kind in KINDS)
    return Measurement(values | {"not in both": float(differences)}, f"configured: {rates}; {told}")


TESTS = (
    RealismTest(
        "R11",
        "flaws",
        (
            # Parts of the configured rate.
            *(Band(f"{kind}", None, 0.10, assumed=True) for kind in KINDS),
            # Entries that only the ledger or only the stream has.
            Band("not in both", None, 0),
        ),
        "rates [A]; 72 h horizon GA4; two kinds of duplicate (Snowplow)",
        flaws,
    ),
)
