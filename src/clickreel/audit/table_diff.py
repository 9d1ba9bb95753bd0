"""Kafka's records against the rows of the landing table, column by column."""

from __future__ import annotations

from collections.abc import Container, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from clickreel.contract.check import contract
from clickreel.contract.rules import Violation
from clickreel.contract.schema import Schema
from clickreel.contract.vocabulary import DEVICES, EVENT_TYPES, PAGES, REFERRERS
from clickreel.ingest.validate_batch import ValidatedBatch
from clickreel.quantities import quantity
from clickreel.simulate import ids
from clickreel.stream.record_batch import RecordBatch
from clickreel.warehouse.client import Client

_WORDS = {"event_type": EVENT_TYPES, "page": PAGES, "device": DEVICES, "referrer": REFERRERS}
# Column of the decoded batch -> how it is asked of the table.
_COLUMNS = {
    "id": "UUIDToNum(event_id)",
    "ts_ms": "toUnixTimestamp64Milli(event_ts)",
    "user": "user",
    "session": "session",
    "film": "film_id",
    "position": "position",
    **{
        name: f"transform({name}::String, {list(words)!r}, {list(range(len(words)))!r}, 255)::UInt8"
        for name, words in _WORDS.items()
    },
}
_FIELDS = {"film": "film_id", "user": "user_id", "session": "session_id", "ts_ms": "event_ts", "id": "event_id"}
# One row in so many is read again by another parser: what the block decoder and ingest have in common cannot hide.
_AGAIN_EVERY = 499
_MIX = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True, slots=True)
class TableFault:
    """One difference between Kafka and ClickHouse.

    Attributes:
        kind: ``missing`` (not landed), ``doubled`` (landed more than once), ``extra`` (landed, but not in Kafka), ``wrong`` (other content).
        partition: The partition.
        offset: The offset.
        text: What is wrong with it.
        event_id: The event's id, where it is known.
    """

    kind: str
    partition: int
    offset: int
    text: str = ""
    event_id: str = ""


@dataclass
class Comparison:
    """What one comparison found.

    Attributes:
        landed: Rows of the run in the range of the table, gaps left out.
        dead: Dead rows by (error, field, rule).
        faults: The differences.
        checksum_kafka: Sum of the rows' hashes on Kafka's side, modulo 2**64.
        checksum_table: The same of the table.
    """

    landed: int = 0
    dead: dict[tuple[str, str, str], int] = field(default_factory=dict)
    faults: list[TableFault] = field(default_factory=list)
    checksum_kafka: int = 0
    checksum_table: int = 0


