"""An answer, proved: the same numbers from what the simulator made, from the raw rows that landed, and as it was given.

The run is simulated once more over what the answer reads. Its events go into a database of their own that lives for the proof; there the
same question is asked. Raw rows are the landing table read without its projections. Where the three differ, the number is named.

The truth knows the run alone. Rows of other runs, or of foreign producers, are counted and said; they make the answers differ.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from clickreel import timespec
from clickreel.audit.regenerate import ExpectedRun
from clickreel.contract.vocabulary import DEVICES, EVENT_TYPES, FLAWS, MALFORMED, PAGES, REFERRERS
from clickreel.errors import UsageError
from clickreel.events import Deliveries
from clickreel.profile import Profile
from clickreel.simulate import ids
from clickreel.warehouse import film_dimension, migrate
from clickreel.warehouse.client import Client, connect

_BROKEN_FROM = FLAWS.index(MALFORMED[0])
_REPEATED = [FLAWS.index(name) for name in ("duplicate_same", "duplicate_changed")]
_PIECE_MS = 6 * 3_600_000
# Events that are simulated for a proof at most; some minutes.
EVENTS_MAX = 30_000_000

Ask = Callable[[Client], Mapping[str, Any]]


@dataclass(frozen=True)
class ProvedNumber:
    """One number of an answer; None where a side does not have it."""

    name: str
    truth: object
    raw: object
    answer: object

    @property
    def ok(self) -> bool:
        """Whether all three are equal, to nine digits where they are no integers."""
        return _equal(self.truth, self.raw) and _equal(self.raw, self.answer)


@dataclass(frozen=True)
class AnswerProof:
    """The proof.

    Attributes:
        run: The run.
        begin_ms, end_ms: The events that the answer reads.
        simulated: Events of the run in them.
        foreign: Good rows in them that are not of the run.
        numbers: All numbers of the answer.
    """

    run: str
    begin_ms: int
    end_ms: int
    simulated: int
    foreign: int
    numbers: tuple[ProvedNumber, ...]

    @property
    def ok(self) -> bool:
        """Whether every number is proved."""
        return all(number.ok for number in self.numbers)

    def as_json(self) -> dict[str, Any]:
        """All of it, for ``--json``."""
        return {
            "ok": self.ok,
            "run": self.run,
            "from": timespec.format_instant(self.begin_ms),
            "until": timespec.format_instant(self.end_ms),
            "simulated": self.simulated,
            "foreign": self.foreign,
            "numbers": [
                {"name": one.name, "truth": one.truth, "raw": one.raw, "answer": one.answer, "ok": one.ok}
                for one in self.numbers
            ],
        }


class _RawClient(Client):
    """The same database, projections unused."""

    def rows(self, sql: str, parameters: Mapping[str, Any] | None = None, **settings: Any) -> list[tuple[Any, ...]]:
        return super().rows(sql, parameters, **settings, optimize_use_projections=0)


def prove(
    profile: Profile,
    run: ExpectedRun,
    ask: Ask,
    *,
    begin_ms: int,
    end_ms: int,
    delivered_ms: int,
    credentials: str = "",
) -> AnswerProof:
    """Prove an answer.

    Args:
        profile: Where the warehouse is; a database is created there and dropped again.
        run: The run whose events landed.
        ask: Asks the question; called with three clients.
        begin_ms: The first event time that the answer reads.
        end_ms: What it does not read any more.
        delivered_ms: What is delivered from this instant on is not expected to have landed.
        credentials: See :func:`clickreel.warehouse.migrate.migrate`.

    Raises:
        UsageError: There are too many events to simulate.
    """
    begin_ms = max(begin_ms, run.start_ms)
    events = run.world.expected_rate * max(end_ms - begin_ms, 0) / 1000
    if events > EVENTS_MAX:
        raise UsageError(
            f"a proof of this answer simulates some {events:,.0f} events",
            hint=f"shorten --since: at most {EVENTS_MAX:,}",
        )
    client = connect(profile)
    answer = _numbers(ask(client))
    raw = _numbers(ask(_RawClient(client.connection, client.address)))
    foreign = _foreign(client, run.world.run_tag, begin_ms, end_ms)
    scratch = replace(profile, clickhouse_database=f"{client.database}_proof_{uuid.uuid4().hex[:8]}")
    proof_client = connect(scratch, create=True)
    try:
        migrate.migrate(proof_client, credentials=credentials)
        film_dimension.load(proof_client, run.world.catalogue, credentials=credentials)
        simulated = _load_truth(proof_client, run, begin_ms, end_ms, delivered_ms)
        truth = _numbers(ask(proof_client)) if simulated else {}
    finally:
        client.command(f"DROP DATABASE IF EXISTS `{proof_client.database}`")
        proof_client.close()
    names = list(dict.fromkeys([*answer, *raw, *truth]))
    numbers = tuple(ProvedNumber(name, truth.get(name), raw.get(name), answer.get(name)) for name in names)
    client.close()
    return AnswerProof(run.world.run, begin_ms, end_ms, simulated, foreign, numbers)


def _numbers(answer: Mapping[str, Any]) -> dict[str, object]:
    """Every leaf of an answer by its path; rows are named by what they are about, not by their rank."""
    found: dict[str, object] = {}

    def walk(path: str, value: Any) -> None:
        if isinstance(value, Mapping):
            for key, one in value.items():
                if key != "window":
                    walk(f"{path}.{key}" if path else key, one)
        elif isinstance(value, list | tuple):
            for place, one in enumerate(value, 1):
                walk(f"{path}[{_row_name(one, place)}]", one)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            found[path] = value

    walk("", answer)
    return found


def _row_name(row: Any, place: int) -> str:
    if isinstance(row, Mapping):
        names = [str(value) for key, value in row.items() if isinstance(value, str) and key != "title"]
        if "film_id" in row:
            return " ".join([str(row["film_id"]), *names[:1]])
        return " ".join(names[:2]) or str(place)
    return str(place)


def _equal(one: object, other: object) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return bool(np.isclose(one, other, rtol=1e-9, atol=1e-12, equal_nan=True))
    return one == other


def _foreign(client: Client, run_tag: int, begin_ms: int, end_ms: int) -> int:
    """Good rows whose event id is of no event of the run."""
    table = client.columns(
        "SELECT reinterpretAsUInt64(reverse(substring(bytes, 1, 8))) AS hi, reinterpretAsUInt64(reverse(substring(bytes, 9, 8))) AS lo "
        "FROM (SELECT UUIDStringToNum(toString(event_id)) AS bytes FROM dvd_clicks_landing WHERE error = '' "
        "AND event_ts >= fromUnixTimestamp64Milli({from_ms:Int64}, 'UTC') AND event_ts < fromUnixTimestamp64Milli({end_ms:Int64}, 'UTC'))",
        {"from_ms": begin_ms, "end_ms": end_ms},
    )
    if not table.num_rows:
        return 0
    hi, lo = (np.asarray(table[name].to_numpy(), np.uint64) for name in ("hi", "lo"))
    return int((ids.read(hi, lo)[0] != run_tag).sum())


def _load_truth(client: Client, run: ExpectedRun, begin_ms: int, end_ms: int, delivered_ms: int) -> int:
    cursor = run.world.cursor(begin_ms)
    last_ms = min(end_ms + run.world.delivery.rates.delay_max_ms, delivered_ms)
    if run.until_ms is not None:
        last_ms = min(last_ms, run.until_ms)
    count, at = 0, begin_ms
    while at < last_ms:
        at = min(at + _PIECE_MS, last_ms)
        made = cursor.advance(at)
        once = (made.flaw < _BROKEN_FROM) & ~np.isin(made.flaw, _REPEATED)
        good = once & (made.events.ts_ms >= begin_ms) & (made.events.ts_ms < end_ms)
        kept = made.take(good)
        if len(kept):
            client.connection.insert_arrow("dvd_clicks_landing", _rows(kept, count))
        count += len(kept)
    return count


def _rows(made: Deliveries, first_offset: int) -> pa.Table:
    events, count = made.events, len(made)
    return pa.table(
        {
            "_topic": pa.array(["truth"] * count),
            "_topic_id": pa.array(["truth"] * count),
            "_partition": pa.array(np.zeros(count, np.int32)),
            "_offset": pa.array(np.arange(first_offset, first_offset + count)),
            "_timestamp": pa.array(made.deliver_ms, pa.timestamp("ms")),
            "event_ts": pa.array(events.ts_ms, pa.timestamp("ms")),
            "user": pa.array(events.user.astype(np.uint64)),
            "session": pa.array(events.session),
            "film_id": pa.array(events.film),
            "event_type": _words(events.event_type, EVENT_TYPES),
            "page": _words(events.page, PAGES),
            "position": pa.array(events.position),
            "device": _words(events.device, DEVICES),
            "referrer": _words(events.referrer, REFERRERS),
        }
    )


def _words(codes: np.ndarray[Any, np.dtype[np.uint8]], words: tuple[str, ...]) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.array(codes.astype(np.int8)), pa.array(words)).cast(pa.string())
