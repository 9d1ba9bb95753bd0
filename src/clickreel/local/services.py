"""All parts and tasks of the stack, in the order in which parts start; they stop in the reverse order."""

from __future__ import annotations

from clickreel.local.flink_service import FLINK
from clickreel.local.kafka_service import KAFKA
from clickreel.local.registry_service import REGISTRY
from clickreel.local.service import InitTask, Service
from clickreel.local.stream_services import CLICKHOUSE, CONSOLE, CONTRACT, FILMS, INGEST, PRODUCER, TOPIC

SERVICES: dict[str, Service] = {
    part.name: part for part in (KAFKA, REGISTRY, CLICKHOUSE, FLINK, INGEST, CONSOLE, PRODUCER)
}
INIT_TASKS: dict[str, InitTask] = {task.name: task for task in (TOPIC, CONTRACT, FILMS)}

# The names and their order in `status`; scripts rely on them.
NAMES = ("kafka", "registry", "clickhouse", "flink", "ingest", "producer", "console")
