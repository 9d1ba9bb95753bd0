"""Settings of ingest."""

from __future__ import annotations

from dataclasses import dataclass

from clickreel.settings import setting


@dataclass(frozen=True)
class IngestSettings:
    """Table ``[ingest]`` of the project file, environment ``CLICKREEL_INGEST_<FIELD>``."""

    topic: str = setting("dvd_clicks", "The Kafka topic that is landed.", env="CLICKREEL_TOPIC")
    group: str = setting(
        "",
        "The consumer group; empty: `clickreel-ingest.TOPIC.HOME`. One group lands a topic in a database; two would fence each other.",
    )
    instance: str = setting(
        "1",
        "Name of this process in its group. A restart under the same name takes the partitions of its predecessor at once, dead or not; "
        "processes that share the work need different names.",
    )
    flush_ms: int = setting(
        80,
        "How long the first message of a block waits for others when little comes in, ms: with an insert of some 20 ms, "
        "a message is visible well within 250 ms.",
        minimum=1,
        maximum=60_000,
    )
    flush_ms_max: int = setting(
        300,
        "The same when much comes in (from flush_busy_rows a second on), ms: three or four inserts a second, so that ClickHouse "
        "merges few parts.",
        minimum=1,
        maximum=60_000,
    )
    flush_busy_rows: int = setting(20_000, "Messages a second from which on flush_ms_max holds.", minimum=1)
    flush_rows: int = setting(
        500_000,
        "A block is closed at so many messages; with flush_mb it bounds the memory.",
        minimum=1,
        maximum=1_000_000,
    )
    flush_mb: int = setting(
        64, "A block is closed at so many megabytes of keys and values that are kept.", minimum=1, maximum=1024
    )
    keep_raw: bool = setting(
        False,
        "Whether the raw bytes of good messages are stored too; they are half of the table. Dead ones always are.",
    )
    backoff_s_max: float = setting(
        5.0, "Longest wait between two attempts while Kafka or ClickHouse is away, s.", minimum=0.05, maximum=600
    )
    metrics_port: int = setting(
        0, "Port of the Prometheus endpoint on 127.0.0.1; 0 takes a free one, -1 none.", minimum=-1, maximum=65535
    )
    failpoint: str = setting(
        "",
        "For crash tests: `POINT` or `POINT:N` kills this process with SIGKILL when it comes to that point for the Nth time.",
    )
