"""What the topic should be; read by commands that never talk to Kafka, so without its client."""

from __future__ import annotations

import re
from dataclasses import dataclass

from clickreel import timespec
from clickreel.errors import UsageError
from clickreel.settings import setting


@dataclass(frozen=True)
class TopicSettings:
    """What the topic should be."""

    name: str = setting("dvd_clicks", "Name of the topic.", env="CLICKREEL_TOPIC")
    partitions: int = setting(
        6, "Partitions; more of them later would end every run in the topic.", minimum=1, maximum=10_000
    )
    replication: int | None = setting(
        None, "Copies of each partition; by default what the cluster gives.", minimum=1, maximum=9
    )
    retention: str = setting("7d", "How long records are kept; a backfill and the longest outage must fit in.")
    retention_bytes: int = setting(-1, "Bytes kept per partition; -1 is no limit.", minimum=-1)

    def __post_init__(self) -> None:
        """A name that Kafka would refuse is refused before anything is asked or written.

        Raises:
            UsageError: The name is none of a topic.
        """
        if not re.fullmatch(r"[a-zA-Z0-9._-]{1,249}", self.name) or self.name in {".", ".."}:
            raise UsageError(
                f"a topic cannot be called {self.name!r}",
                hint="letters, digits, dot, underscore and hyphen, at most 249",
            )

    @property
    def retention_ms(self) -> int:
        """``retention`` in milliseconds; -1 for ``forever``."""
        return -1 if self.retention == "forever" else timespec.span_ms(self.retention, "--retention")

    def configs(self) -> dict[str, str]:
        """The topic's settings in Kafka's words."""
        return {
            "cleanup.policy": "delete",
            "message.timestamp.type": "CreateTime",
            "retention.ms": str(self.retention_ms),
            "retention.bytes": str(self.retention_bytes),
        }
