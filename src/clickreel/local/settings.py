"""Settings of the local stack: table ``[local]`` of ``clickreel.toml``, variables ``CLICKREEL_LOCAL_...``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from clickreel.settings import setting


def _port(service: str) -> Any:
    doc = f"Port of {service} on 127.0.0.1; 0 takes a free one and keeps it for this home, so that two homes never collide."
    return setting(0, doc, minimum=0, maximum=65535)


@dataclass(frozen=True)
class LocalSettings:
    """What can be set about the local stack."""

    kafka_port: int = _port("Kafka")
    registry_port: int = _port("the registry")
    clickhouse_port: int = _port("ClickHouse's HTTP interface")
    flink_port: int = _port("Flink's SQL gateway")
    console_port: int = _port("the console")
    kafka_heap_mb: int = setting(
        512, "Heap of Kafka in MB; 120 MB are in use at 1 M events/s, the rest is for many consumers.", minimum=128
    )
    registry_heap_mb: int = setting(192, "Heap of the registry in MB; it idles at 60 MB.", minimum=96)
    flink_heap_mb: int = setting(
        1024, "Heap of Flink in MB; windows over a day of clicks stay under half of it.", minimum=256
    )
    start_timeout_s: float = setting(
        300.0,
        "How long a service may take to answer after its start, in seconds; 3 are usual, a machine with ten times more to do than it has "
        "processors needs a minute.",
        minimum=1,
    )
    past: str = setting(
        "14d",
        "How far back a run begins that `up` is given no `--from` for, such as 14d or 6h; `now` for no past. Shortened so that it holds "
        "three million events at most; a Kafka of your own gets none.",
    )
    answer_timeout_s: float = setting(
        30.0, "How long `up` waits for a service that ran before and does not answer, in seconds.", minimum=1
    )
