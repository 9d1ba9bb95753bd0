"""Event ids that look random and can be read back.

A UUID of version 4 leaves 122 bits free. They hold ``run_tag (32) | ts_ms (42) | user (32) | ordinal (16)``, scrambled by a keyed permutation:
a Feistel network over two halves of 61 bits (Luby, Rackoff 1988: four rounds of a good round function cannot be told from chance by looking),
whose round function is the 64-bit finaliser of :mod:`clickreel.simulate.draws`. The key is the product's, not the run's: whoever holds an id
and clickreel can name its run, its time and its user, with no list of runs. It hides nothing from an adversary and is not meant to.
"""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clickreel.errors import UsageError
from clickreel.simulate.draws import U64, mix, mix1

_HALF = (1 << 61) - 1
# "clickreel" in ASCII, hashed: nothing up the sleeve. Changing one makes every id ever written unreadable.
_ROUNDS = tuple(mix1(int.from_bytes(b"clickree", "big") + 0x6C * n) for n in range(4))

TS_MS_LIMIT = 1 << 42  # the year 2109
ORDINALS_PER_SESSION = 1 << 12
SESSIONS_PER_DAY = 1 << 4


@dataclass(frozen=True, slots=True)
class EventPosition:
    """Where an event stands.

    Attributes:
        run_tag: The 32 bits that stand for the run's name.
        ts_ms: Event time, milliseconds since the Unix epoch.
        user: User number n of ``u_<n>``.
        ordinal: Place in the user's day: ``session_of_day * 4096 + event_of_session``.
    """

    run_tag: int
    ts_ms: int
    user: int
    ordinal: int

    @property
    def session_of_day(self) -> int:
        """Which of the user's sessions of that day, from 0."""
        return self.ordinal // ORDINALS_PER_SESSION

    @property
    def event_of_session(self) -> int:
        """Which event of that session, from 0."""
        return self.ordinal % ORDINALS_PER_SESSION


def _round(half: U64, key: int) -> U64:
    return mix(half + np.uint64(key)) & np.uint64(_HALF)


def make(
    run_tag: int, ts_ms: NDArray[np.int64], user: NDArray[np.uint32], ordinal: NDArray[np.uint16]
) -> tuple[U64, U64]:
    """The ids of many events, as upper and lower 64 bits.

    Args:
        run_tag: 32 bits of the run.
        ts_ms: Event times, in [0, 2**42).
        user: User numbers.
        ordinal: Places in the users' days.
    """
    assert 0 <= run_tag < 1 << 32
    ts = ts_ms.astype(np.uint64)
    left = (ts >> np.uint64(13)) | np.uint64(run_tag << 29)
    right = ((ts & np.uint64(0x1FFF)) << np.uint64(48)) | (user.astype(np.uint64) << np.uint64(16))
    right |= ordinal
    for key in _ROUNDS:
        left, right = right, left ^ _round(right, key)
    hi60 = left >> np.uint64(1)
    hi = ((hi60 >> np.uint64(12)) << np.uint64(16)) | np.uint64(0x4000) | (hi60 & np.uint64(0xFFF))
    lo = ((left & np.uint64(1)) << np.uint64(61)) | right | np.uint64(1 << 63)
    return hi, lo


def read(hi: U64, lo: U64) -> tuple[NDArray[np.uint32], NDArray[np.int64], NDArray[np.uint32], NDArray[np.uint16]]:
    """Run tags, event times, users and ordinals of ids; the inverse of :func:`make`.

    Bits that were never made by :func:`make` give places that are nobody's: compare the run tag before believing the rest.
    """
    left = ((hi >> np.uint64(16)) << np.uint64(13)) | ((hi & np.uint64(0xFFF)) << np.uint64(1))
    left |= (lo >> np.uint64(61)) & np.uint64(1)
    right = lo & np.uint64(_HALF)
    for key in reversed(_ROUNDS):
        left, right = right ^ _round(left, key), left
    run_tag = (left >> np.uint64(29)).astype(np.uint32)
    ts_ms = (((left & np.uint64((1 << 29) - 1)) << np.uint64(13)) | (right >> np.uint64(48))).astype(np.int64)
    user = ((right >> np.uint64(16)) & np.uint64(0xFFFFFFFF)).astype(np.uint32)
    return run_tag, ts_ms, user, (right & np.uint64(0xFFFF)).astype(np.uint16)


def run_tag(run: str) -> int:
    """The 32 bits that stand for a run's name in its event ids."""
    return int.from_bytes(hashlib.sha256(run.encode()).digest()[:4], "big")


def explain(event_id: str | uuid.UUID) -> EventPosition:
    """Where the event with this id stands.

    Raises:
        UsageError: The text is not a UUID of version 4.
    """
    try:
        value = event_id if isinstance(event_id, uuid.UUID) else uuid.UUID(event_id)
    except ValueError:
        value = uuid.UUID(int=0)
    if value.version != 4:
        raise UsageError(
            f"{str(event_id)!r} is not an event id",
            hint="an event id is a UUID of version 4, like 7d9f2c1a-3b5e-4f60-8a1b-2c3d4e5f6071",
        )
    hi, lo = (np.array([half], np.uint64) for half in divmod(value.int, 1 << 64))
    return EventPosition(*(int(column[0]) for column in read(hi, lo)))
