"""What the messages of a topic are judged by: our contract, the schema that is registered for the topic, or nothing at all."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clickreel.contract import schema
from clickreel.contract.schema import Schema
from clickreel.contract.schema_registry import connect
from clickreel.contract.verdict import Verdict, compiled, judge_record
from clickreel.contract.vocabulary import FIELDS
from clickreel.errors import ClickreelError
from clickreel.foreign_text import printable
from clickreel.profile import Profile
from clickreel.stream.record_batch import Record
from clickreel.stream.record_view import RecordView
from clickreel.stream.saved_runs import list_runs

# Beyond it a table is wider than anybody reads; the opened message shows all.
_COLUMNS_MAX = 16


@dataclass(frozen=True, eq=False)
class TopicContract:
    """What a topic's messages are judged by.

    Attributes:
        name: What a person calls it; empty when nothing says what a message of the topic must be.
        columns: The fields that have a column each; none where values are shown whole.
        numeric: Those that hold numbers.
        judge: The verdict on a record; None where there is none.
        is_ours: Whether it is the contract of this product.
    """

    name: str
    columns: tuple[str, ...]
    numeric: tuple[str, ...]
    judge: Callable[[Record], Verdict | None]
    is_ours: bool = False


class TopicView(RecordView):
    """A record as a filter sees it, ``valid`` by the topic's own contract.

    Args:
        record: The record.
        contract: The topic's.
    """

    def __init__(self, record: Record, contract: TopicContract) -> None:
        super().__init__(record)
        self._contract = contract

    def get(self, name: str) -> Any:
        """See :meth:`RecordView.get`; ``valid`` is None where nothing says what is valid."""
        if name != "valid" or self._contract.is_ours:
            return super().get(name)
        verdict = self._contract.judge(self.record)
        return None if verdict is None else verdict.is_valid


def find_contract(profile: Profile, home: Path, topic: str) -> TopicContract:
    """The contract of a topic: ours for those that were streamed into from here; for others what is registered for their values.

    Args:
        profile: The registry.
        home: Where the runs are remembered that were streamed from here.
        topic: The topic.
    """
    if list_runs(home, topic):
        return OURS
    try:
        with connect(profile) as registry:
            found = registry.schema(schema.subject("value", topic))
    except ClickreelError:
        return UNKNOWN
    return UNKNOWN if found is None else _registered(found)


@functools.lru_cache(64)
def _registered(found: Schema) -> TopicContract:
    if found.canonical == schema.current("value").canonical:
        return OURS
    own = compiled(found)
    if not hasattr(own, "check_value"):  # Avro, Protobuf, or a JSON Schema with a rule that is not supported
        return UNKNOWN

    def judge(record: Record) -> Verdict | None:
        if record.value is None:  # a tombstone: it deletes, and holds nothing
            return None
        given = [(name, data) for name, data in record.headers if data is not None]
        return Verdict(own.check_value(record.value, given))

    columns = tuple(name for name in found.fields if printable(name) == name)[:_COLUMNS_MAX]
    return TopicContract(f"{found.subject}, version {found.version}", columns, _numeric(found, columns), judge)


def _numeric(found: Schema, columns: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name for name in columns if found.fields[name].get("type") in ("integer", "number"))


OURS = TopicContract(
    "the contract",
    FIELDS,
    _numeric(schema.current("value"), FIELDS),
    lambda record: judge_record(record.key, record.value, record.headers),
    is_ours=True,
)
"""The contract of this product."""

UNKNOWN = TopicContract("", (), (), lambda _: None)
"""Nothing is known of the topic: its messages have no verdict."""
