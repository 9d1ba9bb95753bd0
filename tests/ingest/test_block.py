"""The block that is inserted: every cell comes back from ClickHouse as it was, gaps and strange words included."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clickreel.ingest.insert_block import build_insert_block
from clickreel.ingest.landing_table import LandingTable
from clickreel.ingest.native_block import NativeBlock
from clickreel.ingest.validate_batch import validate_batch
from clickreel.stream.record_batch import RecordBatch
from clickreel.warehouse.client import Client
from tests.ingest.messages import message, nobody


@pytest.fixture
def table(client: Client) -> Iterator[Client]:
    """A table of all kinds of columns."""
    client.command(
        "CREATE TABLE cells (n Int64, u UUID, w LowCardinality(String), s String, o Nullable(String), a Array(String)) "
        "ENGINE = MergeTree ORDER BY n"
    )
    yield client
    client.command("DROP TABLE cells")


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    cells=st.lists(
        st.tuples(
            st.integers(-(2**63), 2**63 - 1),
            st.tuples(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1)),
            st.integers(0, 2),
            st.one_of(st.none(), st.text(max_size=300)),
            st.one_of(st.none(), st.text(max_size=5)),
            st.lists(st.text(max_size=3), max_size=3),
        ),
        min_size=1,
        max_size=30,
        unique_by=lambda cell: cell[0],
    )
)
def test_cells_come_back_as_they_were(table: Client, cells: list[tuple[Any, ...]]) -> None:
    """Any numbers, texts of any length, nulls and arrays."""
    words = ["", "view", "é"]
    block = NativeBlock(len(cells))
    block.fixed("n", "Int64", np.array([cell[0] for cell in cells], np.int64))
    block.fixed("u", "UUID", np.array([cell[1] for cell in cells], np.uint64))
    block.words("w", words, np.array([cell[2] for cell in cells], np.uint8))
    block.texts("s", {row: cell[3].encode() for row, cell in enumerate(cells) if cell[3] is not None})
    block.optional("o", {row: cell[4].encode() for row, cell in enumerate(cells) if cell[4] is not None})
    block.arrays("a", {row: [text.encode() for text in cell[5]] for row, cell in enumerate(cells) if cell[5]})
    table.command("TRUNCATE TABLE cells")
    table.insert_block("cells", block.names, block.data(), {})
    expected = [(n, hi << 64 | lo, words[w], s or "", o, a) for n, (hi, lo), w, s, o, a in sorted(cells)]
    found = table.rows("SELECT n, u, w, s, o, a FROM cells ORDER BY n")
    assert [(n, u.int, w, s, o, a) for n, u, w, s, o, a in found] == expected


def landed(client: Client, batches: list[RecordBatch], starts: dict[int, int]) -> list[tuple[Any, ...]]:
    """Batches through the fence into the table."""
    landing = LandingTable(client, "t", "id")
    claims = landing.acquire_tokens(starts, group="g", generation=1, instance="1")
    tokens = {partition: claim.token for partition, claim in claims.items()}
    made = build_insert_block(
        [validate_batch(batch, nobody) for batch in batches], starts=starts, topic="t", topic_id="id", tokens=tokens
    )
    landing.insert(made)
    return client.rows("SELECT _partition, _offset, error, user FROM dvd_clicks_landing ORDER BY _partition, _offset")


def batch(partition: int, offsets: list[int]) -> RecordBatch:
    """Good messages at these offsets; user n + 1 at offset n."""
    pairs = [message(offset) for offset in offsets]
    stamps = np.zeros(len(offsets), np.int64)
    return RecordBatch.from_values(
        partition, np.array(offsets, np.int64), stamps, [key for key, _ in pairs], [value for _, value in pairs]
    )


def test_offsets_that_kafka_does_not_serve_become_gaps(client: Client) -> None:
    """At the front of a block, in the middle, between two batches: each offset has its row."""
    rows = landed(client, [batch(1, [2, 3, 6]), batch(0, [10, 11]), batch(1, [9])], {0: 10, 1: 0})
    gap = "gap"
    assert rows == [
        (0, 10, "", 11),
        (0, 11, "", 12),
        *((1, offset, "", offset + 1) if offset in {2, 3, 6, 9} else (1, offset, gap, 0) for offset in range(10)),
    ]


def test_gaps_are_neither_events_nor_dead_letters(client: Client) -> None:
    """Both views leave them out."""
    landed(client, [batch(0, [5])], {0: 0})
    assert client.rows("SELECT (SELECT count() FROM dvd_clicks), (SELECT count() FROM dvd_clicks_dead_letters)") == [
        (1, 0)
    ]


def test_a_block_of_many_unknown_fields_fits_into_a_dictionary(client: Client) -> None:
    """Names of unknown fields come out of messages; 400 different ones are no reason to stop."""
    values: list[bytes | None] = [b'{"x%d":1,' % number + message(number)[1][1:] for number in range(400)]
    keys: list[bytes | None] = [message(number)[0] for number in range(400)]
    made = RecordBatch.from_values(0, np.arange(400), np.zeros(400, np.int64), keys, values)
    assert len(landed(client, [made], {0: 0})) == 400
    fields = client.rows("SELECT uniqExact(field), countIf(position(reason, field) > 0) FROM dvd_clicks_landing")
    assert fields[0][0] == 255
