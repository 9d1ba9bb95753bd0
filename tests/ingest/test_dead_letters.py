"""Dead letters come to life after a fix, each at its own place, once."""

from __future__ import annotations

import orjson
import pytest

from clickreel.contract.framing import prefix
from clickreel.ingest import dead_letters
from clickreel.ingest.dead_letters import DeadLetterFilter
from clickreel.warehouse.client import Client
from tests.ingest.messages import NAME, Topic, event, land, message, nobody, offsets
from tests.ingest.test_validate_batch import NEW, newer, registry


@pytest.fixture
def landed(topic: Topic, client: Client) -> Client:
    """Good messages; two of an unknown schema, three with an unknown word, one that nothing can mend."""
    topic.send(30)
    for number in (100, 101):
        value = orjson.dumps(event(number, campaign="xmas"))
        topic.put(0, orjson.dumps(f"u_{number + 1}"), prefix(value, NEW))
    for number in (200, 201, 202):
        topic.put(number % 3, *message(number, device="smart_tv"))
    topic.put(2, b'"u_1"', b"{")
    topic.send(3)
    assert land(topic, client).dead == 6
    return client


def test_they_are_counted_by_reason(landed: Client) -> None:
    """With the error, which tells an unknown schema from a broken contract."""
    found = dead_letters.count_dead_letters(landed, DeadLetterFilter(NAME))
    assert [(one["error"], one["field"], one["rule"], one["count"]) for one in found] == [
        ("contract", "device", "enum", 3),
        ("schema", "campaign", "additionalProperties", 2),
        ("contract", "value", "json", 1),
    ]


def test_they_are_shown_with_their_bytes(landed: Client) -> None:
    """Exactly those that Kafka holds."""
    shown = list(dead_letters.list_dead_letters(landed, DeadLetterFilter(NAME, field="campaign")))
    assert [letter.value for letter in shown] == [
        prefix(orjson.dumps(event(number, campaign="xmas")), NEW) for number in (100, 101)
    ]
    assert len(list(dead_letters.list_dead_letters(landed, DeadLetterFilter(NAME), limit=4))) == 4


def test_a_registered_schema_brings_its_messages_to_life(landed: Client) -> None:
    """In their place, with the field that has no column; the others stay dead."""
    before = offsets(landed)
    report = dead_letters.replay(landed, DeadLetterFilter(NAME), registry)
    assert (report.looked, report.landed, sum(report.still_dead.values())) == (6, 2, 4)
    assert offsets(landed) == before
    rows = landed.rows("SELECT user, extra FROM dvd_clicks_landing WHERE extra != '' ORDER BY user")
    assert rows == [(101, '{"campaign":"xmas"}'), (102, '{"campaign":"xmas"}')]
    assert landed.command("SELECT count() FROM dvd_clicks") == 35


def test_a_given_schema_brings_messages_to_life_that_name_none(landed: Client) -> None:
    """Every column is the event's, the new word included."""
    dead_letters.replay(landed, DeadLetterFilter(NAME, rule="enum"), nobody, schema=newer())
    rows = landed.rows(
        "SELECT * EXCEPT (_timestamp, _topic, _header_keys, _header_values) FROM dvd_clicks WHERE device = 'smart_tv' ORDER BY _partition"
    )
    assert [(row[0], row[1], row[4], row[6], row[8], row[9]) for row in rows] == [
        (made["device"], made["event_id"], made["film_id"], made["position"], made["session_id"], made["user_id"])
        for made in (event(number, device="smart_tv") for number in (201, 202, 200))
    ]


def test_a_second_replay_finds_nothing_more_to_do(landed: Client) -> None:
    """A replay that was cut short is simply run again."""
    dead_letters.replay(landed, DeadLetterFilter(NAME), registry)
    assert dead_letters.replay(landed, DeadLetterFilter(NAME), registry).landed == 0


def test_a_dry_replay_changes_nothing(landed: Client) -> None:
    """It only counts."""
    assert dead_letters.replay(landed, DeadLetterFilter(NAME), registry, dry=True).landed == 2
    assert landed.command("SELECT count() FROM dvd_clicks_dead_letters") == 6
