"""When a block is closed: soon while little comes in, seldom while much does."""

from __future__ import annotations

from clickreel.ingest.settings import IngestSettings

# Weight of the newest second in the rate: a burst is known for one after about a second, and forgotten as fast.
_MEMORY_S = 1.0
# While there is a backlog a block is left to fill: what waits there is old already, and large blocks are merged less often.
_BEHIND_S = 1.0


class FlushPolicy:
    """Decides when a block has waited long enough.

    Args:
        settings: Its limits.

    Attributes:
        behind: Whether more has come than was asked for at once, so that there is a backlog; set by the caller.
    """

    def __init__(self, settings: IngestSettings) -> None:
        self._settings = settings
        self._rate = 0.0
        self._since: float | None = None
        self.behind = False

    def came(self, rows: int, now_s: float) -> None:
        """Messages have come."""
        if self._since is None:
            self._since = now_s
        gap = max(now_s - self._since, 1e-3)
        weight = min(1.0, gap / _MEMORY_S)
        self._rate += weight * (rows / gap - self._rate)
        self._since = now_s

    @property
    def wait_s(self) -> float:
        """How long the first message of a block waits for others."""
        settings = self._settings
        if self.behind:
            return _BEHIND_S
        busy = min(1.0, self._rate / settings.flush_busy_rows)
        longest = max(settings.flush_ms, settings.flush_ms_max)
        return (settings.flush_ms + busy * (longest - settings.flush_ms)) / 1000

    def full(self, rows: int, size_bytes: int) -> bool:
        """Whether a block of this size is closed at once."""
        return rows >= self._settings.flush_rows or size_bytes >= self._settings.flush_mb << 20
