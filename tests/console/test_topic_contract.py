"""What judges the messages of a topic."""

from __future__ import annotations

import json
import uuid

import pytest

from clickreel.console.context import ConsoleContext
from clickreel.console.message_rows import message_row
from clickreel.contract.schema import Schema, current
from clickreel.contract.schema_registry import connect
from clickreel.local.home import Home
from clickreel.profile import Profile
from clickreel.stream.record_batch import Record
from clickreel.stream.topic_contract import OURS, UNKNOWN
from tests.conftest import Kafka, Registry
from tests.sample_event import SAMPLE_EVENT

pytestmark = pytest.mark.stack

ORDER = {
    "type": "object",
    "properties": {"order": {"type": "integer"}, "note": {"type": "string"}},
    "required": ["order"],
}


def record(value: bytes | None, key: bytes | None = b'"u_10"') -> Record:
    """A record of partition 0."""
    return Record(0, 0, 1_790_000_000_000, key, value, ())


@pytest.fixture
def context(kafka: Kafka, registry: Registry, home: Home) -> ConsoleContext:
    """A console whose own topic is another one."""
    profile = Profile(kafka={"bootstrap.servers": kafka.bootstrap}, registry_url=registry.url)
    return ConsoleContext(profile, "own", home.path)


def register(context: ConsoleContext, topic: str, text: str) -> None:
    """Register a schema for the topic's values."""
    with connect(context.profile) as registry:
        registry.register(Schema(f"{topic}-value", 1, text))


def test_a_registered_schema_judges_its_topic(context: ConsoleContext) -> None:
    """Its fields are the columns; a tombstone has no verdict; a long number is not read by a browser, which would round it."""
    topic = f"orders-{uuid.uuid4().hex[:8]}"
    assert context.contract(topic) is UNKNOWN
    register(context, topic, json.dumps(ORDER))
    contract = context.contract(topic)
    assert (contract.name, contract.columns, contract.numeric) == (
        f"{topic}-value, version 1",
        ("order", "note"),
        ("order",),
    )
    good = message_row(record(b'{"order":9007199254740993}'), contract)
    bad = message_row(record(b'{"order":"many"}'), contract)
    assert (good["ok"], good["c"]) == (True, ["9007199254740993", ""])
    assert (bad["ok"], bad["why"].startswith("order")) == (False, True)
    assert "ok" not in message_row(record(None), contract)


def test_the_own_topic_and_one_that_has_our_schema_are_judged_by_our_contract(context: ConsoleContext) -> None:
    """Whatever the registry says of the first."""
    topic = f"copy-{uuid.uuid4().hex[:8]}"
    register(context, topic, current("value").text)
    assert context.contract(topic) is OURS
    assert context.contract("own") is OURS


def test_a_good_event_is_sent_once_and_all_others_with_their_fields() -> None:
    """What a browser would read otherwise than the contract does is read here: escapes, other alphabets, what is cut."""
    plain = json.dumps(SAMPLE_EVENT).encode()
    key = json.dumps(SAMPLE_EVENT["user_id"]).encode()
    row = message_row(record(plain, key))
    assert (row["ok"], row["f"], "c" in row, row["v"]) == (True, 1, False, plain.decode())
    escaped = plain.replace(b"view", b"v\\u0069ew", 1)
    for value in (escaped, plain + b" " * 400, plain.replace(b"}", b', "more": "\xc3\xa9"}')):
        row = message_row(record(value, key))
        assert ("f" in row, row["c"][0]) == (False, SAMPLE_EVENT["event_id"])
