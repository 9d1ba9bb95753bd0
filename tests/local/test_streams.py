"""`up` as a whole: the topic, the contract, the stream, and what it goes on with."""

from __future__ import annotations

import json
import os
import signal
import uuid
from pathlib import Path

import pytest
from confluent_kafka import Consumer, TopicPartition

from clickreel.contract.check import check
from tests.conftest import Kafka, Registry
from tests.local.conftest import Cli, foreign_addresses, until

pytestmark = [pytest.mark.stack, pytest.mark.timeout(900)]


def events(kafka: Kafka, topic: str) -> list[tuple[bytes, bytes]]:
    """All messages of a topic: key and value, read by a foreign client."""
    consumer = Consumer({"bootstrap.servers": kafka.bootstrap, "group.id": topic, "enable.auto.commit": False})
    found: list[tuple[bytes, bytes]] = []
    try:
        places = [
            TopicPartition(topic, number, 0) for number in consumer.list_topics(topic, 10).topics[topic].partitions
        ]
        total = sum(consumer.get_watermark_offsets(place, 10)[1] for place in places)
        consumer.assign(places)
        while len(found) < total:
            for message in consumer.consume(1000, 5):
                assert message.error() is None
                found.append((message.key() or b"", message.value() or b""))
    finally:
        consumer.close()
    return found


def test_up_streams_to_the_kafka_of_a_profile_and_goes_on_after_a_crash(
    cli: Cli, kafka: Kafka, registry: Registry, tmp_path: Path
) -> None:
    """Only what the profile does not provide is started; a killed producer is started again and repeats nothing."""
    topic = f"clicks-{uuid.uuid4().hex[:8]}"
    # Ten minutes of past: all of the topic is read again and again below.
    cli.env |= {"CLICKREEL_TOPIC": topic, "CLICKREEL_LOCAL_PAST": "10m"}
    client = tmp_path / "client.properties"
    client.write_text(f"bootstrap.servers={kafka.bootstrap}\nschema.registry.url={registry.url}\n")

    begun = cli("up", "--detach", "--rate", "20", "--seed", "7", "--profile", str(client), "--json")
    assert begun.returncode == 0, begun.stderr
    status = cli.status()
    parts = status["parts"]
    assert status["ok"]
    assert (status["topic"], parts["kafka"]["state"], parts["registry"]["state"]) == (topic, "elsewhere", "elsewhere")
    assert parts["kafka"]["address"] == kafka.bootstrap
    assert [parts[name]["state"] for name in ("clickhouse", "ingest", "producer")] == ["running"] * 3
    assert {name: foreign_addresses(part["pid"]) for name, part in parts.items() if part["pid"]} == {
        "clickhouse": [],
        "ingest": [],
        "producer": [],
        "console": [],
    }
    until(lambda: len(events(kafka, topic)) > 50)

    os.kill(parts["producer"]["pid"], signal.SIGKILL)
    until(lambda: cli.service("producer").restarts == 1)
    until(lambda: cli.service("producer").state == "running")
    assert cli("up", "--detach").returncode == 0
    again = cli.status()
    assert again["run"] == status["run"]
    assert again["parts"]["producer"]["pid"] != parts["producer"]["pid"]
    assert again["parts"]["ingest"]["pid"] == parts["ingest"]["pid"]
    before = len(events(kafka, topic))
    until(lambda: len(events(kafka, topic)) > before + 50)

    changed = cli("up", "--detach", "--rate", "10", "--seed", "8", "--profile", str(client))
    assert changed.returncode == 0, changed.stderr
    assert f"run {status['run']} is no longer streamed" in changed.stderr
    assert cli.status()["run"] != status["run"]
    assert cli.status()["parts"]["ingest"]["pid"] == parts["ingest"]["pid"]

    assert cli("down").returncode == 0
    found = events(kafka, topic)
    assert [(key, value) for key, value in found if check(key, value) is not None] == []
    ids = [json.loads(value)["event_id"] for _, value in found]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (("--rate", "0"), "--rate is 0"),
        (("--rate", "-5"), "--rate is -5"),
        (("--speed", "0"), "--speed is 0"),
        (("--from", "yesterday"), "yesterday"),
        (("--films", "/no/such.csv"), "/no/such.csv"),
        (("--profile", "/no/such.properties"), "/no/such.properties"),
    ],
)
def test_impossible_options_are_refused_before_anything_starts(cli: Cli, option: tuple[str, str], message: str) -> None:
    """Exit code 2, two lines, no process and no memory of it."""
    done = cli("up", "--detach", *option)
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("error: ")
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(cli.home.glob("services/*.json"))
    assert not (cli.home / "run.json").exists()
