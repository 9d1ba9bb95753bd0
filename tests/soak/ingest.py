"""Rounds of ``kill -9`` on ingest, ClickHouse and Kafka at random instants, and the proof after each: nothing lost, nothing doubled.

``make soak-ingest ARGS="--rounds 300 --events 3000000"``, or ``python -m tests.soak.ingest``. The whole stack is real. The run has every
flaw; producing goes on through the kills. After each round all sides are held against one another from where the round before ended,
and at the end once more from the beginning. The seed is printed: it fixes the order of the kills and the stream, not the scheduler.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from confluent_kafka import Producer

from clickreel.audit.regenerate import ExpectedRun
from clickreel.audit.verification import VerificationReport
from clickreel.audit.verify import verification
from clickreel.errors import ClickreelError, VerificationError
from clickreel.local import ports
from clickreel.local.home import Home
from clickreel.local.local_profile import profile
from clickreel.local.stack import Stack
from clickreel.profile import Profile
from clickreel.simulate.settings import WorldSettings
from clickreel.simulate.world import World
from clickreel.stream.cluster import Cluster
from clickreel.stream.encoded_batch import encode_batch
from clickreel.warehouse import migrate
from clickreel.warehouse.client import connect

TOPIC = "dvd_clicks"
PARTITIONS = 6
# Of the timeline, which is produced as fast as it goes. A late event may be hours late, so a run begins by making the hours before it.
RATE = 20.0
START_MS = 1_767_225_600_000
FLAWS = "late=1%,late_batch=0.2%,out_of_order=1%,duplicate=1%,malformed=1%"
# Kafka takes five seconds to come back, the others one: it is killed half as often.
VICTIMS = ("ingest", "ingest", "clickhouse", "clickhouse", "kafka")
# A round's events are landed in about half a second; kills fall into this time and a little after it.
LONGEST_WAIT_S = 0.8


class Feed:
    """The producer: the run's deliveries, in order, through every kill of the broker."""

    def __init__(self, profile: Profile, run: ExpectedRun) -> None:
        self._cursor = run.world.cursor(run.start_ms)
        self._at = run.start_ms
        self._producer = Producer(
            {
                **profile.producer_config(),
                "enable.gapless.guarantee": True,
                "message.timeout.ms": 0,
                "linger.ms": 5,
                "reconnect.backoff.max.ms": 200,
                "queue.buffering.max.messages": 1_000_000,
                "log_level": 0,
            }
        )
        self.sent = 0

    def send(self, events: int) -> None:
        """Hand over the next events, about so many."""
        end = self._at + int(events * 1000 / RATE)
        deliveries = self._cursor.advance(end)
        made = encode_batch(deliveries, self._at, end, PARTITIONS)
        keys, values = made.encoded.keys.to_pylist(), made.encoded.values.to_pylist()
        for key, value, partition in zip(keys, values, made.partition.tolist(), strict=True):
            self._producer.produce(TOPIC, value, key, partition)
        self._producer.poll(0)
        self._at = end
        self.sent += len(values)

    def flush(self) -> None:
        """Wait until all is stored."""
        left = self._producer.flush(60)
        assert left == 0, f"{left} records are not stored after a minute"


@dataclass
class Figures:
    """What a soak did."""

    seed: int
    rounds: int = 0
    events: int = 0
    rows: int = 0
    dead: int = 0
    missing: int = 0
    doubled: int = 0
    kills: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    verify_s: float = 0.0

    def take(self, report: VerificationReport) -> None:
        """Add what a verification found."""
        self.rows = report.rows
        self.dead = sum(one.dead for one in report.partitions)
        self.missing = sum(one.missing for one in report.partitions)
        self.doubled = sum(one.doubled for one in report.partitions)


