"""All parts and tasks of the stack, in the order in which parts start; they stop in the reverse order."""

from __future__ import annotations

from clickreel.flink.part import FLINK
from clickreel.local.kafka import KAFKA
from clickreel.local.part import Part, Task
from clickreel.local.pipeline import CLICKHOUSE, CONSOLE, CONTRACT, FILMS, INGEST, PRODUCER, TOPIC
from clickreel.local.registry import REGISTRY

PARTS: dict[str, Part] = {part.name: part for part in (KAFKA, REGISTRY, CLICKHOUSE, FLINK, INGEST, CONSOLE, PRODUCER)}
TASKS: dict[str, Task] = {task.name: task for task in (TOPIC, CONTRACT, FILMS)}

# The names and their order in `status`; scripts rely on them.
NAMES = ("kafka", "registry", "clickhouse", "flink", "ingest", "producer", "console")
