"""``python -m tests.soak.simulate``: SHA-256 of five million events, for workers, block sizes and restarts.

Prints one line a way of reading the same 28 days of 20,000 people, each with the digest of all columns of all deliveries; ends with 0 when all digests are equal.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import fields

import numpy as np

from clickreel.events import Deliveries
from clickreel.simulate import parallel
from clickreel.simulate.settings import WorldSettings
from clickreel.simulate.world import World

DAY_MS = 86_400_000
START_MS = 20_458 * DAY_MS  # 2026-01-05
SPAN = (START_MS, START_MS + 28 * DAY_MS)


class Digest:
    """SHA-256 of each column, whatever the cut into parts."""

    def __init__(self) -> None:
        self._sums: dict[str, hashlib._Hash] = {}
        self.events = 0

    def add(self, part: Deliveries) -> None:
        """The next part."""
        self.events += len(part)
        for owner in (part, part.events):
            for field in fields(owner):
                if field.name != "events":
                    column = np.ascontiguousarray(getattr(owner, field.name)).data
                    self._sums.setdefault(field.name, hashlib.sha256()).update(column)

    def text(self) -> str:
        """One digest of them all."""
        return hashlib.sha256("".join(s.hexdigest() for _, s in sorted(self._sums.items())).encode()).hexdigest()


def in_steps(world: World, step_ms: int) -> Iterable[Deliveries]:
    """In sequence, so many milliseconds at a time."""
    cursor = world.cursor(SPAN[0])
    for end in range(SPAN[0] + step_ms, SPAN[1] + step_ms, step_ms):
        yield cursor.advance(min(end, SPAN[1]))


def restarted(settings: WorldSettings, at_ms: int) -> Iterable[Deliveries]:
    """In sequence, by two worlds: the second begins where the first was killed."""
    yield World(settings).cursor(SPAN[0]).advance(at_ms)
    yield World(settings).cursor(at_ms).advance(SPAN[1])


def whole(part: Deliveries) -> Deliveries:
    """A block as it is."""
    return part


def main() -> int:
    """Read the world in all ways and compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--flaws", default="late=2%,out_of_order=1%,duplicate=0.5%,malformed=0.1%")
    options = parser.parse_args()
    sys.stdout.write(f"seed {options.seed}\n")
    settings = WorldSettings(users=20_000, seed=options.seed, flaws=options.flaws)
    world, rng = World(settings), random.Random(options.seed)
    ways: dict[str, Callable[[], Iterable[Deliveries]]] = {
        "a day at a time": lambda: in_steps(world, DAY_MS),
        "73 minutes at a time": lambda: in_steps(world, 73 * 60_000),
    }
    for workers in (1, 2, 4, 8):
        ways[f"{workers} workers"] = lambda w=workers: (part for _, part in parallel.each(world, SPAN, whole, w))  # type: ignore[misc]
    for _ in range(3):
        at = rng.randrange(*SPAN)
        ways[f"killed at {at}"] = lambda at=at: restarted(settings, at)  # type: ignore[misc]
    found = set()
    for name, way in ways.items():
        begun, digest = time.monotonic(), Digest()
        for part in way():
            digest.add(part)
        found.add(digest.text())
        sys.stdout.write(f"{digest.text()[:16]} {digest.events:,} events {time.monotonic() - begun:6.1f} s  {name}\n")
        sys.stdout.flush()
    sys.stdout.write("equal\n" if len(found) == 1 else "DIFFERENT\n")
    return 0 if len(found) == 1 else 1


if __name__ == "__main__":
    sys.exit(main())
