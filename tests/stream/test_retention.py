"""A backfill against the topic's retention."""

from __future__ import annotations

import math
import time

import pytest

from clickreel.errors import UsageError
from clickreel.stream import retention, topic_admin
from clickreel.stream.broker import Broker, TopicState
from clickreel.stream.topic_settings import TopicSettings

NOW = 1_764_000_000_000
DAY = 86_400_000


def make(broker: Broker, topic: str, **settings: object) -> TopicState:
    """A topic."""
    return topic_admin.ensure_topic(broker, TopicSettings(name=topic, partitions=6, **settings))[0]  # type: ignore[arg-type]


def await_config(broker: Broker, topic: str, name: str, value: str) -> TopicState:
    """The topic, once the broker tells the new value: it hears of it from its controller some moments after the answer."""
    deadline = time.monotonic() + 60
    while (state := topic_admin.require_topic(broker, topic)).configs[name] != value:
        assert time.monotonic() < deadline, state.configs[name]
        time.sleep(0.05)
    return state


@pytest.mark.parametrize(("days", "kept"), [(5.9, "7"), (6.5, "14"), (14, "21"), (28, "35")])
def test_our_own_topic_keeps_what_a_backfill_needs(broker: Broker, topic: str, days: float, kept: str) -> None:
    """The retention grows by the backfill's age, and is left as it is when it suffices; drift is none of it."""
    state = make(broker, topic)
    said = retention.keep_backfill(broker, state, NOW - round(days * DAY), NOW)
    after = await_config(broker, topic, "retention.ms", str(int(kept) * DAY))
    assert said == (
        "" if kept == "7" else f"retention raised to {kept} d (was 7 d), so that the backfill is not deleted unread"
    )
    assert topic_admin.find_drift(TopicSettings(name=topic, partitions=6), after) == []


def test_a_limit_by_size_is_raised_to_what_the_events_take(broker: Broker, topic: str) -> None:
    """14 days of 20 events a second are 24 M events; a limit of 10 MB a partition would keep a tenth of them."""
    state = make(broker, topic, retention="forever", retention_bytes=10_000_000)
    said = retention.keep_backfill(broker, state, NOW - 14 * DAY, NOW, 20.0)
    stored = 20 * 14 * 86_400 * topic_admin.EVENT_BYTES * topic_admin.STORED_RATIO / 6
    await_config(broker, topic, "retention.bytes", str(math.ceil(3 * stored)))
    assert "(was 10,000,000 B a partition)" in said


def test_an_endless_retention_is_left_alone(broker: Broker, topic: str) -> None:
    """Whatever the age."""
    state = make(broker, topic, retention="forever")
    assert retention.keep_backfill(broker, state, NOW - 900 * DAY, NOW, 20.0) == ""
    retention.require_retention(state, NOW - 900 * DAY, NOW, 20.0)


def test_a_backfill_that_somebody_elses_topic_would_delete_is_refused(broker: Broker, topic: str) -> None:
    """With the command that helps, and the option that accepts the loss."""
    state = make(broker, topic)
    retention.require_retention(state, NOW - 5 * DAY, NOW, 20.0)
    with pytest.raises(UsageError, match="keeps 7 d; Kafka would delete the records from 2025-11-10") as refused:
        retention.require_retention(state, NOW - 14 * DAY, NOW, 20.0)
    assert (
        refused.value.hint == f"clickreel topic alter --topic {topic} --retention 21d; or lose them: --allow-deletion"
    )
