"""The topic: planned by a rule that is told, made once, never changed in silence."""

from __future__ import annotations

import orjson
import pytest

from clickreel.cli.app import run
from clickreel.errors import ClickreelError, UsageError
from clickreel.stream import topic_admin
from clickreel.stream.broker import Broker
from clickreel.stream.topic_settings import TopicSettings
from tests.conftest import Kafka


def test_the_plan_follows_the_load_and_says_how() -> None:
    """Twice the events need no fewer partitions; each number stands in a rule."""
    small, large = topic_admin.plan_topic(20, 1), topic_admin.plan_topic(200_000, 8, brokers=3)
    assert (small.partitions, small.replication, small.min_insync) == (6, 1, 1)
    # 200,000 x 255 B at 5 MB/s are 10.2, so 11; eight consumers round it up to 16.
    assert (large.partitions, large.replication, large.min_insync) == (16, 3, 2)
    for number in ("11 partitions", "16 is the largest", "replication 3", f"{large.retention_bytes:,} B"):
        assert any(number in rule for rule in large.rules), number
    assert large.retention_bytes * 16 > 200_000 * 7 * 86_400 * topic_admin.EVENT_BYTES * topic_admin.STORED_RATIO


def test_a_topic_is_made_once_and_then_left_alone(broker: Broker, topic: str) -> None:
    """The second call says what differs and changes nothing."""
    wanted = TopicSettings(name=topic, partitions=3, retention="2d")
    state, created, drift = topic_admin.ensure_topic(broker, wanted)
    assert (state.partitions, created, drift) == (3, True, [])
    other = TopicSettings(name=topic, partitions=4, replication=1, retention="3d")
    state, created, drift = topic_admin.ensure_topic(broker, other)
    assert (state.partitions, created) == (3, False)
    assert [(d.setting, d.wanted, d.real) for d in drift] == [
        ("partitions", "4", "3"),
        ("retention.ms", "259200000", "172800000"),
    ]
    assert all(d.fix for d in drift)
    unchanged = broker.topic(topic)
    assert unchanged is not None
    assert unchanged.configs["retention.ms"] == "172800000"


def test_alter_tells_what_was_and_what_is(broker: Broker, topic: str) -> None:
    """And nothing when it was so already."""
    topic_admin.ensure_topic(broker, TopicSettings(name=topic, partitions=1))
    assert topic_admin.alter_topic(broker, topic, {"retention.ms": "1000000"}) == {
        "retention.ms": ("604800000", "1000000")
    }


def test_a_missing_topic_is_an_error_with_the_command_that_makes_it(broker: Broker, topic: str) -> None:
    """In words."""
    with pytest.raises(ClickreelError, match=f"there is no topic {topic}"):
        topic_admin.require_topic(broker, topic)


def test_a_compacted_topic_is_refused(broker: Broker, topic: str) -> None:
    """It would keep one event a user."""
    broker.create(topic, 1, 1, {"cleanup.policy": "compact"})
    with pytest.raises(ClickreelError, match="last event of each user only"):
        topic_admin.require_plain_cleanup(topic_admin.require_topic(broker, topic))


@pytest.mark.parametrize("retention", ["soon", "0d", "-1"])
def test_a_retention_that_is_no_span_is_refused(retention: str) -> None:
    """Before anything is asked of Kafka."""
    with pytest.raises(UsageError, match="--retention"):
        TopicSettings(retention=retention).configs()


def test_the_commands_tell_the_same_in_json(
    kafka: Kafka, topic: str, tmp_path: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str]
) -> None:
    """Create 0, check 0, drift 5, describe 0, missing 1, unreachable 4."""
    profile = f"{tmp_path}/client.properties"
    with open(profile, "w", encoding="utf-8") as file:  # noqa: PTH123
        file.write(f"bootstrap.servers={kafka.bootstrap}\n")

    def answer(*arguments: str) -> tuple[int, dict[str, object]]:
        code = run(["topic", *arguments, "--topic", topic, "--profile", profile, "--json"])
        out = capsys.readouterr().out
        return code, orjson.loads(out) if out else {}

    assert answer("describe")[0] == 1
    code, made = answer("create", "--partitions", "2")
    assert (code, made["created"], made["partitions"]) == (0, True, 2)
    assert answer("check", "--partitions", "2") == (0, {"ok": True, "topic": topic, "drift": []})
    code, drifted = answer("create", "--partitions", "3")
    assert (code, drifted["created"]) == (5, False)
    assert answer("check", "--partitions", "3")[0] == 5
    code, shown = answer("describe")
    assert (code, shown["records"], shown["topic"]) == (0, 0, topic)
    code, changed = answer("alter", "--retention", "30d")
    assert (code, changed["changed"]) == (0, {"retention.ms": {"before": "604800000", "now": "2592000000"}})


@pytest.mark.parametrize("name", ["", ".", "..", "a b", "a/b", "\x1b[2J", "x" * 250])
def test_a_name_that_kafka_would_refuse_is_refused_before_anything_is_asked(name: str) -> None:
    """Also where only a text is made of it, such as an export."""
    with pytest.raises(UsageError, match="a topic cannot be called"):
        TopicSettings(name=name)