class TableDiff:
    """The rows of one topic in the landing table.

    Args:
        client: The database.
        topic_id: The topic's id.
        run_tag: Whose rows are counted as landed; None for everybody's. A dead row tells no run and counts for any.
    """

    def __init__(self, client: Client, topic_id: str, run_tag: int | None = None) -> None:
        self._client = client
        self._topic_id = topic_id
        self._run_tag = run_tag

    def compare(self, validated: ValidatedBatch, first: int, replayed: Container[int] = ()) -> Comparison:
        """Compare the records of a batch with their rows.

        Args:
            validated: The records, validated as ingest judges them, replayed ones by the schema of their replay.
            first: The offset after the last record before them; rows from there on belong to the batch.
            replayed: The rows that were replayed.
        """
        batch = validated.batch
        last = int(batch.offsets[-1])
        rows, dead = self._rows(batch.partition, first, last), self._dead(batch.partition, first, last)
        found = Comparison(self._count_landed(rows))
        for mark in ((row["error"], row["field"], row["rule"]) for row in dead.values()):
            found.dead[mark] = found.dead.get(mark, 0) + 1
        places = _places(batch, rows["_offset"], found.faults)
        common = np.flatnonzero(places >= 0)
        self._columns(validated, rows, common, places, found)
        self._reasons(validated, dead, common, found.faults)
        found.faults += _again(batch, rows, common, places, replayed)
        return found

    def replayed_schemas(self, partition: int, first: int, last: int) -> dict[int, Schema]:
        """By which schema dead letters of a range were replayed, by offset; those replayed by the current contract are left out."""
        found = self._client.rows(
            "SELECT _offset, replayed_schema::String FROM dvd_clicks_landing WHERE _topic_id = {id:String} "
            "AND _partition = {partition:Int32} AND _offset BETWEEN {first:Int64} AND {last:Int64} AND replayed_schema != ''",
            self._range(partition, first, last),
        )
        schemas = {text: Schema("replayed", 0, text) for text in {row[1] for row in found}}
        return {int(row[0]): schemas[row[1]] for row in found}

    def _count_landed(self, rows: dict[str, NDArray[Any]]) -> int:
        if self._run_tag is None:
            return len(rows["_offset"])
        of_other_runs = ids.read(rows["id_hi"], rows["id_lo"])[0] != self._run_tag
        return int((rows["dead"].astype(bool) | ~of_other_runs).sum())

    def _rows(self, partition: int, first: int, last: int) -> dict[str, NDArray[Any]]:
        columns = ", ".join(f"{text} AS c_{name}" for name, text in _COLUMNS.items())
        table = self._client.columns(
            f"SELECT _offset, toUnixTimestamp64Milli(_timestamp) AS c_stamp, error NOT IN ('', 'repeated') AS c_dead, {columns} FROM dvd_clicks_landing "
            "WHERE _topic_id = {id:String} AND _partition = {partition:Int32} AND _offset BETWEEN {first:Int64} AND {last:Int64} "
            "AND error != 'gap' ORDER BY _offset",
            self._range(partition, first, last),
        )
        out: dict[str, NDArray[Any]] = {
            name.removeprefix("c_"): table[name].to_numpy() for name in table.column_names if name != "c_id"
        }
        identity = table["c_id"].combine_chunks()
        raw = np.frombuffer(b"".join(identity.to_pylist()), ">u8").reshape(-1, 2)
        out["id_hi"], out["id_lo"] = raw[:, 0].astype(np.uint64), raw[:, 1].astype(np.uint64)
        return out

    def _dead(self, partition: int, first: int, last: int) -> dict[int, dict[str, Any]]:
        """The dead rows by offset."""
        names = ("_offset", "error", "field", "rule", "key", "value")
        found = self._client.rows(
            "SELECT _offset, error, field, rule, lower(hex(raw_key)), lower(hex(raw_value)) FROM dvd_clicks_landing "
            "WHERE _topic_id = {id:String} AND _partition = {partition:Int32} AND _offset BETWEEN {first:Int64} AND {last:Int64} "
            "AND error NOT IN ('', 'repeated', 'gap')",
            self._range(partition, first, last),
        )
        return {int(row[0]): dict(zip(names, row, strict=True)) for row in found}

    def _range(self, partition: int, first: int, last: int) -> dict[str, Any]:
        return {"id": self._topic_id, "partition": partition, "first": first, "last": last}

    def _columns(
        self,
        validated: ValidatedBatch,
        rows: dict[str, NDArray[Any]],
        common: NDArray[np.intp],
        places: NDArray[np.intp],
        found: Comparison,
    ) -> None:
        """Compare the columns of the rows that both sides have; name the first that differ."""
        batch, decoded, theirs = validated.batch, validated.decoded, places[common]
        good = np.ones(len(batch), bool)
        good[list(validated.dead)] = False
        differs = {"good or dead": (~good[common]) != rows["dead"][theirs].astype(bool)}
        differs["timestamp"] = np.maximum(batch.timestamps_ms, 0)[common] != rows["stamp"][theirs]
        kafka_sum, table_sum = np.zeros(len(common), np.uint64), np.zeros(len(common), np.uint64)
        both = good[common]
        for name in ("id_hi", "id_lo", *(name for name in _COLUMNS if name != "id")):
            ours = getattr(decoded, name)[common].astype(np.int64).view(np.uint64)
            other = rows[name][theirs].astype(np.int64).view(np.uint64)
            differs[name] = both & (ours != other)
            kafka_sum = (kafka_sum ^ np.where(both, ours, 0).astype(np.uint64)) * _MIX
            table_sum = (table_sum ^ np.where(both, other, 0).astype(np.uint64)) * _MIX
        found.checksum_kafka = int(kafka_sum.sum(dtype=np.uint64))
        found.checksum_table = int(table_sum.sum(dtype=np.uint64))
        for name, mask in differs.items():
            for place in np.flatnonzero(mask)[:10]:
                row = int(common[place])
                field_name = _FIELDS.get(name, name)
                found.faults.append(
                    TableFault(
                        "wrong", batch.partition, int(batch.offsets[row]), f"{field_name} differs", _id(decoded, row)
                    )
                )

    def _reasons(
        self,
        validated: ValidatedBatch,
        dead: dict[int, dict[str, Any]],
        common: NDArray[np.intp],
        faults: list[TableFault],
    ) -> None:
        """Compare the dead rows: reason and bytes."""
        there = set(common.tolist())
        for row, why in validated.dead.items():
            if row not in there:
                continue
            batch, offset = validated.batch, int(validated.batch.offsets[row])
            landed = dead.get(offset)
            if landed is None:
                continue  # "good or dead" has said it
            if (landed["field"], landed["rule"]) != (why.field, why.rule):
                text = f"dead for {landed['field']}/{landed['rule']}, should be {why.field}/{why.rule}"
                faults.append(TableFault("wrong", batch.partition, offset, text))
            for name, data in (("key", batch.key(row)), ("value", batch.value(row))):
                if landed[name] != (None if data is None else data.hex()):
                    faults.append(TableFault("wrong", batch.partition, offset, f"the {name}'s bytes differ"))

    def count(self, partition: int, first: int, last: int) -> int:
        """How many rows a partition has in a range of offsets, gaps left out."""
        found = self._client.rows(
            "SELECT count() FROM dvd_clicks_landing WHERE _topic_id = {id:String} AND _partition = {partition:Int32} "
            "AND _offset BETWEEN {first:Int64} AND {last:Int64} AND error != 'gap'",
            self._range(partition, first, last),
        )
        return int(found[0][0])


