"""The proof that nothing was lost or doubled, carried on while somebody looks at it."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from clickreel.audit.regenerate import ExpectedRun
from clickreel.audit.verification import VerificationReport
from clickreel.audit.verify import verification
from clickreel.console.markup import explain
from clickreel.errors import ClickreelError, UsageError
from clickreel.profile import Profile
from clickreel.stream.saved_runs import latest_run

# Nobody has asked for so long: the thread ends, and the next viewer begins a new one from where it stood.
_UNWATCHED_S = 30.0
# After a round the thread rests for so many times as long as the round took, so that a proof takes at most a fifth of a processor; not
# longer than the last: the first round reads the whole topic, and the ones after it only what has come since.
_REST_FACTOR = 4.0
_REST_S = (3.0, 12.0)


class LiveProof:
    """An incremental verification on a thread of its own.

    Attributes:
        report: The last report; ``None`` before the first.
        proven_ms: The instant up to which it holds, milliseconds since 1970.
        error: Why there is none, or none newer; empty when there is.
    """

    def __init__(self, profile: Profile, topic: str, home: Path) -> None:
        self.report: VerificationReport | None = None
        self.proven_ms = 0
        self.error = ""
        self._profile, self._topic, self._home = profile, topic, home
        self._watched = 0.0
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()

    def watch(self) -> None:
        """Say that somebody looks."""
        self._watched = time.monotonic()
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._run, name="proof", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """End it after the round that runs."""
        self._stop.set()

    def summary(self) -> str:
        """The verdict in a line."""
        if self.report is None:
            return self.error or "the proof is being made"
        sides = self.report.partitions
        wrong = sum(one.wrong + one.out_of_place + one.extra for one in sides)
        other = f", {wrong:,} wrong" if wrong else ""
        lost, doubled = sum(one.missing for one in sides), sum(one.doubled for one in sides)
        return f"lost {lost:,}, doubled {doubled:,}{other}, proven up to {self._until()} UTC"

    def into_topic(self) -> str:
        """The verdict on the way from the simulator to Kafka; empty when there is none."""
        if self.report is None or not self.report.run:
            return ""
        sides = self.report.partitions
        lost = sum(one.missing - one.rows_missing for one in sides)
        return _verdict(lost, sum(one.doubled - one.rows_doubled for one in sides), self._until())

    def into_table(self) -> str:
        """The verdict on the way from Kafka to ClickHouse; empty when there is none."""
        if self.report is None:
            return ""
        sides = self.report.partitions
        lost = sum(one.rows_missing for one in sides)
        return _verdict(lost, sum(one.rows_doubled for one in sides), self._until())

    def _until(self) -> str:
        return time.strftime("%H:%M:%S", time.gmtime(self.proven_ms / 1000))

    def _run(self) -> None:
        try:
            proof = verification(self._profile, self._topic, self._expected())
            while not self._stop.is_set() and time.monotonic() - self._watched < _UNWATCHED_S:
                began, cut_ms = time.monotonic(), round(time.time() * 1000)
                self.report = proof.advance(wait_s=15)
                self.proven_ms, self.error = cut_ms, ""
                self._stop.wait(min(max(_REST_S[0], _REST_FACTOR * (time.monotonic() - began)), _REST_S[1]))
        except ClickreelError as exc:
            self.error = explain(exc)

    def _expected(self) -> ExpectedRun | None:
        """The run that was produced from here last; without one Kafka is compared with ClickHouse only."""
        try:
            saved = latest_run(self._home, self._topic)
        except UsageError:
            return None
        return ExpectedRun(saved.world(), saved.start_ms, None, None, saved.partitions)


def _verdict(lost: int, doubled: int, until: str) -> str:
    return f"{'✓' if lost == doubled == 0 else '✗'} lost {lost:,}, doubled {doubled:,}, proven up to {until}"
