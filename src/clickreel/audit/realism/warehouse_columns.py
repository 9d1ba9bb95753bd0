"""The landing table to columns: one topic, partition by partition in offset order, a range of offsets at a time."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from clickreel.audit.realism.columns import DTYPES, Columns
from clickreel.audit.realism.topic_columns import USER_MAX
from clickreel.contract.vocabulary import DEVICES, EVENT_TYPES, PAGES, REFERRERS
from clickreel.errors import UsageError
from clickreel.warehouse.client import Client

# A range holds at most so many rows: about 25 MB on the wire.
RANGE = 500_000
_WORDS = {"event_type": EVENT_TYPES, "page": PAGES, "device": DEVICES, "referrer": REFERRERS}
_SELECT = ", ".join(
    [
        "UUIDToNum(event_id) AS c_id",
        "toUnixTimestamp64Milli(event_ts) AS c_ts_ms",
        "user::UInt32 AS c_user",
        "session AS c_session",
        "film_id AS c_film",
        "position AS c_position",
        *(
            f"transform({name}::String, {list(words)!r}, {list(range(len(words)))!r}, 255)::UInt8 AS c_{name}"
            for name, words in _WORDS.items()
        ),
    ]
)


def read_warehouse(client: Client, topic: str) -> Columns:
    """Read what has landed of a topic.

    Dead rows are counted as malformed; of a topic that was deleted and made again, the latest is read. Memory: about 50 bytes a row.

    Raises:
        UsageError: Nothing of the topic has landed.
        UnreachableError: ClickHouse does not answer.
    """
    found = client.rows(
        "SELECT argMax(_topic_id, _inserted_at) FROM dvd_clicks_landing WHERE _topic = {topic:String} HAVING count() > 0",
        {"topic": topic},
    )
    if not found:
        raise UsageError(
            f"nothing of {topic} has landed in {client.address}", hint="clickreel ingest --until-caught-up"
        )
    topic_id = str(found[0][0])
    partitions = client.rows(
        "SELECT _partition, min(_offset), max(_offset) FROM dvd_clicks_landing WHERE _topic_id = {id:String} GROUP BY _partition "
        "ORDER BY _partition",
        {"id": topic_id},
    )
    blocks = [
        block
        for partition, first, last in partitions
        for block in _partition(client, topic_id, int(partition), range(int(first), int(last) + 1))
    ]
    return Columns.concat(blocks)


def _partition(client: Client, topic_id: str, partition: int, offsets: range) -> Iterator[Columns]:
    where = (
        "_topic_id = {id:String} AND _partition = {partition:Int32} AND _offset BETWEEN {first:Int64} AND {last:Int64}"
    )
    for first in offsets[::RANGE]:
        span = {"id": topic_id, "partition": partition, "first": first, "last": first + RANGE - 1}
        good = f"error IN ('', 'repeated') AND user <= {USER_MAX}"
        dead = client.rows(
            f"SELECT count() FROM dvd_clicks_landing WHERE {where} AND error != 'gap' AND NOT ({good})", span
        )
        table = client.columns(
            f"SELECT {_SELECT} FROM dvd_clicks_landing WHERE {where} AND {good} ORDER BY _offset", span
        )
        yield _columns(table, partition, int(dead[0][0]))


def _columns(table: pa.Table, partition: int, malformed: int) -> Columns:
    columns = {name: table[f"c_{name}"].to_numpy().astype(dtype) for name, dtype in DTYPES.items()}
    ids = np.frombuffer(b"".join(table["c_id"].to_pylist()), ">u8").reshape(-1, 2)
    return Columns(
        **columns,
        id_hi=ids[:, 0].astype(np.uint64),
        id_lo=ids[:, 1].astype(np.uint64),
        partition=np.full(table.num_rows, partition, np.int32),
        malformed=malformed,
    )
