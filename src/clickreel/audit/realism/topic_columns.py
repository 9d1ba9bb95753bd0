"""A topic to columns: everything it holds now, in offset order, partition by partition as it comes."""

from __future__ import annotations

import numpy as np

from clickreel.audit.realism.columns import Columns
from clickreel.contract.decode import decode
from clickreel.errors import UsageError
from clickreel.stream.broker import Broker
from clickreel.stream.offset_ranges import read_ranges
from clickreel.stream.record_batch import RecordBatch

BLOCK_RECORDS = 200_000
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
    ranges = {partition: (bound.low, bound.high) for partition, bound in enumerate(broker.bounds(topic))}
    return Columns.concat([_decoded(batch) for batch in read_ranges(broker, topic, ranges, limit=BLOCK_RECORDS)])


def _decoded(batch: RecordBatch) -> Columns:
    found = decode(batch.values, batch.keys)
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
        partition=np.full(int(kept.sum()), batch.partition, np.int32),
        malformed=int((~kept).sum()),
    )
