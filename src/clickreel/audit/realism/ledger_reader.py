"""The truth of a run, as the tests read it: random lists, bursts, flaws.

It comes as ``clickreel ledger`` writes it, one row an entry and the same columns for every kind (null where a kind has no use for one):
``kind`` (run, flaw, burst, launch, removal, ranker, random_list), ``name``, ``start_ms``, ``end_ms``, ``film_id``, ``user_id``,
``session_id``, ``event_id``, ``value``, ``exponent``, ``detail`` (of the run: its settings as JSON, with ``flaws``: configured rates).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from clickreel.audit.realism.column_parsers import numbers, uuids
from clickreel.audit.realism.columns import EventTable
from clickreel.contract.vocabulary import FLAWS
from clickreel.errors import MissingError, UsageError
from clickreel.simulate.ledger import SCHEMA

# Name of a burst that stays small: most do, and no rule finds a film that twenty people more than usual have opened.
RIPPLE = "ripple"


@dataclass(frozen=True, slots=True)
class Bursts:
    """Spans in which a film draws more than its share.

    Attributes:
        film: ``film_id`` (int32[n]).
        start_ms: First instant (int64[n]).
        end_ms: Where the burst is no longer distinct (int64[n]).
    """

    film: NDArray[np.int32]
    start_ms: NDArray[np.int64]
    end_ms: NDArray[np.int64]

    def __len__(self) -> int:
        """Number of entries."""
        return len(self.film)


@dataclass(frozen=True, slots=True)
class Flaws:
    """Deliberate defects, one row each.

    Attributes:
        name: Place in :data:`clickreel.contract.vocabulary.FLAWS` (uint8[n]).
        id_hi: Upper 64 bits of ``event_id`` (uint64[n]).
        id_lo: Lower 64 bits of ``event_id`` (uint64[n]).
        delay_ms: Delivery less event time (int64[n]).
    """

    name: NDArray[np.uint8]
    id_hi: NDArray[np.uint64]
    id_lo: NDArray[np.uint64]
    delay_ms: NDArray[np.int64]

    def __len__(self) -> int:
        """Number of entries."""
        return len(self.name)


@dataclass(frozen=True, slots=True)
class Ledger:
    """A run's ledger.

    Attributes:
        list_session: Session bits of each list in random order (uint32[n]).
        list_start_ms: First event of the list (int64[n]).
        list_end_ms: Last event that belongs to it, inclusive (int64[n]).
        bursts: Films that went viral in a large way.
        launches: Films that were new, or went viral in a small way; they may trend as well, which is no false alarm.
        arrivals: Films that were new, alone.
        flaws: The defects; empty when the run has none, None when they are not to be judged.
        configured: Configured rate by ``late``, ``out_of_order``, ``duplicate``, ``malformed``.
    """

    list_session: NDArray[np.uint32]
    list_start_ms: NDArray[np.int64]
    list_end_ms: NDArray[np.int64]
    bursts: Bursts
    launches: Bursts
    flaws: Flaws | None
    configured: Mapping[str, float] = field(default_factory=dict)
    arrivals: Bursts = field(default_factory=lambda: _bursts(SCHEMA.empty_table()))

    def random_rows(self, timeline: EventTable) -> NDArray[np.bool_]:
        """True for the rows that belong to a list in random order."""
        inside = np.zeros(len(timeline), np.bool_)
        if not len(self.list_session):
            return inside
        order = np.argsort(timeline.sessions, kind="stable")
        place = np.searchsorted(timeline.sessions, self.list_session, sorter=order).clip(max=len(order) - 1)
        session = order[place]
        known = timeline.sessions[session] == self.list_session
        known &= (self.list_end_ms >= timeline.first_ms) & (self.list_start_ms <= timeline.last_ms)
        # Rows are sorted by (session, time): a list is one span of rows. Time is made one number with the session.
        span = np.int64(timeline.last_ms - timeline.first_ms + 1)
        clock = timeline.session.astype(np.int64) * span + (timeline.ts_ms - timeline.first_ms)
        base = session[known] * span - timeline.first_ms
        clip = (timeline.first_ms, timeline.last_ms)
        low = np.searchsorted(clock, base + self.list_start_ms[known].clip(*clip), side="left")
        high = np.searchsorted(clock, base + self.list_end_ms[known].clip(*clip), side="right")
        edge = np.zeros(len(timeline) + 1, np.int64)
        np.add.at(edge, low, 1)
        np.add.at(edge, high, -1)
        inside[:] = np.cumsum(edge[:-1]) > 0
        return inside


def read_ledger(path: Path) -> Ledger:
    """Read a ledger that ``clickreel ledger --format jsonl|parquet`` wrote.

    Raises:
        MissingError: There is no such file.
        UsageError: Its suffix is unknown, or it is no ledger.
    """
    if not path.exists():
        raise MissingError(f"no ledger {path}", hint=f"clickreel ledger --format parquet > {path}")
    try:
        if path.suffix == ".parquet":
            import pyarrow.parquet as pq

            table = pq.read_table(path)
        elif path.suffix == ".jsonl":
            import pyarrow.json as pj

            options = pj.ParseOptions(explicit_schema=SCHEMA, unexpected_field_behavior="ignore")
            table = pj.read_json(path, parse_options=options)
        else:
            raise UsageError(f"cannot tell the format of {path}", hint="name it with one of: .parquet, .jsonl")
        return of_table(table)
    except (pa.ArrowException, KeyError) as exc:
        first = str(exc).splitlines()[0]
        raise UsageError(f"{path} is no ledger: {first}", hint=f"clickreel ledger --format parquet > {path}") from exc


def of_table(table: pa.Table) -> Ledger:
    """The ledger in a table of :data:`~clickreel.simulate.ledger.SCHEMA`; further columns and kinds are passed over."""
    table = table.select(SCHEMA.names).cast(SCHEMA).combine_chunks()
    kind = table["kind"]

    def of(name: str) -> pa.Table:
        return table.filter(pc.equal(kind, name))

    bursts = of("burst")
    small = pc.fill_null(pc.equal(bursts["name"], RIPPLE), fill_value=False)
    lists, flaws, runs = of("random_list"), of("flaw"), of("run")
    id_hi, id_lo, _ = uuids(_one(flaws["event_id"]))
    return Ledger(
        list_session=numbers(_one(lists["session_id"]), "s_", 16)[0],
        list_start_ms=_int64(lists["start_ms"]),
        list_end_ms=_int64(lists["end_ms"]),
        bursts=_bursts(bursts.filter(pc.invert(small))),
        launches=_bursts(pa.concat_tables([of("launch"), bursts.filter(small)])),
        flaws=Flaws(
            name=_int64(pc.index_in(flaws["name"], pa.array(FLAWS))).astype(np.uint8),
            id_hi=id_hi,
            id_lo=id_lo,
            delay_ms=_int64(flaws["end_ms"]) - _int64(flaws["start_ms"]),
        ),
        configured=_configured(runs["detail"].to_pylist()),
        arrivals=_bursts(of("launch")),
    )


def _one(column: pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)


def _int64(column: pa.ChunkedArray) -> NDArray[np.int64]:
    return np.asarray(column.fill_null(0).to_numpy(), np.int64)


def _bursts(table: pa.Table) -> Bursts:
    return Bursts(_int64(table["film_id"]).astype(np.int32), _int64(table["start_ms"]), _int64(table["end_ms"]))


def _configured(details: list[str | None]) -> dict[str, float]:
    import orjson

    rates: dict[str, float] = {}
    for detail in details:
        rates |= {name: float(rate) for name, rate in (orjson.loads(detail or "{}").get("flaws") or {}).items()}
    return rates
