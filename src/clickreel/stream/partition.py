"""Which partition a key goes to: murmur2, as every Java client computes it.

The producer decides this itself, because a resumed run has to know which part of the timeline each partition holds before it has
sent anything, and because librdkafka's own default (crc32) differs from what Java producers, Kafka Streams and Flink do.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

_M = np.uint32(0x5BD1E995)
_SEED = 0x9747B28C


def murmur2(keys: pa.BinaryArray) -> NDArray[np.uint32]:
    """Hash each key with Kafka's murmur2 (``org.apache.kafka.common.utils.Utils.murmur2``).

    Keys of one length are hashed together, so the cost is a few NumPy passes for each of the handful of lengths that keys have.

    Args:
        keys: n keys without nulls, of any lengths.

    Returns:
        The hashes as unsigned numbers (uint32[n]); Java shows the same 32 bits as signed.
    """
    assert keys.null_count == 0, "a null key has no hash"
    offsets = np.frombuffer(keys.buffers()[1], np.int32)[keys.offset : keys.offset + len(keys) + 1].astype(np.int64)
    data = np.frombuffer(keys.buffers()[2] or b"", np.uint8)
    lengths = np.diff(offsets)
    out = np.empty(len(keys), np.uint32)
    for length in np.unique(lengths):
        rows = np.flatnonzero(lengths == length)
        out[rows] = _murmur2_equal(data[offsets[rows, None] + np.arange(length)])
    return out


def _murmur2_equal(keys: NDArray[np.uint8]) -> NDArray[np.uint32]:
    """The hashes of n keys of one length, given as uint8[n, length]."""
    length = keys.shape[1]
    whole = length // 4
    # Unsigned wrap-around is the algorithm; NumPy does not warn about it for arrays.
    words = np.ascontiguousarray(keys[:, : 4 * whole]).view("<u4").reshape(len(keys), whole)
    h = np.full(len(keys), _SEED ^ length, np.uint32)
    for column in range(whole):
        k = words[:, column] * _M
        k ^= k >> np.uint32(24)
        h *= _M
        h ^= k * _M
    if length % 4:
        for place in range(length % 4):
            h ^= keys[:, 4 * whole + place].astype(np.uint32) << np.uint32(8 * place)
        h *= _M
    h ^= h >> np.uint32(13)
    h *= _M
    h ^= h >> np.uint32(15)
    return h


def partitions(keys: pa.BinaryArray, values: pa.BinaryArray, count: int) -> NDArray[np.int32]:
    """The partition of each record of a topic with ``count`` partitions.

    A Java client spreads records without a key at random; a run that can be resumed may not, so there the value decides.

    Args:
        keys: n keys, null where a record has none.
        values: n values.
        count: Number of partitions, from 1.

    Returns:
        Partition numbers, 0 to ``count - 1`` (int32[n]).
    """
    assert count >= 1, f"a topic of {count} partitions"
    assert len(keys) == len(values), f"{len(keys)} keys, {len(values)} values"
    if keys.null_count:
        keys = pc.coalesce(keys, values)
    positive = murmur2(keys) & np.uint32(0x7FFFFFFF)
    return (positive % np.uint32(count)).astype(np.int32)
