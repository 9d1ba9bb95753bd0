"""All services and init tasks of the stack, in the order in which services start; they stop in the reverse order."""

from __future__ import annotations

from clickreel.local.flink_service import FLINK
from clickreel.local.init_tasks import CONTRACT, FILMS, TOPIC
from clickreel.local.kafka_service import KAFKA
from clickreel.local.registry_service import REGISTRY
from clickreel.local.service import InitTask, Service
from clickreel.local.stream_services import CLICKHOUSE, CONSOLE, INGEST, PRODUCER

SERVICES: dict[str, Service] = {
    service.name: service for service in (KAFKA, REGISTRY, CLICKHOUSE, FLINK, INGEST, PRODUCER, CONSOLE)
}
INIT_TASKS: dict[str, InitTask] = {task.name: task for task in (TOPIC, CONTRACT, FILMS)}
