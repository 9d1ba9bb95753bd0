"""How a part without an address says that it does its work: it calls :func:`announce`.

The stack names a file in ``CLICKREEL_READY_FILE``; the part makes it once it produces or consumes. A port serves the other parts for
this purpose, and a log line would tie the stack to the words of a message.
"""

from __future__ import annotations

import os
from pathlib import Path

VARIABLE = "CLICKREEL_READY_FILE"


def announce(what: str = "") -> None:
    """Say that this process does its work now; does nothing when no stack started it.

    Args:
        what: What it does, where ``status`` should know: the producer's run.
    """
    named = os.environ.get(VARIABLE)
    if named:
        Path(named).write_text(what, encoding="utf-8")
