"""Lines of logs taken apart: ours in both forms, and those of Kafka, the registry and Flink as they are."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

# `2026-11-28T02:30:00.123Z WARN  KafkaServer: text`, ours (`... WARNING clickreel.ingest text key=value`), and the registry's
# `2026-11-28 02:30:00,123 WARN  [io.ap.re] (main) text`.
_LINE = re.compile(
    r"(?P<time>\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?)Z?\s+"
    r"(?P<level>TRACE|DEBUG|INFO|NOTICE|WARN|WARNING|ERROR|FATAL|CRITICAL)\s+"
    r"(?P<logger>\[[^\]]*\]|[\w.$-]+:?)\s(?P<text>.*)",
    re.DOTALL,
)
_FIELD = re.compile(r' ([A-Za-z_]\w*)=("(?:[^"\\]|\\.)*"|[^\s"=]*)(?= |$)')
_LEVELS = {"TRACE": "DEBUG", "NOTICE": "INFO", "WARN": "WARNING", "FATAL": "ERROR", "CRITICAL": "ERROR"}
# In the order of their weight, as `--level` means them.
LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")


@dataclass(frozen=True)
class LogEntry:
    """What a line says.

    Attributes:
        text: The whole line.
        time: Seconds since 1970, or ``None`` where the line has none (the rest of a traceback).
        level: One of :data:`LEVELS`, or empty.
        logger: Who wrote it, or empty.
        message: What happened; the whole line where it cannot be taken apart.
        fields: Fields, in their order.
    """

    text: str
    time: float | None = None
    level: str = ""
    logger: str = ""
    message: str = ""
    fields: Mapping[str, str] = field(default_factory=dict)


def parse_line(text: str) -> LogEntry:
    """Take a line apart."""
    if text.startswith("{"):
        return _parse_json(text)
    found = _LINE.match(text)
    if found is None:
        return LogEntry(text, message=text)
    rest, logger = found["text"].strip(), found["logger"].strip("[]:")
    fields: dict[str, str] = {}
    if logger.startswith("clickreel"):
        first = _FIELD.search(rest)
        pairs = _FIELD.findall(rest[first.start() :]) if first else []
        fields = {name: json.loads(value) if value.startswith('"') else value for name, value in pairs}
        rest = rest[: first.start()] if first else rest
    return LogEntry(text, _seconds(found["time"]), _level(found["level"]), logger, rest, fields)


def _parse_json(text: str) -> LogEntry:
    try:
        entry = json.loads(text)
        taken = {"time", "level", "logger", "message"}
        fields = {name: str(value) for name, value in entry.items() if name not in taken}
        time, level = _seconds(str(entry["time"]).removesuffix("Z")), _level(str(entry["level"]))
        return LogEntry(text, time, level, str(entry["logger"]), str(entry["message"]), fields)
    except (ValueError, KeyError, TypeError, AttributeError):
        return LogEntry(text, message=text)


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text.replace(",", ".")).replace(tzinfo=UTC).timestamp()


def _level(text: str) -> str:
    return _LEVELS.get(text, text)
