"""The stretch of event time that an answer is about."""

from __future__ import annotations

from dataclasses import dataclass

from clickreel import timespec
from clickreel.errors import ClickreelError, UsageError
from clickreel.insight.queries import text
from clickreel.warehouse.client import Client


@dataclass(frozen=True)
class Window:
    """From an instant up to, and without, another; milliseconds since 1970.

    Attributes:
        begin_ms: Where it begins.
        end_ms: Where it ends.
        first_ms: The time of the oldest event there is: what lies before is unknown, not empty.
    """

    begin_ms: int
    end_ms: int
    first_ms: int

    @property
    def length_ms(self) -> int:
        """How long it is."""
        return self.end_ms - self.begin_ms

    @property
    def parameters(self) -> dict[str, int]:
        """The parameters by which the statements name it."""
        return {"from_ms": self.begin_ms, "end_ms": self.end_ms}

    def as_json(self) -> dict[str, str]:
        """It, as people read it (UTC)."""
        return {"from": timespec.format_instant(self.begin_ms), "until": timespec.format_instant(self.end_ms)}


def window(client: Client, length_ms: int, *, now_ms: int, end_ms: int | None = None) -> Window:
    """The window of a length that ends at an instant, or else with the newest event.

    A stream that was backfilled, or has stopped, is asked about its own last hours, not about the hours since. Events that claim
    to come from the future do not move the end past the present.

    Args:
        client: The warehouse.
        length_ms: How long the window is.
        now_ms: The present.
        end_ms: Where it ends, when it shall not end with the newest event.

    Raises:
        ClickreelError: There is no good event in the window, or it lies in the future.
    """
    before = now_ms + 1 if end_ms is None else end_ms
    if before - length_ms > now_ms:
        raise UsageError(
            f"the window begins in the future: {timespec.format_instant(before - length_ms)} UTC",
            hint="leave --until out for a window that ends with the newest event",
        )
    ((first_ms, last_ms),) = client.rows(text("span"), {"before_ms": before}, projection="people_hours")
    if last_ms <= 0:
        raise ClickreelError(
            f"no good event in {client.database}.dvd_clicks_landing before {timespec.format_instant(before)}",
            hint="clickreel status shows whether producer and ingest run; clickreel up --from 14d begins with a past",
        )
    end = int(last_ms) + 1 if end_ms is None else end_ms
    if last_ms < end - length_ms:
        newest = timespec.format_instant(int(last_ms))
        raise ClickreelError(
            f"no good event from {timespec.format_instant(end - length_ms)} to {timespec.format_instant(end)} UTC; "
            f"the newest one before is of {newest}",
            hint=f"--until '{newest[:19]}', or a longer --since",
        )
    return Window(end - length_ms, end, int(first_ms))
