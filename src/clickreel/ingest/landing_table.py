"""ClickHouse's side of ingest: claims, where each partition ends, holes, and the fenced insert."""

from __future__ import annotations

import logging
import os
import secrets
import socket
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import astuple, dataclass, replace
from typing import Any

from clickreel.errors import ClickreelError, UnreachableError
from clickreel.ingest.insert_block import InsertBlock
from clickreel.warehouse.client import Client, RefusedError

log = logging.getLogger(__name__)

INPUT = "dvd_clicks_in"
TABLE = "dvd_clicks_landing"
CLAIMS = "dvd_clicks_claims"

# One block is one part or nothing. async_insert: the server would answer before, and mix blocks of several inserts. The sizes: a block
# must not be cut or glued on its way; two million rows are more than a block ever has. materialized_views_ignore_errors: a view of a
# user that throws must cost neither the landing table nor the user's other views their rows. It hides the fence's throw as well, so the
# table itself is asked whether it holds the block (:meth:`LandingTable.insert`).
INSERT_SETTINGS = {
    "async_insert": 0,
    "max_insert_block_size": 2_000_000,
    "min_insert_block_size_rows": 0,
    "min_insert_block_size_bytes": 0,
    "materialized_views_ignore_errors": 1,
    "insert_deduplicate": 0,
}
# Several replicas: a read waits for what was written to the others. Without effect on a single server.
READ_SETTINGS: dict[str, Any] = {"select_sequential_consistency": 1}
_THROWN = 395  # FUNCTION_THROW_IF_VALUE_IS_NON_ZERO
_SETTLE_S = 120.0
# The longest insert that was seen on a busy machine took some seconds.
_CANCEL_S = 10.0


class FencedError(ClickreelError):
    """Another writer has claimed a partition of the block; nothing of the block was stored."""


class UncertainError(UnreachableError):
    """Whether a block was stored is not known: ask where the partitions end."""


@dataclass(frozen=True, slots=True)
class OffsetRange:
    """What is landed of a partition.

    Attributes:
        first: Lowest landed offset.
        last: Highest landed offset.
        rows: How many rows there are.
        whole: Whether they are exactly the offsets from first to last, each once.
    """

    first: int
    last: int
    rows: int
    whole: bool


@dataclass(frozen=True, slots=True)
class FencingToken:
    """A writer's claim to a partition; see the table of that name."""

    claim: int
    token: int
    group: str
    generation: int
    writer: str
    first_offset: int


@dataclass(frozen=True, slots=True)
class TableState:
    """What the promises rest on.

    Attributes:
        expires: Old rows leave the table by a TTL: then its beginning says nothing about what was landed.
        synced: An insert is on the disk before it is answered, so that a loss of power loses nothing that was answered.
        partitioned: The table has partitions: then an insert may be several parts, and half of them may be lost.
    """

    expires: bool
    synced: bool
    partitioned: bool


