"""The configurations for other engines: from the contract, complete, and without secrets."""

from __future__ import annotations

import json
import re

import pytest

from clickreel.contract.vocabulary import FIELDS
from clickreel.profile import Profile
from clickreel.warehouse.client import Client
from clickreel.warehouse.exports import KINDS, Export, export

PROFILE = Profile(
    {"bootstrap.servers": "pkc-1.confluent.cloud:9092", "sasl.username": "KEY", "sasl.password": "hunter22"},
    clickhouse_url="https://abc.clickhouse.cloud:8443",
    clickhouse_password="hunter23",  # noqa: S106 - it must not come out again
)


def made(kind: str) -> Export:
    """The export of a kind."""
    return export(kind, PROFILE, "dvd_clicks")  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", KINDS)
def test_every_field_is_there_and_no_secret(kind: str) -> None:
    """A connector finds the fields by itself; all others list them."""
    text = made(kind).text
    assert "hunter" not in text
    assert "pkc-1" in text or kind == "connect-sink"
    assert kind == "connect-sink" or all(re.search(rf"\b{field}\b", text) for field in FIELDS)


@pytest.mark.parametrize("kind", KINDS)
def test_the_guarantees_say_how_often(kind: str) -> None:
    """Each says at least once or exactly once, and what becomes of bad messages."""
    words = " ".join(made(kind).guarantees).lower()
    assert "once" in words
    assert "error" in words or "dead-letter" in words or "bad" in words


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "clickpipes"])
def test_every_time_names_its_zone(kind: str) -> None:
    """A server in another zone shows the same instants. What ClickPipes infers by itself has none."""
    text = made(kind).text
    assert len(re.findall(r"DateTime64\(", text)) == len(re.findall(r"DateTime64\([0-9], \\*'UTC\\*'\)", text))


@pytest.mark.parametrize("kind", ["clickpipes", "connect-sink"])
def test_json_is_json(kind: str) -> None:
    """It can be posted as it is."""
    assert json.loads(made(kind).text)


def test_the_tables_of_the_kafka_engine_are_understood_by_clickhouse(empty: Client) -> None:
    """The embedded engine has no Kafka, so the queue is made as a plain table with the same columns."""
    text = made("kafka-engine").text
    virtual = "_error String, _raw_message String, _key String, _timestamp_ms DateTime64(3), _partition UInt64, _offset UInt64, _topic String, _headers Nested(name String, value String)"
    text = re.sub(r"\n\)\nENGINE = Kafka\nSETTINGS.*?;", f",\n{virtual}\n)\nENGINE = Null;", text, flags=re.DOTALL)
    for statement in filter(str.strip, re.sub(r"--.*", "", text).split(";")):
        empty.command(statement)
    empty.command(
        "INSERT INTO dvd_clicks_queue (event_id, event_ts, film_id, device, _partition, _offset) "
        "VALUES (generateUUIDv4(), '2025-12-27 12:18:51.766', 3, 'web', 1, 7)"
    )
    assert empty.rows("SELECT film_id, device, _partition, _offset FROM dvd_clicks") == [(3, "web", 1, 7)]
