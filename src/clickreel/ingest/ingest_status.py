"""How the ingest process of a home stands, as ``status``, ``monitor`` and the console read it: a file, and no library."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

STATUS_FOLDER = "ingest"
"""The folder of the home into whose files, one a topic, ingest writes ``Freshness.state`` and the address of its metrics every second."""

# The status file is written once a second; a killed process leaves it behind.
_STALE_S = 5.0


def status_file(home: Path, topic: str) -> Path:
    """Where a home's ingest of a topic writes how it stands: several topics are landed side by side."""
    return home / STATUS_FOLDER / f"{topic}.json"


def read_status(home: Path, topic: str) -> dict[str, Any] | None:
    """Read the status of the ingest process of a home; None when no ingest of the topic runs there.

    Args:
        home: The home's folder.
        topic: The topic.
    """
    try:
        found: dict[str, Any] = json.loads(status_file(home, topic).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    fresh = time.time() - found.get("at_ms", 0) / 1000 < _STALE_S
    return found if fresh and found.get("running") and found.get("topic") == topic else None