class LandingTable:
    """The landing table of one topic.

    Args:
        client: The database.
        topic: The topic's name.
        topic_id: Its id.
    """

    def __init__(self, client: Client, topic: str, topic_id: str) -> None:
        self.client = client
        self.topic = topic
        self.topic_id = topic_id
        self._is_shared = False  # known once `table` was asked

    def earlier_ids(self) -> list[str]:
        """The ids that topics of this name had before."""
        found = self._rows(
            f"SELECT DISTINCT topic_id FROM {CLAIMS} WHERE topic = {{topic:String}} AND topic_id != {{id:String}}",
            {"topic": self.topic, "id": self.topic_id},
        )
        return [topic_id for (topic_id,) in found]

    def newest_tokens(self) -> dict[int, FencingToken]:
        """The newest claim of each partition."""
        found = self._rows(
            "SELECT partition, argMax((claim, token, group_id, generation, writer, first_offset), (claim, token)) "
            f"FROM {CLAIMS} WHERE topic_id = {{id:String}} GROUP BY partition",
            {"id": self.topic_id},
        )
        return {partition: FencingToken(*claim) for partition, claim in found}

    def acquire_tokens(
        self, lows: Mapping[int, int], *, group: str, generation: int, instance: str
    ) -> dict[int, FencingToken]:
        """FencingToken partitions.

        Args:
            lows: The partitions, each with the oldest offset that Kafka holds: where a partition that is claimed for the first time begins.
            group: The consumer group.
            generation: Its generation.
            instance: The process's name in the group.

        Returns:
            The claims, by partition. They hold until somebody else claims.
        """
        before = self.newest_tokens()
        writer = f"{socket.gethostname()}/{os.getpid()}/{instance}"
        mine = {
            partition: FencingToken(
                before[partition].claim + 1 if partition in before else 1,
                secrets.randbits(63) | 1,
                group,
                generation,
                writer,
                before[partition].first_offset if partition in before else low,
            )
            for partition, low in lows.items()
        }
        self._write(mine)
        return mine

    def advance_low_watermark(self, partition: int, claim: FencingToken, first_offset: int) -> FencingToken:
        """Take a new token, with which nothing is expected anything below an offset: the user accepts its loss."""
        renewed = replace(claim, claim=claim.claim + 1, first_offset=first_offset)
        self._write({partition: renewed})
        return renewed

    def _write(self, claims: Mapping[int, FencingToken]) -> None:
        self.client.insert(
            CLAIMS,
            ("topic", "topic_id", "partition", "claim", "token", "group_id", "generation", "writer", "first_offset"),
            [(self.topic, self.topic_id, partition, *astuple(one)) for partition, one in claims.items()],
        )

    def wait_for_inflight_inserts(self) -> None:
        """Wait until every insert that is under way now has ended. One that does not end is cancelled: it stores its block or nothing.

        Raises:
            UnreachableError: One does not end in spite of that.
        """
        waited = self._inflight_inserts()
        began, cancelled = time.monotonic(), False
        while waited and (waited := waited & self._inflight_inserts()):
            waited_s = time.monotonic() - began
            if waited_s > _CANCEL_S and not cancelled:
                # Its sender was paused or cut off in the middle of a block, and may never go on.
                log.warning(
                    "an earlier insert does not end: cancelling it", extra={"topic": self.topic, "inserts": len(waited)}
                )
                self.client.command("KILL QUERY WHERE query_id IN {ids:Array(String)} ASYNC", {"ids": sorted(waited)})
                cancelled = True
            if waited_s > _SETTLE_S:
                raise UnreachableError(
                    f"an earlier insert into {INPUT} has been under way for {_SETTLE_S:.0f} s",
                    hint=f"KILL QUERY WHERE query_id IN ({', '.join(map(repr, sorted(waited)))})",
                )
            time.sleep(0.01)

    def _inflight_inserts(self) -> set[str]:
        # A database of ClickHouse Cloud is served by several servers, each with inserts of its own.
        processes = "clusterAllReplicas('default', system.processes)" if self._is_shared else "system.processes"
        found = self._rows(
            f"SELECT query_id FROM {processes} WHERE query_kind = 'Insert' AND position(query, {{table:String}}) > 0",
            {"table": INPUT},
        )
        return {query_id for (query_id,) in found}

    def offset_ranges(self, partitions: Iterable[int]) -> dict[int, OffsetRange]:
        """What is landed of some partitions; one that has no rows is absent. Reads no rows, only the projection."""
        found = self._rows(
            "SELECT _partition, min(_offset), max(_offset), count(), sum(toUInt64(_offset)), "
            "sum(toUInt64(_offset) * toUInt64(_offset)) "
            f"FROM {TABLE} WHERE _topic_id = {{id:String}} GROUP BY _topic_id, _partition",
            {"id": self.topic_id},
        )
        wanted = set(partitions)
        return {
            partition: OffsetRange(
                first, last, rows, rows == last - first + 1 and (total, squares) == _sums(first, last)
            )
            for partition, first, last, rows, total, squares in found
            if partition in wanted
        }

    def table(self) -> TableState:
        """How the landing table is set up now; somebody may have altered it."""
        found = self._rows(
            "SELECT engine_full FROM system.tables WHERE database = currentDatabase() AND name = {table:String}",
            {"table": TABLE},
        )
        engine = str(found[0][0]) if found else ""
        self._is_shared = engine.startswith("Shared")
        if engine.startswith("Replicated"):
            raise ClickreelError(
                f"{TABLE} is a {engine.split('(', maxsplit=1)[0]} table: tokens and offsets are read from one replica, so two writers could "
                "both pass the fence",
                hint="use one server's address with tables made by clickreel warehouse migrate, or ClickHouse Cloud",
            )
        synced = all(f"{name} = 1" in engine for name in ("fsync_after_insert", "fsync_part_directory"))
        return TableState(expires=" TTL " in engine, synced=synced, partitioned="PARTITION BY" in engine)

    def holes(self, partition: int, first: int) -> list[tuple[int, int]]:
        """The runs of offsets that are missing from ``first`` on, below the last landed one: (first, last) of each."""
        found = self._rows(
            "SELECT toInt64(before + 1), toInt64(_offset - 1) FROM ("
            "  SELECT _offset, lagInFrame(_offset, 1, toInt64({first:Int64} - 1)) OVER "
            "    (ORDER BY _offset ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS before "
            f"  FROM {TABLE} WHERE _topic_id = {{id:String}} AND _partition = {{partition:Int32}} AND _offset >= {{first:Int64}}"
            ") WHERE _offset > before + 1 ORDER BY 1 LIMIT 10000",
            {"id": self.topic_id, "partition": partition, "first": first},
        )
        return [(int(low), int(high)) for low, high in found]

    def insert(self, made: InsertBlock, *, halfway: Callable[[], None] = lambda: None) -> None:
        """Insert a block: all of it is stored and visible when this returns, or nothing is.

        Args:
            made: The block.
            halfway: Called when half of it has been handed over.

        Raises:
            FencedError: Another writer has claimed a partition; nothing is stored.
            UncertainError: The answer did not come, or the table does not hold the block: it may be stored yet, or not.
            RefusedError: ClickHouse refuses the block; nothing is stored.
        """
        try:
            written = self.client.insert_block(INPUT, made.names, made.data, INSERT_SETTINGS, halfway=halfway)
        except UnreachableError as exc:
            raise UncertainError(exc.message, hint=exc.hint) from exc
        except RefusedError as exc:
            if exc.code == _THROWN and "fenced" in exc.message:
                raise self._fenced() from exc
            raise
        # How many rows were written proves nothing: those that views of users write are among them, and an error of a view is ignored.
        is_stored, tokens = self._look_after_insert(made)
        # A newer token: the fence may have refused the block, and a row at its offset may be the other writer's.
        if any(tokens.get(partition) != made.tokens[partition] for partition in made.ends):
            raise self._fenced()
        if is_stored:
            return
        # A block of rows that have expired already may be gone again. Each of its rows was written to the input and to the table.
        if written >= 2 * made.rows and self.table().expires:
            return
        raise UncertainError(
            f"ClickHouse at {self.client.address} has not stored a block", hint="clickreel logs clickhouse"
        )

    def _look_after_insert(self, made: InsertBlock) -> tuple[bool, dict[int, int]]:
        """Whether there is a row at the end of a block (one block is one part: any row tells of all), and the newest tokens."""
        partition, (_, last) = next(iter(made.ends.items()))
        found = self._rows(
            "SELECT groupArray((partition, token)), ("
            f"  SELECT count() FROM {TABLE} WHERE _topic_id = {{id:String}} AND _partition = {{partition:Int32}} "
            "   AND _offset = {offset:Int64}"
            ") FROM ("
            f"  SELECT partition, argMax(token, (claim, token)) AS token FROM {CLAIMS} WHERE topic_id = {{id:String}} GROUP BY partition"
            ")",
            {"id": self.topic_id, "partition": partition, "offset": last},
        )
        tokens, count = found[0]
        return count > 0, dict(tokens)

    def silent_views(self) -> list[str]:
        """The materialized views of this database that read from the view ``dvd_clicks``: a view has no inserts, so they never fire."""
        found = self._rows(
            "SELECT name FROM system.tables WHERE database = currentDatabase() AND engine = 'MaterializedView' "
            "AND match(as_select, {pattern:String}) ORDER BY name",
            {"pattern": r"(?i)\b(from|join)\s+([`\w]+\.)?`?dvd_clicks`?(\s|\)|;|$)"},
        )
        return [name for (name,) in found]

    def _rows(self, sql: str, parameters: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        return self.client.rows(sql, parameters, **READ_SETTINGS)

    def _fenced(self) -> FencedError:
        return FencedError(f"another writer has claimed a partition of {self.topic}", hint="clickreel status")


def _sums(first: int, last: int) -> tuple[int, int]:
    """Sum and sum of squares of a run of whole numbers, modulo 2**64 as ClickHouse adds."""

    def squares(upto: int) -> int:
        return upto * (upto + 1) * (2 * upto + 1) // 6

    total = (first + last) * (last - first + 1) // 2
    return total % 2**64, (squares(last) - squares(first - 1)) % 2**64
