"""Dead letters: what they are, and how they come to life in their place after a fix."""

from __future__ import annotations

import datetime as dt
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from clickreel.contract.schema import Schema
from clickreel.contract.verdict import Lookup, Verdict, dump_object, judge_record
from clickreel.ingest.validate_batch import UNDECIDED, Rejected, rejected
from clickreel.warehouse import repeated_events
from clickreel.warehouse.client import Client

VIEW = "dvd_clicks_dead_letters"
UNDECIDED_VIEW = "dvd_clicks_undecided"
"""Messages whose schema could not be read from the registry yet; no dead letters."""
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
# Rows of one mutation: a statement of some 300 kB.
_BATCH = 1000


@dataclass(frozen=True)
class DeadLetterFilter:
    """Which dead letters are meant; None is any.

    Attributes:
        topic: The topic.
        partition: The partition.
        offset: The offset.
        field: The field at fault.
        rule: The broken rule.
    """

    topic: str
    partition: int | None = None
    offset: int | None = None
    field: str | None = None
    rule: str | None = None

    def sql(self) -> tuple[str, dict[str, Any]]:
        """The condition and its parameters."""
        columns = {
            "_topic": ("String", self.topic),
            "_partition": ("Int32", self.partition),
            "_offset": ("Int64", self.offset),
            "field": ("String", self.field),
            "rule": ("String", self.rule),
        }
        given = {name: (kind, value) for name, (kind, value) in columns.items() if value is not None}
        conditions = [f"{name} = {{w_{name}:{kind}}}" for name, (kind, _) in given.items()]
        return " AND ".join(conditions), {f"w_{name}": value for name, (_, value) in given.items()}


@dataclass(frozen=True)
class DeadLetter:
    """One dead letter.

    Attributes:
        topic_id: The topic's id.
        partition: Its partition.
        offset: Its offset.
        timestamp: The record's timestamp.
        error: ``contract`` or ``schema``.
        field: The field at fault.
        rule: The broken rule.
        reason: What is wrong, in words.
        key: The key's bytes; None for a null key.
        value: The value's bytes; None for a null value.
        headers: The headers.
    """

    topic_id: str
    partition: int
    offset: int
    timestamp: dt.datetime
    error: str
    field: str
    rule: str
    reason: str
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes]]


def count_dead_letters(client: Client, where: DeadLetterFilter) -> list[dict[str, Any]]:
    """How many dead letters there are, by reason, with the first and last instant."""
    condition, parameters = where.sql()
    names = ("error", "field", "rule", "count", "first", "last")
    found = client.rows(
        f"SELECT error, field, rule, count(), min(_timestamp), max(_timestamp) FROM {VIEW} WHERE {condition} "
        "GROUP BY error, field, rule ORDER BY count() DESC, field, rule",
        parameters,
    )
    return [dict(zip(names, row, strict=True)) for row in found]


def list_dead_letters(
    client: Client, where: DeadLetterFilter, *, limit: int | None = None, view: str = VIEW
) -> Iterator[DeadLetter]:
    """The dead letters, or the rows of another view of their form, by partition and offset, a thousand at a time."""
    condition, parameters = where.sql()
    after: tuple[str, int, int] = ("", -1, -1)
    left = limit
    while left is None or left > 0:
        found = client.rows(
            "SELECT _topic_id, _partition, _offset, _timestamp, error, field, rule, reason, hex(key), hex(value), "
            "_header_keys, arrayMap(x -> hex(x), _header_values) "
            f"FROM {view} WHERE {condition} AND (_topic_id, _partition, _offset) > ({{id:String}}, {{p:Int32}}, {{o:Int64}}) "
            "ORDER BY _topic_id, _partition, _offset LIMIT {n:UInt32}",
            {**parameters, "id": after[0], "p": after[1], "o": after[2], "n": min(_BATCH, left or _BATCH)},
        )
        for row in found:
            yield _letter(row)
        if not found:
            return
        after = (found[-1][0], found[-1][1], found[-1][2])
        left = None if left is None else left - len(found)


def _letter(row: Sequence[Any]) -> DeadLetter:
    topic_id, partition, offset, timestamp, error, field, rule, reason, key, value, names, data = row
    return DeadLetter(
        topic_id,
        partition,
        offset,
        timestamp,
        error,
        field,
        rule,
        reason,
        None if key is None else bytes.fromhex(key),
        None if value is None else bytes.fromhex(value),
        [(name, bytes.fromhex(text)) for name, text in zip(names, data, strict=True)],
    )


@dataclass
class ReplayReport:
    """What a replay did.

    Attributes:
        looked: Dead letters that were validated again.
        landed: How many of them are good now, and events in their place.
        still_dead: The others by (field, rule) of what is wrong now.
        undecided: Those of them whose schema could not be read from the registry.
    """

    looked: int
    landed: int
    still_dead: Counter[tuple[str, str]]
    undecided: int = 0


