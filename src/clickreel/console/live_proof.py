"""The proof that nothing was lost or doubled, carried on while somebody looks at it."""

from __future__ import annotations

import multiprocessing
import threading
import time
from multiprocessing.connection import Connection
from pathlib import Path

from clickreel.audit.verification import VerificationReport
from clickreel.console.markup import explain
from clickreel.console.proof_process import ProofRound, answer_rounds
from clickreel.profile import Profile

# Nobody has asked for so long: no further round begins. After the second time the process ends and its memory is free; the next viewer's
# proof then begins with the first record again.
_UNWATCHED_S = 30.0
_ABANDONED_S = 600.0
# After a round the proof rests for so many times as long as the round took, so that it takes at most a fifth of a processor; not longer
# than the last: the first round reads the whole topic, and the ones after it only what has come since.
_REST_FACTOR = 4.0
_REST_S = (3.0, 12.0)
# A process that could not verify (Kafka is away) is replaced after this rest.
_RETRY_S = 10.0


class LiveProof:
    """An incremental verification in a process of its own, which lives as long as somebody looks.

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
        """End it, and its process."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(5)

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
        """Ask for round after round; replace a process that ended."""
        while not self._stop.is_set() and self._unwatched_s() < _ABANDONED_S:
            # Not fork: the console has threads, which a forked child would find half way through.
            spawn = multiprocessing.get_context("spawn")
            ours, theirs = spawn.Pipe()
            given = (self._profile, self._topic, self._home, theirs)
            child = spawn.Process(target=answer_rounds, args=given, name="proof", daemon=True)
            child.start()
            theirs.close()
            try:
                self._ask(ours)
            finally:
                ours.close()
                child.join()
            self._stop.wait(_RETRY_S)

    def _ask(self, pipe: Connection) -> None:
        """Rounds of one process, until it ends, nobody looks any more, or the console closes."""
        while not self._stop.is_set() and self._unwatched_s() < _ABANDONED_S:
            if self._unwatched_s() > _UNWATCHED_S:
                self._stop.wait(1)
                continue
            try:
                pipe.send("round")
                while not pipe.poll(1):
                    if self._stop.is_set():
                        return
                found: ProofRound = pipe.recv()
            except (EOFError, OSError):
                self.error = "the proof's process ended; a new one begins"
                return
            if found.report is None:
                self.error = explain(found.error) if found.error else ""
                return
            self.report, self.proven_ms, self.error = found.report, found.proven_ms, ""
            self._stop.wait(min(max(_REST_S[0], _REST_FACTOR * found.seconds), _REST_S[1]))

    def _unwatched_s(self) -> float:
        return time.monotonic() - self._watched


def _verdict(lost: int, doubled: int, until: str) -> str:
    return f"{'✓' if lost == doubled == 0 else '✗'} lost {lost:,}, doubled {doubled:,}, proven up to {until}"
