"""How ingest stands, as it writes it into the home every second: what ``status`` and ``monitor`` show."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

STATE = "ingest.json"
"""The file's name in the home: :meth:`~clickreel.ingest.freshness.Freshness.state` and the metrics' address."""

# It is written once a second; a process that was killed leaves it behind.
_STALE_S = 5.0


def standing(home: Path, topic: str) -> dict[str, Any] | None:
    """What the ingest that runs in a home says of a topic; None when none runs, or lands another topic.

    Args:
        home: The home's folder.
        topic: The topic.
    """
    try:
        found: dict[str, Any] = json.loads((home / STATE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    fresh = time.time() - found.get("at_ms", 0) / 1000 < _STALE_S
    return found if fresh and found.get("running") and found.get("topic") == topic else None