def _places(batch: RecordBatch, offsets: NDArray[np.int64], faults: list[TableFault]) -> NDArray[np.intp]:
    """For each record the place of its row, -1 where there is none; offsets that are missing, doubled or extra become faults."""
    if np.array_equal(offsets, batch.offsets):
        return np.arange(len(offsets))
    unique, counts = np.unique(offsets, return_counts=True)
    faults += [
        TableFault("doubled", batch.partition, int(offset), quantity(count, "row"))
        for offset, count in zip(unique, counts, strict=True)
        if count > 1
    ]
    faults += [TableFault("extra", batch.partition, int(offset)) for offset in np.setdiff1d(unique, batch.offsets)]
    places = np.searchsorted(offsets, batch.offsets)
    inside = places < len(offsets)
    hit = np.zeros(len(batch), bool)
    hit[inside] = offsets[places[inside]] == batch.offsets[inside]
    faults += [TableFault("missing", batch.partition, int(offset), "not landed") for offset in batch.offsets[~hit]]
    return np.where(hit, places, -1)


def _again(
    batch: RecordBatch,
    rows: dict[str, NDArray[Any]],
    common: NDArray[np.intp],
    places: NDArray[np.intp],
    replayed: Container[int],
) -> Iterator[TableFault]:
    """Read some records by the slow way, and compare."""
    for row in common[::_AGAIN_EVERY].tolist():
        if row in replayed or batch.headers.get(row) or (batch.value(row) or b"")[:1] == b"\0":
            continue
        key, value, place = batch.key(row), batch.value(row), places[row]
        dead = isinstance(contract().read(key, value), Violation)
        if dead != bool(rows["dead"][place]):
            yield TableFault("wrong", batch.partition, int(batch.offsets[row]), "good or dead differs")
        if dead:
            continue
        event = orjson.loads(value or b"")
        words = all(event[name] == words[rows[name][place]] for name, words in _WORDS.items())
        numbers = (event["film_id"], event["position"]) == (rows["film"][place], rows["position"][place])
        user = (
            event["user_id"] == f"u_{rows['user'][place]}" and event["session_id"] == f"s_{rows['session'][place]:08x}"
        )
        if not (words and numbers and user):
            yield TableFault("wrong", batch.partition, int(batch.offsets[row]), "content differs", event["event_id"])


def _id(decoded: Any, row: int) -> str:
    import uuid

    return str(uuid.UUID(int=int(decoded.id_hi[row]) << 64 | int(decoded.id_lo[row])))
