"""Rounds of ``kill -9`` on ingest, ClickHouse and Kafka at random instants, and the proof after each: nothing lost, nothing doubled.

The supervisor restarts what was killed; materialized views of users are on the table, one of which throws; a second ingest is started at
random; and a reader compares all the while what the answers' projections count with what the rows say.

``make soak-ingest ARGS="--rounds 300 --events 3000000"``, or ``python -m tests.soak.ingest``. The whole stack is real. The run has every
flaw; producing goes on through the kills. After each round all sides are held against one another from where the round before ended,
and at the end once more from the beginning. The seed is printed: it fixes the order of the kills and the stream, not the scheduler.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
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
from tests.warehouse.projections import PROJECTIONS, statements

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
# The supervisor restarts after 1, 2, 4 and more seconds; a soak kills more often than that lasts.
SUPERVISOR_S = 5.0
# A part that was restarted answers within this, also on a busy machine.
ANSWER_S = 120.0
SECOND_INGEST_SHARE = 0.3
# What users have on the table: a view that counts, and one that throws at every second film.
VIEWS = (
    "CREATE TABLE IF NOT EXISTS by_film (film_id Int32, n UInt64) ENGINE = SummingMergeTree ORDER BY film_id",
    (
        "CREATE MATERIALIZED VIEW IF NOT EXISTS count_films TO by_film AS "
        "SELECT film_id, count() AS n FROM dvd_clicks_landing GROUP BY film_id"
    ),
    "CREATE TABLE IF NOT EXISTS broken (n UInt8) ENGINE = MergeTree ORDER BY n",
    (
        "CREATE MATERIALIZED VIEW IF NOT EXISTS break_it TO broken AS "
        "SELECT throwIf(film_id % 2 = 0, 'a view of a user') AS n FROM dvd_clicks_landing"
    ),
)


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
    supervised: int = 0
    second_ingests: int = 0
    refused: int = 0
    compared: int = 0
    wrong: int = 0
    unanswered: int = 0
    seconds: float = 0.0
    verify_s: float = 0.0

    def take(self, report: VerificationReport) -> None:
        """Add what a verification found."""
        self.rows = report.rows
        self.dead = sum(one.dead for one in report.partitions)
        self.missing = sum(one.missing for one in report.partitions)
        self.doubled = sum(one.doubled for one in report.partitions)


class Reader:
    """Asks for all minutes, hours, films and sessions while everything is killed, from the rows, from a projection and from the rows again.

    Where the rows were the same twice, nothing landed in between, and the projection must say the same.

    Args:
        profile: The stack's.
        figures: Where it counts.
    """

    def __init__(self, profile: Profile, figures: Figures) -> None:
        self._profile, self._figures = profile, figures
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def close(self) -> None:
        """Stop reading."""
        self._stop.set()
        self._thread.join()

    def _read(self) -> None:
        for name in itertools.cycle(PROJECTIONS):
            if self._stop.wait(0.05):
                return
            try:
                client = connect(self._profile)
                from_rows, from_projection = (
                    f"SELECT count(), sum(cityHash64(*)) FROM ({sql})" for sql in statements(name)
                )
                before = client.rows(from_rows, optimize_use_projections=0)
                counted = client.rows(from_projection)
                after = client.rows(from_rows, optimize_use_projections=0)
                client.close()
            except ClickreelError:
                self._figures.unanswered += 1  # ClickHouse is dead at the moment
                continue
            if before == after and before != [(0, 0)]:
                self._figures.compared += 1
                self._figures.wrong += counted != before


class Soak:
    """The stack, and what is done to it.

    Args:
        folder: Where it lives.
        seed: Of the kills and of the run.
        home: The home of the stack.
    """

    def __init__(self, folder: Path, seed: int) -> None:
        self.random = random.Random(seed)
        self.home = Home(folder)
        self.stack = Stack(self.home)
        self.stack.ensure(["kafka", "clickhouse"], attached=True)
        self.profile = profile(self.home)
        Cluster(self.profile).create(TOPIC, PARTITIONS, 1, {"retention.ms": "-1"})
        client = connect(self.profile)
        migrate.migrate(client)
        for statement in VIEWS:
            client.command(statement)
        client.close()
        self.run = ExpectedRun(World(WorldSettings(seed=seed, rate=RATE, flaws=FLAWS)), START_MS)
        self.feed = Feed(self.profile, self.run)
        self.verification = verification(self.profile, TOPIC, self.run)
        self.figures = Figures(seed)
        self.killed: dict[str, int] = {}
        self.stack.ensure(["ingest"], attached=True)
        self.reader = Reader(self.profile, self.figures)

    def start_second_ingest(self) -> subprocess.Popen[bytes]:
        """What a user does who does not know that the stack lands already: it is refused, or lands while the first one is dead."""
        self.figures.second_ingests += 1
        with (self.home.path / "second-ingest.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "clickreel", "ingest", "--until-caught-up", "--metrics-port", "-1"],
                env={**os.environ, "CLICKREEL_HOME": str(self.home.path)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def kill(self, victim: str) -> None:
        """``kill -9``; one that is dead already and waits for its restart cannot be killed."""
        record = self.stack.record(victim)
        if record is not None and record.alive():
            self.figures.kills[victim] += 1
            self.killed[victim] = record.pid
            os.kill(record.pid, signal.SIGKILL)

    def restart(self, victim: str) -> None:
        """Wait until the supervisor has restarted what was killed; ask for it when its pauses have grown long."""
        deadline = time.monotonic() + SUPERVISOR_S
        while time.monotonic() < deadline:
            record = self.stack.record(victim)
            if record is not None and record.pid != self.killed.get(victim) and record.alive():
                self.figures.supervised += 1
                break
            time.sleep(0.05)
        deadline = time.monotonic() + ANSWER_S
        while True:
            try:
                self.stack.ensure([victim], attached=True)
            except ClickreelError:
                # A second ingest that took the place of the dead one holds it until it has caught up.
                if time.monotonic() > deadline:
                    self.tell_logs()
                    raise
                time.sleep(0.5)
            else:
                return

    def round(self, events: int) -> VerificationReport:
        """Events, one to three kills among them, and the proof."""
        sender = threading.Thread(target=self.feed.send, args=(events,))
        sender.start()
        second = self.start_second_ingest() if self.random.random() < SECOND_INGEST_SHARE else None
        victims = self.random.choices(VICTIMS, k=self.random.choice((1, 1, 1, 2, 3)))
        for victim in dict.fromkeys(victims):
            time.sleep(self.random.uniform(0, LONGEST_WAIT_S))
            self.kill(victim)
        sender.join()
        for victim in dict.fromkeys(victims):
            self.restart(victim)
        self.feed.flush()
        if second is not None:
            code = second.wait(180)
            assert code in {0, 1}, f"the second ingest ended with {code}"
            self.figures.refused += code
        began = time.monotonic()
        report = self.verify()
        self.figures.verify_s += time.monotonic() - began
        self.figures.rounds += 1
        self.figures.events = self.feed.sent
        self.figures.take(report)
        return report

    def verify(self) -> VerificationReport:
        """The proof, from where the last one ended; a connection that a kill has cut is opened again."""
        deadline = time.monotonic() + ANSWER_S
        while True:
            try:
                return self.verification.advance(wait_s=30)
            except VerificationError:
                raise
            except ClickreelError:
                if time.monotonic() > deadline:
                    self.tell_logs()
                    raise
                time.sleep(0.2)

    def tell_logs(self) -> None:
        """The ends of the parts' logs, before their folder is deleted."""
        for log in sorted(self.home.path.glob("**/*.log")):
            tell(f"{log.name}:\n{log.read_text(errors='replace')[-4000:]}")

    def close(self) -> None:
        """End everything."""
        self.reader.close()
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
    parser.add_argument(
        "--minutes", type=float, default=600.0, help="end before the next round after so long, with the whole proof"
    )
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**31))
    options = parser.parse_args()
    tell(f"seed {options.seed}")
    began = time.monotonic()
    with soaking(options.seed) as soak:
        for number in range(1, options.rounds + 1):
            if time.monotonic() - began > 60 * options.minutes:
                tell(f"{options.minutes} minutes are over after {number - 1} of {options.rounds} rounds")
                break
            report = soak.round(options.events // options.rounds)
            figures = soak.figures
            figures.seconds = time.monotonic() - began
            if not report.ok or figures.wrong:
                tell(json.dumps({"seed": options.seed, "round": number, "examples": report.examples}, default=vars))
                soak.tell_logs()
                return 6
            if number % 10 == 0 or number == options.rounds:
                tell(f"{number} rounds, {figures.rows:,} rows, {figures.seconds:.0f} s, {dict(figures.kills)}")
        whole = verification(soak.profile, TOPIC, soak.run).advance(wait_s=30)
        figures.take(whole)
        figures.seconds = time.monotonic() - began
        tell(json.dumps(vars(figures)))
        return 0 if whole.ok and whole.rows == figures.events and not figures.wrong else 6


if __name__ == "__main__":
    sys.exit(main())
