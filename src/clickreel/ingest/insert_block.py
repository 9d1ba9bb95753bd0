"""ValidatedBatch batches to the one block that is inserted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from clickreel.contract.vocabulary import DEVICES, EVENT_TYPES, PAGES, REFERRERS
from clickreel.ingest.native_block import NativeBlock
from clickreel.ingest.validate_batch import Rejected, ValidatedBatch
from clickreel.stream.record_batch import Headers
from clickreel.warehouse.repeated_events import REPEATED

GAP = Rejected(
    "gap", "", "", "Kafka has no record at this offset: a transaction's marker, or a record removed by compaction"
)

FindRepeated = Callable[[NDArray[np.uint64], NDArray[np.uint64], NDArray[np.int64]], NDArray[np.bool_]]
"""Ids (high and low half) and times of good messages, in the order of their rows, to which of them are repeated deliveries."""


@dataclass(frozen=True, slots=True)
class InsertBlock:
    """A block, ready to be inserted.

    Attributes:
        names: Its columns.
        data: Its bytes in the format Native.
        rows: How many rows it has.
        ends: The first and last offset of each partition in it.
        dead: How many rows are dead, by (error, field, rule).
        timestamps_ms: The records' timestamps, by partition.
        tokens: The claim's token of each partition.
        repeated: How many rows are repeated deliveries.
    """

    names: tuple[str, ...]
    data: bytes
    rows: int
    ends: Mapping[int, tuple[int, int]]
    dead: Mapping[tuple[str, str, str], int]
    timestamps_ms: Mapping[int, NDArray[np.int64]] = field(default_factory=dict)
    tokens: Mapping[int, int] = field(default_factory=dict)
    repeated: int = 0


def build_insert_block(
    validated: Sequence[ValidatedBatch],
    *,
    starts: Mapping[int, int],
    topic: str,
    topic_id: str,
    tokens: Mapping[int, int],
    keep_raw: bool = False,
    find_repeated: FindRepeated | None = None,
) -> InsertBlock:
    """Make the block of some validated batches.

    Args:
        validated: Batches; those of one partition in offset order.
        starts: The offset that each partition's rows must begin with; what Kafka does not serve from there on becomes a gap's row.
        topic: The topic's name.
        topic_id: Its id.
        tokens: The claim's token of each partition.
        keep_raw: Whether the bytes of good rows are kept too.
        find_repeated: Finds the repeated deliveries; None when there are none.
    """
    # Rows in the order of the table's key: ClickHouse has nothing to sort.
    validated = sorted(validated, key=lambda one: one.batch.partition)
    counts = [len(one.batch) for one in validated]
    offsets = np.concatenate([one.batch.offsets for one in validated])
    partitions = np.repeat(np.array([one.batch.partition for one in validated], np.int32), counts)
    previous = np.empty_like(offsets)
    previous[1:] = offsets[:-1]
    firsts = np.flatnonzero(np.diff(partitions, prepend=-1))  # where a partition's rows begin
    previous[firsts] = [starts[int(partition)] - 1 for partition in partitions[firsts]]
    gaps = _gaps(partitions, offsets, previous)
    block = NativeBlock(len(offsets) + len(gaps[0]))
    cells = _MessageCells.from_batches(validated, gaps, keep_raw=keep_raw)
    if find_repeated is not None:
        cells.mark_repeated(find_repeated)
    places = cells.places
    block.constant("_topic", topic)
    block.constant("_topic_id", topic_id)
    block.fixed("_partition", "Int32", _with(places, partitions, gaps[0]))
    block.fixed("_offset", "Int64", _with(places, offsets, gaps[1]))
    timestamps = np.concatenate([one.batch.timestamps_ms for one in validated])
    block.fixed("_timestamp", "DateTime64(3, 'UTC')", _with(places, np.maximum(timestamps, 0), np.zeros_like(gaps[1])))
    cells.write(block)
    of_row = np.array([tokens[one.batch.partition] for one in validated], np.uint64)
    gap_tokens = np.array([tokens[int(partition)] for partition in gaps[0]], np.uint64)
    block.fixed("_token", "UInt64", _with(places, np.repeat(of_row, counts), gap_tokens))
    return InsertBlock(
        tuple(block.names),
        block.data(),
        block.rows,
        {one.batch.partition: (starts[one.batch.partition], int(one.batch.offsets[-1])) for one in validated},
        cells.tally(),
        {
            int(partition): part
            for partition, part in zip(partitions[firsts], np.split(timestamps, firsts[1:]), strict=True)
        },
        tokens,
        len(cells.repeated),
    )


Gaps = tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.int64]]


def _gaps(partitions: NDArray[np.int32], offsets: NDArray[np.int64], previous: NDArray[np.int64]) -> Gaps:
    """Partition and offset of each missing row, and the row of the block's messages that it comes before."""
    missing = offsets - previous - 1
    assert (missing >= 0).all(), "offsets must rise from the partition's start"
    if not missing.any():
        return np.empty(0, np.int32), np.empty(0, np.int64), np.empty(0, np.int64)
    before = np.repeat(np.arange(len(offsets)), missing)
    nth = np.arange(len(before)) - np.repeat(np.cumsum(missing) - missing, missing)
    return partitions[before], previous[before] + 1 + nth, before


