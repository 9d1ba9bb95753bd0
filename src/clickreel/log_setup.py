"""Logging: one line an event with UTC time, level, logger and ``key=value`` fields, or one JSON object a line.

Modules log through ``logging.getLogger(__name__)``; what is countable goes into ``extra``, not into the text::

    log.info("landed", extra={"topic": topic, "partition": 3, "rows": 2000})

gives ``2026-11-28T02:30:00.123Z INFO clickreel.ingest.loop landed topic=dvd_clicks partition=3 rows=2000``. The process decides once,
with :func:`configure`, where lines go and how they look.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from dataclasses import dataclass
from typing import TextIO

from clickreel.settings import load, setting

# Set by the supervisor for the processes that it starts: their stderr is a log file, not a person's terminal.
SERVICE_VARIABLE = "CLICKREEL_SERVICE"
LEVELS = ("debug", "info", "warning", "error")
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


@dataclass(frozen=True)
class LogSettings:
    """How this process logs."""

    level: str = setting(
        "auto",
        "Least level that is logged; `auto` is `info` in the log of a service and `warning` on a terminal.",
        choices=("auto", *LEVELS),
    )
    format: str = setting("text", "`text` for people, `json` for one object a line.", choices=("text", "json"))


class TextFormatter(logging.Formatter):
    """One line: time in UTC, level, logger, message, fields; a traceback follows indented."""

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record."""
        words = [utc(record.created), record.levelname, record.name, _one_line(record.getMessage())]
        words += [f"{name}={_field(value)}" for name, value in fields(record).items()]
        line = " ".join(words)
        if record.exc_info:
            line += "\n" + "\n".join(f"  {part}" for part in self.formatException(record.exc_info).splitlines())
        return line


class JsonFormatter(logging.Formatter):
    """One object a line: ``time``, ``level``, ``logger``, ``message``, the fields, and ``exception`` where there is one."""

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record."""
        entry = {
            **fields(record),
            "time": utc(record.created),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry, default=str)


def configure(settings: LogSettings | None = None, stream: TextIO | None = None) -> None:
    """Send the records of this process to stderr; a second call replaces the first.

    Args:
        settings: By default read from the environment and the project file.
        stream: Where to write; by default stderr as it is at each record.
    """
    settings = settings or load(LogSettings, "log")
    handler: logging.Handler = logging.StreamHandler(stream) if stream else _Stderr()
    handler.setFormatter(JsonFormatter() if settings.format == "json" else TextFormatter())
    root = logging.getLogger("clickreel")
    root.handlers[:] = [handler]
    root.propagate = False
    level = ("info" if is_service() else "warning") if settings.level == "auto" else settings.level
    root.setLevel(level.upper())


def is_service() -> bool:
    """Whether this process writes to a log that nobody watches while it is written."""
    return bool(os.environ.get(SERVICE_VARIABLE))


def fields(record: logging.LogRecord) -> dict[str, object]:
    """What ``extra`` held, in its order."""
    return {name: value for name, value in vars(record).items() if name not in _STANDARD}


def utc(seconds: float) -> str:
    """A moment as logs write it: ``2026-11-28T02:30:00.123Z``."""
    millis = round(seconds * 1000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(millis // 1000))}.{millis % 1000:03}Z"


class _Stderr(logging.StreamHandler[TextIO]):
    """Writes to whatever ``sys.stderr`` is now: tests and progress lines exchange it."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> TextIO:
        return sys.stderr

    @stream.setter
    def stream(self, _: TextIO) -> None:
        """Ignored: it is always stderr."""


def _one_line(text: str) -> str:
    return text.replace("\r", "\\r").replace("\n", "\\n")


def _field(value: object) -> str:
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    plain = text and not any(char in text for char in ' "=\n\r\t')
    return text if plain else json.dumps(text, ensure_ascii=False)
