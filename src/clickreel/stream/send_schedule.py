"""When a record is due: the past at once, the present by the clock, or faster by a factor."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Protocol


class Clock(Protocol):
    """The time of day, milliseconds since 1970."""

    def __call__(self) -> int: ...  # noqa: D102


def wall_clock() -> int:
    """The machine's clock."""
    return time.time_ns() // 1_000_000


@dataclass(frozen=True)
class SendSchedule:
    """Maps the timeline to the clock.

    Attributes:
        speed: Seconds of the timeline in a second. ``None``: what lies in the past is due at once, the rest when its time comes.
        timeline_ms: Where the timeline is at ``clock_ms``; only with a speed.
        clock_ms: The clock at that moment.
    """

    speed: float | None = None
    timeline_ms: int = 0
    clock_ms: int = 0

    def horizon(self, now_ms: int) -> int:
        """Everything delivered up to this instant of the timeline is due."""
        if self.speed is None:
            return now_ms
        return self.timeline_ms + int((now_ms - self.clock_ms) * self.speed)

    def wait_ms(self, deliver_ms: int, now_ms: int) -> float:
        """How long until that instant of the timeline is due; 0 when it is."""
        return max(0.0, (deliver_ms - self.horizon(now_ms)) / (self.speed or 1.0))
