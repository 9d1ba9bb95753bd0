"""Soak of the producer: ``kill -9`` at random instants of one run, then the proof that the topic holds exactly that run.

``make soak-producer`` kills 200 times while 2 million events are written to a real Kafka; ``ARGS="--rounds 20 --events 200000"`` makes it
smaller, ``--seed`` repeats the dice of an earlier soak, ``--flaws`` says what is doubled, swapped and broken on the way. Exit code 0 when each
expected event is there once and in its place.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import subprocess
import sys
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clickreel.profile import Profile
from clickreel.simulate.settings import WorldSettings
from clickreel.simulate.world import World
from clickreel.stream.broker import Broker
from clickreel.stream.cluster import Cluster
from clickreel.stream.encoded_batch import encode_batch
from clickreel.stream.tail import event_ids
from clickreel.stream.topic_admin import ensure_topic
from clickreel.stream.topic_settings import TopicSettings
from tests.stream.expected import collect_ranges

T0 = 1_764_000_000_000
_RATE = 25.0
# A fifth of the kills fall into the start (lock, look at the topic), the rest into the writing, from its first record on.
_EARLY_SHARE = 0.2
_EARLY_S = 3.0
_WORKING_S = 1.2  # mean time a process gets to write, by which the speed is chosen


@dataclass(frozen=True)
class Proof:
    """What the topic holds, against what it must hold.

    Attributes:
        expected: Records that the run delivers.
        present: Records found.
        missing: Expected ones that are not there.
        doubled: Records more than expected, of the same bytes.
        moved: Partitions whose order differs.
        ids: Distinct event ids that were read back.
        kills: How often the producer was killed, and how often after it had written its first record.
    """

    expected: int
    present: int
    missing: int
    doubled: int
    moved: int
    ids: int
    kills: tuple[int, int]

    @property
    def ok(self) -> bool:
        """Whether the topic holds exactly the run."""
        return self.expected == self.present and not (self.missing or self.doubled or self.moved)


def soak(bootstrap: str, folder: Path, *, rounds: int, events: int, seed: int, flaws: str = "") -> Proof:
    """Kill the producer ``rounds`` times while it writes ``events``, let it finish, and look.

    Args:
        bootstrap: A real Kafka.
        folder: For the profile, the home and the log.
        rounds: Kills.
        events: The run's total.
        seed: Of the instants and of the world.
        flaws: As of ``--flaws``.
    """
    topic = f"soak-{uuid.uuid4().hex[:8]}"
    profile = folder / "client.properties"
    profile.write_text(f"bootstrap.servers={bootstrap}\n", encoding="utf-8")
    broker = Cluster(Profile(kafka={"bootstrap.servers": bootstrap}))
    ensure_topic(broker, TopicSettings(name=topic, partitions=6, retention="forever"))
    world = World(WorldSettings(seed=seed % 1000, rate=_RATE, flaws=flaws, run=topic))
    # Half of the events are left for the end, so that a busy machine does not run out of events before it runs out of kills.
    speed = events / (2 * rounds * _WORKING_S) / _RATE
    command = [
        *(sys.executable, "-m", "clickreel", "produce", f"--topic={topic}", f"--profile={profile}", f"--run={topic}"),
        *(
            f"--rate={_RATE}",
            f"--seed={seed % 1000}",
            f"--count={events}",
            f"--from={T0}",
            f"--flaws={flaws}",
            "--json",
        ),
    ]
    # On the loopback a request arrives within milliseconds of its sender's end; the wait that a network needs would be most of the soak.
    environment = {**os.environ, "CLICKREEL_HOME": str(folder), "CLICKREEL_PRODUCER_LATE_REQUEST_S": "0.5"}
    dice = random.Random(seed)
    kills = working = 0
    with (folder / "producer.log").open("wb") as log:

        def start(*more: str) -> subprocess.Popen[bytes]:
            return subprocess.Popen([*command, *more], stdout=log, stderr=log, env=environment)

        while kills < rounds:
            before = held(broker, topic)
            process = start(f"--speed={speed}")
            if _survives(process, dice, lambda before=before: held(broker, topic) > before):  # type: ignore[misc]
                break  # all events are written
            kills += 1
            working += held(broker, topic) > before
        last = start()
        last.wait()
        if last.returncode:
            raise SystemExit(f"the producer failed: {(folder / 'producer.log').read_text()[-2000:]}")
    return prove(broker, topic, world, events, (kills, working))


def _survives(process: subprocess.Popen[bytes], dice: random.Random, writes: Callable[[], bool]) -> bool:
    """Kill the process at a random instant; True when it had ended before."""
    early, delay_s = dice.random() < _EARLY_SHARE, dice.random()
    deadline = time.monotonic() + (_EARLY_S * delay_s if early else 60)
    while process.poll() is None and time.monotonic() < deadline:
        if not early and writes():
            early, deadline = True, time.monotonic() + 2 * _WORKING_S * delay_s
        time.sleep(0.01)
    ended = process.poll() is not None
    process.kill()
    process.wait()
    return ended and process.returncode == 0


def held(broker: Broker, topic: str) -> int:
    """How many records the topic holds."""
    return sum(b.high - b.low for b in broker.bounds(topic))


def prove(broker: Broker, topic: str, world: World, events: int, kills: tuple[int, int]) -> Proof:
    """Compare a topic, record by record, with the first ``events`` deliveries of a world."""
    partitions = len(broker.bounds(topic))
    wanted = _wanted(world, partitions, events)
    spans = {p: (b.low, b.high) for p, b in enumerate(broker.bounds(topic))}
    found: dict[int, NDArray[np.int64]] = {}
    ids: set[int] = set()
    for p, span in spans.items():
        records = collect_ranges(broker, topic, {p: span})[p]
        found[p] = np.array([hash((r.key, r.value)) for r in records], np.int64)
        known, hi, lo = event_ids([r.value for r in records])
        ids.update((int(h) << 64) | int(low) for h, low in zip(hi[known], lo[known], strict=True))
    missing = doubled = moved = 0
    for p in range(partitions):
        if np.array_equal(wanted[p], found[p]):
            continue
        moved += 1
        want, have = Counter(wanted[p].tolist()), Counter(found[p].tolist())
        missing += (want - have).total()
        doubled += (have - want).total()
    expected, present = sum(map(len, wanted)), sum(map(len, found.values()))
    return Proof(expected, present, missing, doubled, moved, len(ids), kills)


def _wanted(world: World, partitions: int, events: int) -> list[NDArray[np.int64]]:
    """By partition, what stands for key and value of each record, in order."""
    parts: list[list[NDArray[np.int64]]] = [[] for _ in range(partitions)]
    cursor, left = world.cursor(T0), events
    while left:
        start = cursor.position_ms
        deliveries = cursor.advance(start + 3_600_000)
        found = encode_batch(deliveries.take(slice(0, left)), start, start + 3_600_000, partitions)
        left -= len(found)
        for p in range(partitions):
            keys, values = found.take(found.rows(p))
            parts[p].append(np.array([hash(pair) for pair in zip(keys, values, strict=True)], np.int64))
    return [np.concatenate(part) for part in parts]


def main() -> int:
    """Run the soak on a Kafka of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--events", type=int, default=2_000_000)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 31))
    parser.add_argument("--flaws", default="out_of_order=1%,duplicate=1%,malformed=0.5%")
    parser.add_argument("--bootstrap", help="A Kafka that runs; by default one is started.")
    options = parser.parse_args()
    sys.stderr.write(f"seed {options.seed}: {options.rounds} kills, {options.events:,} events\n")
    begun = time.monotonic()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="clickreel-soak-")))
        proof = soak(
            options.bootstrap or _kafka(stack, folder),
            folder,
            rounds=options.rounds,
            events=options.events,
            seed=options.seed,
            flaws=options.flaws,
        )
    sys.stdout.write(f"{proof}\n{'exactly the run' if proof.ok else 'NOT THE RUN'}, {time.monotonic() - begun:.0f} s\n")
    return 0 if proof.ok else 6


def _kafka(stack: contextlib.ExitStack, folder: Path) -> str:
    from clickreel.local.home import Home
    from clickreel.local.stack import Stack

    local = Stack(Home(folder / "kafka"))
    stack.callback(local.down)
    local.ensure(["kafka"], attached=True)
    return local.address("kafka")


if __name__ == "__main__":
    sys.exit(main())
