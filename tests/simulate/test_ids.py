"""Event ids: valid UUIDs that look random, differ, and read back."""

import uuid

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clickreel.errors import UsageError
from clickreel.simulate import ids

PLACES = st.tuples(
    st.integers(0, 2**32 - 1), st.integers(0, ids.TS_MS_LIMIT - 1), st.integers(0, 2**32 - 1), st.integers(0, 2**16 - 1)
)


def make(run_tag: int, ts_ms: int, user: int, ordinal: int) -> uuid.UUID:
    """One id."""
    hi, lo = ids.make(run_tag, np.array([ts_ms]), np.array([user], np.uint32), np.array([ordinal], np.uint16))
    return uuid.UUID(int=(int(hi[0]) << 64) | int(lo[0]))


@given(PLACES)
def test_an_id_reads_back_and_is_a_version_4_uuid(place: tuple[int, int, int, int]) -> None:
    """From the id alone come run, time, user and ordinal."""
    made = make(*place)
    assert made.version == 4
    assert made.variant == uuid.RFC_4122
    found = ids.explain(str(made))
    assert (found.run_tag, found.ts_ms, found.user, found.ordinal) == place
    assert found.session_of_day * 4096 + found.event_of_session == found.ordinal


@given(PLACES)
def test_the_permutation_is_the_one_it_was(place: tuple[int, int, int, int]) -> None:
    """A scalar twin, written out: ids of years ago stay readable only while this holds."""
    mask = (1 << 61) - 1
    packed = place[0] << 90 | place[1] << 48 | place[2] << 16 | place[3]
    left, right = packed >> 61, packed & mask
    for key in ids._ROUNDS:
        x = (right + key) % 2**64
        x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9 % 2**64
        x = (x ^ x >> 27) * 0x94D049BB133111EB % 2**64
        left, right = right, left ^ ((x ^ x >> 31) & mask)
    bits = left << 61 | right
    value = bits >> 74 << 80 | 0x4 << 76 | (bits >> 62 & 0xFFF) << 64 | 0x2 << 62 | bits & (1 << 62) - 1
    assert make(*place).int == value


def test_one_id_written_down() -> None:
    """This id was made by the first release; if it reads differently, every id ever written does."""
    assert str(make(0xDEADBEEF, 1_767_571_200_000, 10, 4097)) == "9474b6dd-85b3-48f6-8b01-f26658baad87"


def test_neighbouring_events_have_ids_that_share_nothing() -> None:
    """Ids of one user's consecutive milliseconds are distinct, and each bit is set in half of them."""
    n = 20_000
    hi, lo = ids.make(1, np.arange(n) + 1_767_571_200_000, np.full(n, 10, np.uint32), np.zeros(n, np.uint16))
    assert len(np.unique(hi)) == len(np.unique(lo)) == n
    bits = np.unpackbits(np.stack([hi, lo], axis=1).astype(">u8").view(np.uint8).reshape(n, 16), axis=1).mean(axis=0)
    free = np.ones(128, bool)
    free[[48, 49, 50, 51, 64, 65]] = False
    assert np.abs(bits[free] - 0.5).max() < 0.02


@pytest.mark.parametrize(
    "text", ["", "u_10", "7d9f2c1a-3b5e-1f60-8a1b-2c3d4e5f6071", "00000000-0000-0000-0000-000000000000"]
)
def test_what_is_no_event_id_is_refused(text: str) -> None:
    """A text that is no UUID of version 4 gets an error that shows one."""
    with pytest.raises(UsageError, match="is not an event id") as caught:
        ids.explain(text)
    assert "UUID of version 4" in caught.value.hint
