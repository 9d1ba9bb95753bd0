from typing import Any

import numpy as np
import pytest

from clickreel.audit.realism import Evidence, Ledger, timeline
from clickreel.audit.realism.flaw_rates import flaws, unmatched
from clickreel.audit.realism.ledger_reader import Bursts, Flaws
from clickreel.contract.vocabulary import FLAWS
from tests.realism.build import stream

NONE = np.empty(0, np.int64)
NO_BURSTS = Bursts(NONE.astype(np.int32), NONE, NONE)
N = 1000


def _ledger(entries: list[tuple[str, int]], **configured: float) -> Ledger:
    names = np.array([FLAWS.index(name) for name, _ in entries], np.uint8)
    low = np.array([id_ for _, id_ in entries], np.uint64)
    found = Flaws(names, np.full(len(low), 7, np.uint64), low, np.zeros(len(low), np.int64))
    return Ledger(NONE.astype(np.uint32), NONE, NONE, NO_BURSTS, NO_BURSTS, found, configured)


def _delivered(order: list[int], malformed: int = 0) -> Any:
    """Event i happens at i ms and has id i; `order` says how they are delivered."""
    return stream(ts_ms=order, id_hi=[7] * len(order), id_lo=order, malformed=malformed)


def _found(order: list[int], ledger: Ledger | None, malformed: int = 0) -> dict[str, float]:
    columns = _delivered(order, malformed)
    return dict(flaws(Evidence(columns, timeline(columns), ledger)).values)


def _late(order: list[int], *rows: int, by: int = 50) -> list[int]:
    """Deliver some rows later."""
    key = {row: row + by + 0.5 for row in rows}
    return sorted(order, key=lambda row: key.get(row, row))


def test_a_stream_without_flaws_agrees_with_an_empty_ledger() -> None:
    """Rates that should be zero are zero."""
    assert set(_found(list(range(N)), _ledger([])).values()) == {0.0}


def test_rates_as_configured_and_ids_as_in_the_ledger() -> None:
    """Ten late events, five doubled, two malformed."""
    late = list(range(100, 200, 10))
    order = _late(list(range(N)), *late)
    order = [*order, 1, 2, 3, 4, 5]
    entries = [("late", row) for row in late] + [("duplicate_same", row) for row in (1, 2, 3)]
    entries += [("duplicate_changed", 4), ("duplicate_changed", 5), ("not_json", 5000), ("wrong_key", 5001)]
    values = _found(order, _ledger(entries, late=0.01, duplicate=0.005, malformed=0.002), malformed=2)
    assert values == {
        "late": pytest.approx(0, abs=0.01),
        "late_batch": 0,
        "out_of_order": 0,
        "duplicate": pytest.approx(0, abs=0.01),
        "malformed": pytest.approx(0, abs=0.01),
        "not in both": 0,
    }


def test_what_arrives_twice_around_the_beginning_of_the_stream_is_no_difference() -> None:
    """Its first delivery is not in the stream: what there is of it is old, and stands once."""
    order = [*range(20, 40), 3, *range(40, N)]
    assert _found(order, _ledger([("duplicate_same", 3)]))["not in both"] == 0
    # The same later on is one delivery too few, and a row behind that the ledger does not know.
    order = [*range(20, 500), *range(501, 520), 500, *range(520, N)]
    assert _found(order, _ledger([("duplicate_same", 500)]))["not in both"] == 2


def test_a_rate_that_misses_its_target_is_told() -> None:
    """Half of what was configured."""
    values = _found([*range(N), 1, 2], _ledger([("duplicate_same", 1), ("duplicate_same", 2)], duplicate=0.004))
    assert values["duplicate"] == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("order", "entries", "malformed", "differences"),
    [
        (_late(list(range(N)), 100), [], 0, 1),  # late, unknown to the ledger
        (list(range(1, N)), [("late", 0)], 0, 1),  # in the ledger, lost from the stream
        ([*range(N), 5], [], 0, 1),  # doubled, unknown
        (list(range(N)), [("duplicate_same", 5)], 0, 1),  # should be doubled, is not
        ([*range(N), 5], [("duplicate_same", 6)], 0, 2),  # another one is doubled
        ([*range(N), 5, 5], [("duplicate_same", 5)], 0, 1),  # doubled once more than it should be
        (list(range(N)), [], 3, 3),  # malformed, unknown
    ],
)
def test_each_difference_between_stream_and_ledger_counts(
    order: list[int], entries: list[tuple[str, int]], malformed: int, differences: int
) -> None:
    """From either side."""
    assert _found(order, _ledger(entries), malformed)["not in both"] == differences


def test_without_a_ledger_nothing_is_judged() -> None:
    """What is seen is told in the note."""
    columns = _delivered([*range(N), 5])
    found = flaws(Evidence(columns, timeline(columns), None))
    assert found.values == {}
    assert "duplicate 1" in found.note


def test_unmatched_counts_both_sides() -> None:
    """1 twice against once, 2 alone, 3 alone."""
    assert unmatched(np.array([1, 1, 2], np.uint64), np.array([1, 3], np.uint64)) == 3
