"""All parts of the stack, in the order in which they start; they stop in the reverse order."""

from __future__ import annotations

from clickreel.local.kafka import KAFKA
from clickreel.local.part import Part
from clickreel.local.registry import REGISTRY

PARTS: dict[str, Part] = {part.name: part for part in (KAFKA, REGISTRY)}

# The names and their order in `status`; scripts rely on them.
NAMES = ("kafka", "registry", "clickhouse", "flink", "ingest", "producer", "console")
