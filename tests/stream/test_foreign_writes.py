"""Records of others between our own: another run's are nobody's harm, our own run's are."""

from __future__ import annotations

import pytest

from clickreel.simulate.settings import WorldSettings
from clickreel.simulate.world import World
from clickreel.stream.foreign_writes import ForeignWriteDetector
from clickreel.stream.memory import MemoryBroker
from clickreel.stream.producer_lease import SecondWriterError
from tests.stream.expected import first

T0 = 1_764_000_000_000
OURS = World(WorldSettings(seed=7, rate=10.0))
THEIRS = World(WorldSettings(seed=9, rate=10.0))


class Hand:
    """Writes values one after the other, as we or as somebody else."""

    def __init__(self) -> None:
        self.broker = MemoryBroker()
        self.broker.create("t", 1, 1, {})
        self.others = ForeignWriteDetector(self.broker, "t", OURS, [0], 0)
        self._ours = self.broker.writer("t", self.others.on_acknowledged)
        self._values = {world.run: [value for _, value in first(world, 1, T0, 60)[0]] for world in (OURS, THEIRS)}

    def ours(self, n: int) -> None:
        """We write n more."""
        self._put(self._ours, self._values[OURS.run], n)

    def other(self, world: World, n: int) -> None:
        """Somebody else writes n of a run."""
        self._put(self.broker.writer("t", lambda *_: None), self._values[world.run], n)

    @staticmethod
    def _put(writer: object, values: list[bytes | None], n: int) -> None:
        for _ in range(n):
            writer.send(0, [b"k"], [values.pop(0) or b""], [T0])  # type: ignore[attr-defined]
            writer.flush(1)  # type: ignore[attr-defined]


def test_another_run_may_write_between_and_between_again() -> None:
    """What we wrote without a gap between two gaps is ours too."""
    hand = Hand()
    for mine, foreign in ((3, 2), (4, 0), (2, 1), (5, 7), (1, 0)):
        hand.ours(mine)
        hand.other(THEIRS, foreign)
    hand.ours(1)
    hand.others.check(5_000)
    hand.ours(2)
    hand.other(THEIRS, 1)
    hand.ours(2)
    hand.others.check(9_000)


def test_one_record_of_our_run_that_is_not_from_us_is_enough() -> None:
    """Among many of another run's."""
    hand = Hand()
    hand.ours(5)
    hand.other(THEIRS, 9)
    hand.ours(5)
    hand.other(OURS, 1)
    hand.other(THEIRS, 9)
    hand.ours(1)
    with pytest.raises(SecondWriterError, match="holds 1 record of it between offsets 5 and 29"):
        hand.others.check(5_000)


def test_it_is_looked_at_seldom_once_there_is_no_reason_for_suspicion() -> None:
    """Two runs that share a topic for hours do not read each other's records all the time."""
    hand = Hand()
    hand.ours(1)
    hand.other(THEIRS, 1)
    hand.ours(1)
    hand.others.check(100_000)
    hand.ours(1)
    hand.other(OURS, 1)
    hand.ours(1)
    hand.others.check(105_000)
    with pytest.raises(SecondWriterError):
        hand.others.check(111_000)


def test_copies_of_what_is_there_already_are_no_second_writer() -> None:
    """Somebody tries a client with a message of ours; a second writer's records are new."""
    hand = Hand()
    copied = [value or b"" for _, value in first(OURS, 1, T0, 60)[0]][:3]
    hand.ours(10)
    writer = hand.broker.writer("t", lambda *_: None)
    writer.send(0, [b"k"] * 3, copied, [T0] * 3)
    writer.send(0, [None], [copied[0].replace(b'"page":', b'"page": ')], [T0])
    writer.flush(1)
    hand.ours(5)
    hand.others.check(5_000)
    hand.other(OURS, 1)
    hand.ours(1)
    with pytest.raises(SecondWriterError, match="holds 1 record of it"):
        hand.others.check(9_000)
