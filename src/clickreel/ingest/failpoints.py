"""Crashes on purpose: the named instants between the steps of the protocol at which a test may have the process killed or stopped."""

from __future__ import annotations

import signal
import threading
from typing import Literal, get_args

from clickreel.errors import UsageError

FailpointName = Literal[
    "after-claim",
    "after-prove",
    "after-settle",
    "after-position",
    "after-read",
    "before-insert",
    "during-insert",
    "after-insert",
    "before-mark",
    "after-commit",
    "during-repair",
]
FAILPOINTS: tuple[str, ...] = get_args(FailpointName)


class Failpoints:
    """At most one crash or sleep.

    Args:
        text: ``POINT`` or ``POINT:N``: the process is killed when it comes to that point for the Nth time; with ``stop:`` in front it is
            only stopped, as a process that sleeps through its session. Empty: never.

    Raises:
        UsageError: There is no such point.
    """

    def __init__(self, text: str = "") -> None:
        self._signal = signal.SIGSTOP if text.startswith("stop:") else signal.SIGKILL
        point, _, count = text.removeprefix("stop:").partition(":")
        if (point and point not in FAILPOINTS) or (count and not count.isdigit()):
            raise UsageError(f"no fault {text!r}", hint=f"one of: {', '.join(FAILPOINTS)}, with :N behind it")
        self._point = point
        self._left = int(count or 1)

    def trigger(self, point: FailpointName) -> None:
        """Come to a point."""
        if point != self._point:
            return
        self._left -= 1
        if self._left == 0:
            # To this thread: a signal to the process may reach another one first, and this one would run on into its next step.
            signal.pthread_kill(threading.get_ident(), self._signal)
