"""Say that a service is ready, for one that does not yet report its progress itself (:mod:`clickreel.heartbeat`)."""

from __future__ import annotations

import threading
import time

from clickreel.heartbeat import EVERY_S, Heartbeat


def announce(run: str = "") -> None:
    """Say that this process does its work now; does nothing when no stack started it."""
    beats = Heartbeat.from_environment()
    beats.__enter__()
    beats.ready(run)

    def go_on() -> None:
        while True:
            beats.progress()
            time.sleep(EVERY_S)

    threading.Thread(target=go_on, name="heartbeat progress", daemon=True).start()
