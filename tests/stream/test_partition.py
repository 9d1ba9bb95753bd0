"""The partition of a key is the one that Java clients compute."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clickreel.stream.partition import murmur2, partitions


def scalar(key: bytes) -> int:
    """Kafka's Utils.murmur2, transcribed: slow, readable, one key."""
    mask, m = 0xFFFFFFFF, 0x5BD1E995
    h = 0x9747B28C ^ len(key)
    whole = len(key) // 4 * 4
    for i in range(0, whole, 4):
        k = int.from_bytes(key[i : i + 4], "little") * m & mask
        k = (k ^ (k >> 24)) * m & mask
        h = (h * m & mask) ^ k
    if whole < len(key):
        h = (h ^ int.from_bytes(key[whole:], "little")) * m & mask
    h = (h ^ (h >> 13)) * m & mask
    return h ^ (h >> 15)


@pytest.mark.parametrize(
    ("key", "java"),
    [
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_the_hash_is_the_one_of_kafkas_own_tests(key: bytes, java: int) -> None:
    """The values stand in Kafka's UtilsTest.testMurmur2."""
    assert int(murmur2(pa.array([key], pa.binary())).view(np.int32)[0]) == java


@given(st.lists(st.binary(max_size=40), max_size=30), st.integers(0, 5))
def test_the_vectorised_hash_agrees_with_the_scalar_one(keys: list[bytes], start: int) -> None:
    """For any bytes, mixed lengths, and slices of a longer array."""
    array = pa.array(keys, pa.binary()).slice(start)
    assert murmur2(array).tolist() == [scalar(key) for key in keys[start:]]


def test_a_record_without_a_key_goes_where_its_value_says() -> None:
    """A Java client would draw lots; a resumed run must find it again."""
    keys = pa.array([b'"u_1"', None], pa.binary())
    values = pa.array([b"x", b"abc"], pa.binary())
    assert partitions(keys, values, 6).tolist() == [(scalar(key) & 0x7FFFFFFF) % 6 for key in (b'"u_1"', b"abc")]


def test_users_spread_evenly() -> None:
    """100,000 users over 12 partitions: none holds 3 % more or less than its share."""
    keys = pa.array([b'"u_%d"' % user for user in range(1, 100_001)], pa.binary())
    counts = np.bincount(partitions(keys, keys, 12), minlength=12)
    assert np.abs(counts / counts.mean() - 1).max() < 0.03