class Soak:
    """The stack, and what is done to it.

    Args:
        folder: DeadLetterFilter it lives.
        seed: Of the kills and of the run.
        home: The home of the stack.
    """

    def __init__(self, folder: Path, seed: int) -> None:
        self.random = random.Random(seed)
        self.home = Home(folder)
        self.stack = Stack(self.home)
        self.stack.ensure(["kafka", "clickhouse"], attached=True)
        self.addresses = addresses = self.stack.addresses()
        self.profile = profile(self.home)
        self.file = folder / "client.properties"
        self.file.write_text(
            f"bootstrap.servers={addresses['kafka']}\nclickhouse.url={addresses['clickhouse']}\n"
            f"clickhouse.password={self.home.token()}\n",
            encoding="utf-8",
        )
        Cluster(self.profile).create(TOPIC, PARTITIONS, 1, {"retention.ms": "-1"})
        migrate.migrate(connect(self.profile))
        self.run = ExpectedRun(World(WorldSettings(seed=seed, rate=RATE, flaws=FLAWS)), START_MS)
        self.feed = Feed(self.profile, self.run)
        self.verification = verification(self.profile, TOPIC, self.run)
        self.figures = Figures(seed)
        self.ingest: subprocess.Popen[bytes] | None = None
        self.start_ingest()

    def start_ingest(self) -> None:
        """Start ingest as users do."""
        with (self.home.path / "ingest.log").open("ab") as log:
            self.ingest = subprocess.Popen(
                [sys.executable, "-m", "clickreel", "ingest", "--profile", str(self.file), "--metrics-port", "-1"],
                env={**os.environ, "CLICKREEL_HOME": str(self.home.path)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def kill(self, victim: str) -> None:
        """``kill -9``."""
        self.figures.kills[victim] += 1
        if victim == "ingest":
            assert self.ingest is not None
            self.ingest.kill()
            self.ingest.wait()
            return
        record = self.stack.record(victim)
        assert record is not None
        os.kill(record.pid, signal.SIGKILL)

    def restart(self, victim: str) -> None:
        """Start again what was killed."""
        if victim == "ingest":
            self.start_ingest()
            return
        # A process of many threads is dead some 20 ms before its ports are free, and must come back at the same ones.
        taken = [port for name, port in self.home.read("ports.json").items() if name.startswith(victim)]
        deadline = time.monotonic() + 60
        while self.stack.running(victim) or not all(map(ports.free, taken)):
            assert time.monotonic() < deadline, f"{victim} outlives kill -9"
            time.sleep(0.02)
        self.stack.ensure([victim], attached=True)

    def round(self, events: int) -> VerificationReport:
        """Events, one to three kills among them, and the proof."""
        sender = threading.Thread(target=self.feed.send, args=(events,))
        sender.start()
        victims = self.random.choices(VICTIMS, k=self.random.choice((1, 1, 1, 2, 3)))
        for victim in dict.fromkeys(victims):
            time.sleep(self.random.uniform(0, LONGEST_WAIT_S))
            self.kill(victim)
        sender.join()
        for victim in dict.fromkeys(victims):
            self.restart(victim)
        self.feed.flush()
        began = time.monotonic()
        report = self.verify()
        self.figures.verify_s += time.monotonic() - began
        self.figures.rounds += 1
        self.figures.events = self.feed.sent
        self.figures.take(report)
        return report

    def verify(self) -> VerificationReport:
        """The proof, from where the last one ended; a connection that a kill has cut is opened again."""
        for left in reversed(range(20)):
            try:
                return self.verification.advance(wait_s=30)
            except VerificationError:
                raise
            except ClickreelError:
                if not left:
                    raise
                time.sleep(0.2)
        raise AssertionError

    def close(self) -> None:
        """End everything."""
        if self.ingest is not None:
            self.ingest.kill()
            self.ingest.wait()
        self.stack.down()


@contextlib.contextmanager
def soaking(seed: int) -> Iterator[Soak]:
    """A soak in a folder that is deleted after it."""
    with tempfile.TemporaryDirectory(prefix="clickreel-soak-") as folder:
        soak = Soak(Path(folder), seed)
        try:
            yield soak
        finally:
            soak.close()


def tell(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> int:
    """Soak; 0 when every round is without a difference, 6 when one is not."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**31))
    options = parser.parse_args()
    tell(f"seed {options.seed}")
    began = time.monotonic()
    with soaking(options.seed) as soak:
        for number in range(1, options.rounds + 1):
            report = soak.round(options.events // options.rounds)
            figures = soak.figures
            figures.seconds = time.monotonic() - began
            if not report.ok:
                tell(json.dumps({"seed": options.seed, "round": number, "examples": report.examples}, default=vars))
                tell((soak.home.path / "ingest.log").read_text(errors="replace")[-4000:])
                tell(f"ingest: {soak.ingest and soak.ingest.poll()}")
                return 6
            if number % 10 == 0 or number == options.rounds:
                tell(f"{number} rounds, {figures.rows:,} rows, {figures.seconds:.0f} s, {dict(figures.kills)}")
        whole = verification(soak.profile, TOPIC, soak.run).advance(wait_s=30)
        figures.take(whole)
        figures.seconds = time.monotonic() - began
        tell(json.dumps(vars(figures)))
        return 0 if whole.ok and whole.rows == figures.events else 6


if __name__ == "__main__":
    sys.exit(main())
