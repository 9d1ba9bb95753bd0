"""A topic to columns: everything it holds now, in offset order, partition by partition as it comes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from clickreel.audit.realism.columns import Columns
from clickreel.contract.decode import decode
from clickreel.errors import UsageError
from clickreel.stream.broker import Broker, Reader, Record

BLOCK_RECORDS = 200_000
_POLL_S = 1.0
# A user number above 32 bits is allowed by the contract, not made by any run; it would need twice the memory for all.
USER_MAX = 2**32 - 1


def read_topic(broker: Broker, topic: str) -> Columns:
    """Read a topic from its first record to the end it has at the time of the call.

    Records that break the contract are counted, not kept. Memory: about 50 bytes a record.

    Raises:
        UsageError: There is no such topic.
        UnreachableError: The cluster does not answer.
    """
    if broker.topic(topic) is None:
        raise UsageError(f"no topic {topic} on {broker.address}", hint="clickreel topic create")
    bounds = broker.bounds(topic)
    ends = {place: bound.high for place, bound in enumerate(bounds) if bound.high > bound.low}
    if not ends:
        return Columns.concat([])
    reader = broker.reader(topic, {place: bounds[place].low for place in ends})
    try:
        return Columns.concat([_decoded(block) for block in _blocks(reader, ends)])
    finally:
        reader.close()


def _blocks(reader: Reader, ends: dict[int, int]) -> Iterator[list[Record]]:
    block: list[Record] = []
    left = dict(ends)
    while left:
        for record in reader.poll(BLOCK_RECORDS - len(block), _POLL_S):
            if record.offset < ends.get(record.partition, 0):
                block.append(record)
            if record.offset + 1 >= ends.get(record.partition, 0):
                left.pop(record.partition, None)
        # The last offsets may be gaps (control records): then the end is met without its record.
        for partition in reader.ended & left.keys():
            del left[partition]
        if len(block) >= BLOCK_RECORDS or not left:
            yield block
            block = []


def _decoded(block: list[Record]) -> Columns:
    found = decode(
        pa.array([record.value for record in block], pa.large_binary()),
        pa.array([record.key for record in block], pa.large_binary()),
    )
    kept = found.valid & (found.user <= USER_MAX)
    return Columns(
        ts_ms=found.ts_ms[kept],
        user=found.user[kept].astype(np.uint32),
        session=found.session[kept],
        film=found.film[kept],
        event_type=found.event_type[kept],
        page=found.page[kept],
        position=found.position[kept],
        device=found.device[kept],
        referrer=found.referrer[kept],
        id_hi=found.id_hi[kept],
        id_lo=found.id_lo[kept],
        partition=np.array([record.partition for record in block], np.int32)[kept],
        malformed=int((~kept).sum()),
    )