def replay(
    client: Client,
    where: DeadLetterFilter,
    lookup: Lookup,
    *,
    schema: Schema | None = None,
    dry: bool = False,
    view: str = VIEW,
    landed: Callable[[int], None] = lambda _: None,
) -> ReplayReport:
    """Validate dead letters again, and make those that are good now events, each at its own offset.

    A row is changed in place, so there is no second one at any instant. A replay that is cut short has changed whole parts of the
    table; the next one finds the rest, because it looks at dead rows only. Ingest may run beside it.

    Args:
        client: The database.
        where: Which ones.
        lookup: Finds the schemas that messages name.
        schema: The schema to validate them by, whatever they name; for messages that name none.
        dry: Only validate.
        view: Which rows: dead letters, or those that are undecided.
        landed: Told of each batch's number of rows.
    """
    report = ReplayReport(0, 0, Counter())
    batch: dict[int, Verdict] = {}
    place: tuple[str, int] | None = None

    def flush() -> None:
        if place is None or not batch or dry:
            return
        good = {offset: found for offset, found in batch.items() if found.is_valid}
        if good:
            _update(client, place, good)
        if len(good) < len(batch):
            _reject(client, place, {offset: rejected(found) for offset, found in batch.items() if offset not in good})
        landed(len(good))

    for letter in list_dead_letters(client, where, view=view):
        report.looked += 1
        found = judge_record(letter.key, letter.value, letter.headers, lookup=lookup, schema=schema)
        if found.violation is not None:
            report.still_dead[found.violation.field, found.violation.rule] += 1
            report.undecided += found.is_undecided
            # A dead letter keeps the reason of its day; a row that was undecided gets the verdict.
            if letter.error != UNDECIDED or found.is_undecided:
                continue
        else:
            report.landed += 1
        if place != (letter.topic_id, letter.partition) or len(batch) >= _BATCH:
            flush()
            batch = {}
        place = (letter.topic_id, letter.partition)
        batch[letter.offset] = found
    flush()
    return report


def _reject(client: Client, place: tuple[str, int], rows: Mapping[int, Rejected]) -> None:
    """Turn undecided rows of one partition into dead letters."""
    parameters: dict[str, Any] = {"offsets": list(rows), "id": place[0], "partition": place[1]}
    updates = []
    for column in ("error", "field", "rule", "reason"):
        parameters[f"v_{column}"] = [getattr(found, column) for found in rows.values()]
        updates.append(f"{column} = transform(_offset, {{offsets:Array(Int64)}}, {{v_{column}:Array(String)}}, '')")
    _alter(client, updates, parameters)


def _alter(client: Client, updates: list[str], parameters: dict[str, Any]) -> None:
    client.command(
        f"ALTER TABLE dvd_clicks_landing UPDATE {', '.join(updates)} WHERE _topic_id = {{id:String}} "
        "AND _partition = {partition:Int32} AND _offset IN {offsets:Array(Int64)} AND error NOT IN ('', 'gap')",
        parameters,
        mutations_sync=2,
    )


def _update(client: Client, place: tuple[str, int], rows: Mapping[int, Verdict]) -> None:
    """Change rows of one partition from dead to good."""
    cells = {offset: {**good.event, **good.words} for offset, good in rows.items()}
    # Column of the table -> (the event's value as text, how it is made of text).
    makes: dict[str, tuple[Callable[[dict[str, Any]], str], str]] = {
        "event_id": (lambda event: event["event_id"], "toUUID({})"),
        "event_ts": (lambda event: event["event_ts"], "toDateTime64({}, 3, 'UTC')"),
        "user": (lambda event: event["user_id"].removeprefix("u_"), "toUInt64({})"),
        "session": (lambda event: str(int(event["session_id"].removeprefix("s_"), 16)), "toUInt32({})"),
        "film_id": (lambda event: str(int(event["film_id"])), "toInt32({})"),
        "position": (lambda event: str(int(event["position"])), "toInt16({})"),
        **{
            name: (lambda event, name=name: event[name], "{}")  # type: ignore[misc]
            for name in ("event_type", "page", "device", "referrer")
        },
    }
    offsets = list(rows)
    parameters: dict[str, Any] = {"offsets": offsets, "id": place[0], "partition": place[1]}
    updates = []
    for column, (text, cast) in makes.items():
        parameters[f"v_{column}"] = [text(cells[offset]) for offset in offsets]
        # A row outside the list is not updated; the default only gives the expression a type.
        chosen = f"transform(_offset, {{offsets:Array(Int64)}}, {{v_{column}:Array(String)}}, {{v_{column}:Array(String)}}[1])"
        updates.append(f"{column} = {cast.format(chosen)}")
    parameters["v_extra"] = [dump_object(good.extra).decode() if good.extra else "" for good in rows.values()]
    updates.append("extra = transform(_offset, {offsets:Array(Int64)}, {v_extra:Array(String)}, '')")
    now = dt.datetime.now(dt.UTC).strftime("%Y-%m-%d %H:%M:%S")
    updates.append(f"reason = concat('replayed at {now}, was ', field::String, ' ', rule::String)")
    parameters["v_schema"] = [good.schema_text for good in rows.values()]
    updates.append("replayed_schema = transform(_offset, {offsets:Array(Int64)}, {v_schema:Array(String)}, '')")
    updates += [f"{name} = ''" for name in ("field", "rule")]
    events = {offset: _identity(event) for offset, event in cells.items()}
    seen = repeated_events.landed(client, events.values())
    parameters["v_error"] = []
    for event in events.values():
        parameters["v_error"].append(repeated_events.REPEATED if event in seen else "")
        seen.add(event)
    updates.append("error = transform(_offset, {offsets:Array(Int64)}, {v_error:Array(String)}, '')")
    _alter(client, updates, parameters)
    # Ingest may have landed one of them since it was looked for.
    repeated_events.mark(client, (ts_ms for _, ts_ms in events.values()))


def _identity(event: Mapping[str, Any]) -> repeated_events.Identity:
    moment = dt.datetime.fromisoformat(event["event_ts"]).replace(tzinfo=dt.UTC)
    return uuid.UUID(event["event_id"]).int, (moment - _EPOCH) // dt.timedelta(milliseconds=1)
