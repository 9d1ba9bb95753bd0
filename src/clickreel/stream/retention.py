"""Backfill against retention: Kafka deletes by a record's timestamp, and a backfill's timestamps lie in the past.

Without a longer retention the broker deletes the oldest records of a backfill within a minute, before anybody has read them.
"""

from __future__ import annotations

import math

from clickreel import timespec
from clickreel.errors import UsageError
from clickreel.stream.broker import Broker, TopicState
from clickreel.stream.topic_admin import EVENT_BYTES, STORED_RATIO

_DAY_MS = 86_400_000
# What was written must also be read: a consumer that was down for a day still finds it.
_MARGIN_MS = _DAY_MS
# Partitions differ in size by their users; the smallest limit must hold the largest of them.
_SIZE_MARGIN = 1.5


def configs_for_backfill(state: TopicState, from_ms: int, now_ms: int, events_per_s: float) -> dict[str, str]:
    """The topic settings to raise so that nothing of a backfill is deleted as soon as it is written; empty when they suffice.

    Args:
        state: The topic.
        from_ms: The oldest timestamp that will be written.
        now_ms: The clock.
        events_per_s: Events a second of the timeline.
    """
    age_ms, needed = now_ms - from_ms, {}
    if age_ms < _MARGIN_MS:
        return {}
    limit_ms = int(state.configs.get("retention.ms", "-1"))
    if 0 <= limit_ms < age_ms + _MARGIN_MS:
        # Whole days, and what the topic kept before on top: the last day of the backfill is kept as long as any other day.
        days = math.ceil(age_ms / _DAY_MS - 0.01) + math.ceil(max(limit_ms, _MARGIN_MS) / _DAY_MS)
        needed["retention.ms"] = str(days * _DAY_MS)
    limit_bytes = int(state.configs.get("retention.bytes", "-1"))
    stored = events_per_s * age_ms / 1000 * EVENT_BYTES * STORED_RATIO / state.partitions
    if 0 <= limit_bytes < stored * _SIZE_MARGIN:
        needed["retention.bytes"] = str(math.ceil(2 * stored * _SIZE_MARGIN))
    return needed


def keep_backfill(broker: Broker, state: TopicState, from_ms: int, now_ms: int, events_per_s: float = 0.0) -> str:
    """Raise the retention of our own topic to what a backfill needs.

    Returns:
        What was changed, in words; empty when nothing had to be.
    """
    needed = configs_for_backfill(state, from_ms, now_ms, events_per_s)
    if not needed:
        return ""
    broker.alter(state.name, needed)
    return f"retention raised to {_kept(needed)} (was {_kept(dict(state.configs), needed)}), so that the backfill is not deleted unread"


def require_retention(state: TopicState, from_ms: int, now_ms: int, events_per_s: float = 0.0) -> None:
    """Refuse a backfill that a topic of somebody else would delete as soon as it is written.

    Raises:
        UsageError: It would.
    """
    needed = configs_for_backfill(state, from_ms, now_ms, events_per_s)
    if not needed:
        return
    flags = {"retention.ms": "--retention", "retention.bytes": "--retention-bytes"}
    values = {**needed, "retention.ms": f"{int(needed.get('retention.ms', '0')) // _DAY_MS}d"}
    command = " ".join(f"{flags[name]} {values[name]}" for name in needed)
    raise UsageError(
        f"topic {state.name} keeps {_kept(dict(state.configs), needed)}; Kafka would delete the records from "
        f"{timespec.format_instant(from_ms)} on soon after they are written",
        hint=f"clickreel topic alter --topic {state.name} {command}; or lose them: --allow-deletion",
    )


def _kept(configs: dict[str, str], names: dict[str, str] | None = None) -> str:
    words = []
    for name in names or configs:
        value = int(configs.get(name, "-1"))
        if name == "retention.ms":
            words.append(timespec.format_duration(value) if value >= 0 else "forever")
        elif name == "retention.bytes":
            words.append(f"{value:,} B a partition" if value >= 0 else "any size")
    return " and ".join(words)
