import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clickreel.contract import corrupt
from clickreel.contract.bounds import COLUMNS, check_columns
from clickreel.contract.check import check
from clickreel.contract.encode import encode
from clickreel.contract.samples import block
from clickreel.contract.vocabulary import FLAWS, MALFORMED
from clickreel.errors import ContractError
from tests.contract.blocks import LAST_MS, plain


@given(rows=st.integers(0, 60), seed=st.integers(0, 2**32))
def test_the_bytes_are_those_of_json_dumps(rows: int, seed: int) -> None:
    """The vectorised encoder and the slow twin write the same keys and values, at every width of every number."""
    deliveries = block(rows, seed)
    encoded = encode(deliveries)
    expected = [plain(deliveries, row) for row in range(rows)]
    assert expected == list(zip(encoded.keys.to_pylist(), encoded.values.to_pylist(), strict=True))


def test_the_seeds_example_is_written_as_contracted() -> None:
    """The ends of the calendar and the smallest and largest numbers are written in full."""
    deliveries = block(4)
    events = deliveries.events
    events.ts_ms[:] = [0, LAST_MS, 951_825_599_999, 951_825_600_000]
    events.user[:] = [1, 2**32 - 1, 9, 10]
    events.film[:] = [1, 2**31 - 1, 99, 100]
    events.position[:] = [1, 2**15 - 1, 9, 10]
    encoded = encode(deliveries)
    assert [plain(deliveries, row)[1] for row in range(4)] == encoded.values.to_pylist()
    assert b'"1970-01-01 00:00:00.000"' in encoded.values[0].as_py()
    assert b'"2099-12-31 23:59:59.999"' in encoded.values[1].as_py()
    assert b'"2000-02-29 12:00:00.000"' in encoded.values[3].as_py()


def test_a_long_block_is_encoded_as_its_parts_are() -> None:
    """A row's bytes do not depend on the block it is in."""
    deliveries = block(20_000, seed=3, flaw=None)
    whole = encode(deliveries)
    parts = [encode(deliveries.take(slice(start, start + 777))) for start in range(0, 20_000, 777)]
    assert whole.values.to_pylist() == [value for part in parts for value in part.values.to_pylist()]
    assert whole.keys.to_pylist() == [key for part in parts for key in part.keys.to_pylist()]


def test_every_valid_message_passes_the_check() -> None:
    """What encode writes without a malformed flaw is valid, changed duplicates included."""
    for flaw in (flaw for flaw in FLAWS if flaw not in MALFORMED):
        encoded = encode(block(500, seed=FLAWS.index(flaw), flaw=flaw))
        for key, value in zip(encoded.keys.to_pylist(), encoded.values.to_pylist(), strict=True):
            assert check(key, value) is None


@given(flaw=st.sampled_from(MALFORMED), seed=st.integers(0, 2**32))
def test_every_malformed_kind_is_found_with_its_reason(flaw: str, seed: int) -> None:
    """The check names the field and rule that the kind's reason foretells from the variant alone."""
    deliveries = block(20, seed, flaw)
    encoded = encode(deliveries)
    for row, (key, value) in enumerate(zip(encoded.keys.to_pylist(), encoded.values.to_pylist(), strict=True)):
        found = check(key, value)
        assert found is not None, (key, value)
        assert corrupt.reason(flaw, int(deliveries.variant[row])) == (found.field, found.rule), (key, value)


def test_malformed_rows_leave_their_neighbours_alone() -> None:
    """Only rows with a malformed flaw differ from the flawless block."""
    mixed = block(5_000, seed=5, flaw=None)
    good = encode(block(5_000, seed=5, flaw="none"))
    encoded = encode(mixed)
    touched = mixed.flaw >= FLAWS.index("duplicate_changed")
    same = np.array([a == b for a, b in zip(good.values.to_pylist(), encoded.values.to_pylist(), strict=True)])
    same &= np.array([a == b for a, b in zip(good.keys.to_pylist(), encoded.keys.to_pylist(), strict=True)])
    assert np.array_equal(same, ~touched)


def test_a_changed_duplicate_keeps_its_identity() -> None:
    """Id, time, user and session stay, position changes within its bounds."""
    deliveries = block(3_000, seed=8, flaw="duplicate_changed")
    before = deliveries.events
    after = corrupt.change(before, np.arange(3_000), deliveries.variant)
    check_columns(after)
    assert (before.position != after.position).all()
    assert 0.2 < (before.referrer != after.referrer).mean() < 0.8
    for column in ("ts_ms", "user", "session", "film", "event_type", "page", "device"):
        assert np.array_equal(getattr(before, column), getattr(after, column))


@pytest.mark.parametrize("column", COLUMNS)
def test_a_value_out_of_bounds_is_refused_before_it_is_written(column: str) -> None:
    """The first bad row, its field, value and rule are named."""
    deliveries = block(10)
    field, low, _, rule, _ = COLUMNS[column]
    values = getattr(deliveries.events, column)
    bad = low - 1 if low > 0 or column == "ts_ms" else 250
    values[3:5] = bad
    with pytest.raises(ContractError, match=f"row 3: {field} is {bad}, .* rule {rule}"):
        encode(deliveries)


def test_no_stranger_is_in_the_contract() -> None:
    """The unknown words of unknown_enum are unknown."""
    words = {word for field in corrupt._ENUMS for word in corrupt._RULES[field]["enum"]}
    assert not words & set(corrupt._STRANGERS)
