"""The proof's own process: it takes memory and processor time that the pages must not wait for, and gives both back when it ends."""

from __future__ import annotations

import os
import queue
import signal
import threading
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from clickreel.audit.regenerate import ExpectedRun
from clickreel.audit.verification import VerificationReport
from clickreel.audit.verify import verification
from clickreel.console.run_apart import NICENESS
from clickreel.errors import ClickreelError, UsageError
from clickreel.profile import Profile
from clickreel.stream.saved_runs import SavedRun, latest_run

# How long ingest is waited for when it makes no progress, s.
_WAIT_S = 15.0


@dataclass(frozen=True, slots=True)
class ProofRound:
    """What one round found.

    Attributes:
        report: The report; ``None`` when the round failed.
        proven_ms: The instant up to which it holds, milliseconds since 1970.
        seconds: How long the round took.
        error: Why it failed.
    """

    report: VerificationReport | None
    proven_ms: int
    seconds: float
    error: ClickreelError | None = None


def answer_rounds(profile: Profile, topic: str, home: Path, pipe: Connection) -> None:
    """Run a round for each thing that the pipe brings, until its other end is closed, or a round fails.

    Args:
        profile: Where Kafka and ClickHouse are.
        topic: The topic.
        home: Where the runs are saved.
        pipe: Brings requests, takes a :class:`ProofRound` for each.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the console, which closes the pipe
    os.nice(NICENESS)
    requests: queue.SimpleQueue[object] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(pipe, requests), name="requests", daemon=True).start()
    began = time.monotonic()
    try:
        saved = _saved_run(home, topic)
        proof = verification(profile, topic, _expected(saved))
        while True:
            requests.get()
            newest = _saved_run(home, topic)
            if newest is not None and (saved is None or newest.run_tag != saved.run_tag):  # another run is streamed now
                saved, proof = newest, verification(profile, topic, _expected(newest))
            began, cut_ms = time.monotonic(), round(time.time() * 1000)
            report = proof.advance(wait_s=_WAIT_S)
            pipe.send(ProofRound(report, cut_ms, time.monotonic() - began))
    except ClickreelError as exc:
        pipe.send(ProofRound(None, 0, time.monotonic() - began, exc))


def _listen(pipe: Connection, requests: queue.SimpleQueue[object]) -> None:
    """End the process with its console, also in the middle of a round."""
    try:
        while True:
            requests.put(pipe.recv())
    except (EOFError, OSError):
        os._exit(0)


def _saved_run(home: Path, topic: str) -> SavedRun | None:
    """The run that was produced from here last."""
    try:
        return latest_run(home, topic)
    except UsageError:
        return None


def _expected(saved: SavedRun | None) -> ExpectedRun | None:
    """What the run puts into the topic; without one Kafka is compared with ClickHouse only."""
    return None if saved is None else ExpectedRun(saved.world(), saved.start_ms, None, None, saved.partitions)
