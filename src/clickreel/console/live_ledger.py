"""The ledger of the run that is streamed, made again for all viewers at once, in a process of its own."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clickreel.console.markup import explain
from clickreel.console.run_apart import iterate_apart
from clickreel.errors import ClickreelError
from clickreel.simulate.ledger import derive_ledger
from clickreel.stream.saved_runs import list_runs

_STRETCH_MS = 3_600_000
# So much of a fast run is its last minutes: the ledger is made again with every event of its stretch.
_EVENTS_MAX = 60_000
_EXAMPLES = 40
# Whoever opens the page within so long sees what was made for the viewer before.
_FRESH_S = 300.0


@dataclass(frozen=True, slots=True)
class LedgerExcerpt:
    """The ledger of a run's last stretch.

    Attributes:
        run: The run.
        begin_ms: Where the stretch begins.
        end_ms: Where it ends.
        counts: How many entries there are, by kind and name.
        entries: The newest of them.
        is_complete: Whether all kinds are in it.
    """

    run: str
    begin_ms: int
    end_ms: int
    counts: list[tuple[tuple[str, str], int]]
    entries: list[dict[str, Any]]
    is_complete: bool


class LiveLedger:
    """The newest excerpt there is, shared by all viewers.

    Attributes:
        excerpt: What is known so far; ``None`` before the first part, and where no run was produced from here.
        error: Why there is none; empty when nothing went wrong.
        version: Rises with every change.
    """

    def __init__(self, home: Path, topic: str) -> None:
        self.excerpt: LedgerExcerpt | None = None
        self.error = ""
        self.version = 0
        self._home, self._topic = home, topic
        self._lock = threading.Lock()
        self._made_s = 0.0
        self._thread: threading.Thread | None = None

    def refresh(self, *, at_once: bool = False) -> None:
        """Make it again on a thread, unless that goes on already or it is fresh.

        Args:
            at_once: Also when it is fresh.
        """
        with self._lock:
            is_fresh = self._made_s and time.monotonic() - self._made_s < _FRESH_S and not self.error
            if (self._thread is not None and self._thread.is_alive()) or (is_fresh and not at_once):
                return
            self._thread = threading.Thread(target=self._run, name="ledger", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        error, found = "", None
        try:
            with closing(iterate_apart(read_ledger, self._home, self._topic)) as parts:
                for found in parts:
                    self.excerpt, self.error = found, ""
                    self.version += 1
        except ClickreelError as exc:
            error = explain(exc)
        self.error, self._made_s = error, time.monotonic()
        self.version += 1


def read_ledger(home: Path, topic: str) -> Iterator[LedgerExcerpt]:
    """The ledger of the last hour, or the last minutes of a fast run, of the run that was produced last: what takes no time first.

    Args:
        home: Where the runs are saved.
        topic: The topic.
    """
    saved = list_runs(home, topic)
    if not saved:
        return
    world, now_ms = saved[0].world(), round(time.time() * 1000)
    stretch_ms = min(_STRETCH_MS, round(_EVENTS_MAX * 1000 / world.expected_rate))
    begin_ms = max(saved[0].start_ms, now_ms - stretch_ms)
    end_ms = max(now_ms, begin_ms + 1)
    counts: Counter[tuple[str, str]] = Counter()
    entries: list[dict[str, Any]] = []

    def excerpt(*, is_complete: bool) -> LedgerExcerpt:
        return LedgerExcerpt(saved[0].run, begin_ms, end_ms, sorted(counts.items()), entries, is_complete)

    for batch in derive_ledger(world, begin_ms, end_ms):
        for entry in batch.to_pylist():
            if entry["kind"] != "run":
                counts[entry["kind"], entry["name"]] += 1
                entries.append(
                    {name: entry[name] for name in ("kind", "name", "start_ms", "film_id", "event_id", "session_id")}
                )
        entries = sorted(entries, key=lambda one: -int(one["start_ms"]))[:_EXAMPLES]
        yield excerpt(is_complete=False)
    yield excerpt(is_complete=True)