def _with(
    places: tuple[NDArray[np.int64], NDArray[np.int64]], messages: NDArray[np.generic], gaps: NDArray[np.generic]
) -> NDArray[np.generic]:
    """Messages and gaps at their places among all rows."""
    if not len(gaps):
        return messages
    out = np.empty(len(messages) + len(gaps), messages.dtype)
    out[places[0]], out[places[1]] = messages, gaps
    return out


@dataclass(frozen=True, slots=True)
class _MessageCells:
    """The cells of a block that come from the messages' contents."""

    validated: Sequence[ValidatedBatch]
    places: tuple[NDArray[np.int64], NDArray[np.int64]]
    dead: dict[int, Rejected]
    extra: dict[int, bytes]
    words: dict[int, Mapping[str, str]]
    raw_keys: dict[int, bytes]
    raw_values: dict[int, bytes]
    headers: dict[int, Headers]
    repeated: set[int]

    @classmethod
    def from_batches(cls, validated: Sequence[ValidatedBatch], gaps: Gaps, *, keep_raw: bool) -> _MessageCells:
        total = sum(len(one.batch) for one in validated)
        # A gap's row stands before the message that it comes before, so each message moves down by the gaps in front of it.
        message_places = np.arange(total) + np.searchsorted(gaps[2], np.arange(total), "right")
        gap_places = gaps[2] + np.arange(len(gaps[2]))
        cells = cls(validated, (message_places, gap_places), {}, {}, {}, {}, {}, {}, set())
        cells.dead.update(dict.fromkeys(gap_places.tolist(), GAP))
        first = 0
        for one in validated:
            places = message_places[first : first + len(one.batch)]
            cells._take(one, places, keep_raw=keep_raw)
            first += len(one.batch)
        return cells

    def _take(self, one: ValidatedBatch, places: NDArray[np.int64], *, keep_raw: bool) -> None:
        batch = one.batch
        for row, dead in one.dead.items():
            self.dead[int(places[row])] = dead
        for row, more in one.extra.items():
            self.extra[int(places[row])] = more
        for row, words in one.words.items():
            self.words[int(places[row])] = words
        for row, headers in batch.headers.items():
            self.headers[int(places[row])] = headers
        # A framed key is not the text that the view writes for a good row, so it is kept.
        framed = {row for row in (*one.extra, *batch.headers) if (batch.key(row) or b"\0")[:1] == b"\0"}
        for row in range(len(batch)) if keep_raw else sorted(one.dead.keys() | framed):
            key, value = batch.key(row), batch.value(row)
            if key is not None:
                self.raw_keys[int(places[row])] = key
            if value is not None and (keep_raw or row in one.dead):
                self.raw_values[int(places[row])] = value

    def mark_repeated(self, find: FindRepeated) -> None:
        """Find the repeated deliveries among the good rows."""
        is_good = np.ones(sum(map(len, self.places)), np.bool_)
        is_good[np.fromiter(self.dead, np.int64, len(self.dead))] = False
        rows = np.flatnonzero(is_good)
        id_hi, id_lo, ts_ms = (self._column(name)[rows] for name in ("id_hi", "id_lo", "ts_ms"))
        found = find(id_hi.astype(np.uint64), id_lo.astype(np.uint64), ts_ms.astype(np.int64))
        self.repeated.update(rows[found].tolist())

    def write(self, block: NativeBlock) -> None:
        """Write the columns into the block."""
        block.arrays("_header_keys", {row: [name.encode() for name, _ in items] for row, items in self.headers.items()})
        block.arrays("_header_values", {row: [data or b"" for _, data in items] for row, items in self.headers.items()})
        block.fixed("event_id", "UUID", np.stack([self._column("id_hi"), self._column("id_lo")], axis=1))
        block.fixed("event_ts", "DateTime64(3, 'UTC')", self._column("ts_ms"))
        block.fixed("user", "UInt64", self._column("user").astype(np.uint64))
        block.fixed("session", "UInt32", self._column("session"))
        block.fixed("film_id", "Int32", self._column("film"))
        bad = np.fromiter(self.dead, np.int64, len(self.dead))
        for name, words in (("event_type", EVENT_TYPES), ("page", PAGES)):
            self._words(block, name, words, bad)
        block.fixed("position", "Int16", self._column("position"))
        for name, words in (("device", DEVICES), ("referrer", REFERRERS)):
            self._words(block, name, words, bad)
        block.texts("extra", self.extra)
        for name in ("error", "field", "rule"):
            self._reasons(block, name)
        block.texts("reason", {row: dead.reason.encode() for row, dead in self.dead.items()})
        block.optional("raw_key", self.raw_keys)
        block.optional("raw_value", self.raw_values)

    def _column(self, name: str) -> NDArray[np.generic]:
        column = np.concatenate([getattr(one.decoded, name) for one in self.validated])
        return _with(self.places, column, np.zeros(len(self.places[1]), column.dtype))

    def _words(self, block: NativeBlock, name: str, words: Sequence[str], bad: NDArray[np.int64]) -> None:
        codes = self._column(name).astype(np.uint8) + np.uint8(1)
        codes[bad] = 0  # a dead row has no word
        others = {row: found[name] for row, found in self.words.items() if name in found}
        _code(codes, others, dictionary := ["", *words], spare=f"other {name}")
        block.words(name, dictionary, codes)

    def _reasons(self, block: NativeBlock, name: str) -> None:
        codes = np.zeros(block.rows, np.uint8)
        words = {row: getattr(dead, name) for row, dead in self.dead.items()}
        if name == "error":
            words |= dict.fromkeys(self.repeated, REPEATED)
        _code(codes, words, dictionary := [""], spare="value")
        block.words(name, dictionary, codes)

    def tally(self) -> dict[tuple[str, str, str], int]:
        """How many rows are dead, by (error, field, rule)."""
        counts: dict[tuple[str, str, str], int] = {}
        for dead in self.dead.values():
            mark = (dead.error, dead.field, dead.rule)
            counts[mark] = counts.get(mark, 0) + 1
        return counts


def _code(codes: NDArray[np.uint8], words: Mapping[int, str], dictionary: list[str], *, spare: str) -> None:
    """Put words into some rows of a column, and into its dictionary.

    Names of unknown fields and words of unknown schemas come out of messages: there is no end of them, but a code is one byte. The
    256th different one of a block is written as the spare word.
    """
    known = {word: code for code, word in enumerate(dictionary)}
    for row, text in words.items():
        word = text if text in known or len(dictionary) < 255 else spare
        if word not in known:
            known[word] = len(dictionary)
            dictionary.append(word)
        codes[row] = known[word]
