"""Messages of Kafka's client to columns: what ingest and the audit do with each of millions."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import chain, pairwise
from typing import Any

import numpy as np
from confluent_kafka import Consumer, Message

from clickreel.stream.record_batch import Headers, RecordBatch

# Messages are objects, 1 kB each with all that belongs to them. So many stay in the second-level cache from when they are made until their
# bytes lie in a column: 0.7 us a message, where 50,000 at once take 1.4.
PIECE_ROWS = 2_000
# No more at once, however large the messages are.
_POLL_BYTES = 32 << 20


@contextmanager
def uncollected() -> Iterator[None]:
    """Keep the garbage collector out.

    Each message is an object that it counts, so it runs some 30 times while 20,000 are fetched, and finds nothing: 1.1 us a message
    instead of 0.5. The messages go again by themselves when they have been read.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def fetch_batches(
    consumer: Consumer, limit: int, timeout_s: float, good: Callable[[list[Message]], list[Message]]
) -> list[RecordBatch]:
    """Fetch messages, at most one batch a partition.

    Args:
        consumer: Fetches from here.
        limit: How many, at most.
        timeout_s: How long they are waited for.
        good: Leaves out what is no message.
    """
    until, found = time.monotonic() + timeout_s, dict[int, list[RecordBatch]]()
    rows = size_bytes = 0
    while rows < limit and size_bytes < _POLL_BYTES:
        asked = min(PIECE_ROWS, limit - rows)
        with uncollected():
            messages = consumer.consume(asked, max(0.0, until - time.monotonic()))
            for batch in batches_from_messages(good(messages)):
                found.setdefault(batch.partition, []).append(batch)
                size_bytes += batch.size_bytes
        rows += len(messages)
        if len(messages) < asked:
            break
    return [RecordBatch.joined(pieces) for pieces in found.values()]


def batches_from_messages(messages: list[Message]) -> list[RecordBatch]:
    """Messages by partition, as columns; none may be an error."""
    count = len(messages)
    keys, values = list(map(Message.key, messages)), list(map(Message.value, messages))
    partitions = np.fromiter(map(Message.partition, messages), np.int32, count)
    offsets = np.fromiter(map(Message.offset, messages), np.int64, count)
    # One by one: a list of all these pairs would be as many objects again for the garbage collector.
    stamps = (stamp if kind else -1 for kind, stamp in map(Message.timestamp, messages))
    timestamps = np.fromiter(stamps, np.int64, count)
    headers = list(map(Message.headers, messages))
    headed = any(headers)
    edges = [0, *(np.flatnonzero(np.diff(partitions)) + 1).tolist(), count]
    runs: dict[int, list[slice]] = {}
    for first, end in pairwise(edges):
        if first < end:
            runs.setdefault(int(partitions[first]), []).append(slice(first, end))
    return [
        RecordBatch.from_values(
            partition,
            np.concatenate([offsets[run] for run in mine]),
            np.concatenate([timestamps[run] for run in mine]),
            list(chain.from_iterable(keys[run] for run in mine)),
            list(chain.from_iterable(values[run] for run in mine)),
            _headers(chain.from_iterable(headers[run] for run in mine)) if headed else {},
        )
        for partition, mine in runs.items()
    ]


def _headers(headers: Iterable[Any]) -> dict[int, Headers]:
    """The headers of the rows that have some; librdkafka's client gives text where bytes were sent as such."""
    return {
        row: [(name, data.encode() if isinstance(data, str) else data) for name, data in found]
        for row, found in enumerate(headers)
        if found
    }
