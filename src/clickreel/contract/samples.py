"""Random messages that keep the contract: the whole range of every column, not a world. For tests, benchmarks and other systems' tests.

People, sessions and taste are the business of :mod:`clickreel.simulate`; here the columns are independent of one another.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from clickreel.contract.bounds import COLUMNS
from clickreel.contract.vocabulary import FLAWS
from clickreel.events import Deliveries, Events


def block(rows: int, seed: int = 0, flaw: str | None = "none") -> Deliveries:
    """A block of random deliveries in which every bound of the schema is reached.

    Args:
        rows: How many.
        seed: Equal seeds give equal blocks.
        flaw: The flaw of all rows, or None for a random one in each.
    """
    random = np.random.default_rng(seed)

    def numbers(column: str) -> NDArray[np.int64]:
        _, low, high, _, _ = COLUMNS[column]
        if high < 100:  # the code of a word
            return random.integers(low, high + 1, rows)
        # As many numbers of one digit as of ten.
        return np.clip(10 ** random.uniform(0, len(str(high)), rows), low, high).astype(np.int64)

    def bits(width: int) -> NDArray[np.uint64]:
        return random.integers(0, 1 << width, rows, dtype=np.uint64)

    _, first_ms, last_ms, _, _ = COLUMNS["ts_ms"]
    events = Events(
        ts_ms=random.integers(first_ms, last_ms + 1, rows),
        user=numbers("user").astype(np.uint32),
        ordinal=np.zeros(rows, np.uint16),
        session=bits(32).astype(np.uint32),
        film=numbers("film").astype(np.int32),
        event_type=numbers("event_type").astype(np.uint8),
        page=numbers("page").astype(np.uint8),
        position=numbers("position").astype(np.int16),
        device=numbers("device").astype(np.uint8),
        referrer=numbers("referrer").astype(np.uint8),
    )
    id_hi, id_lo, variant = bits(64), bits(64), bits(32).astype(np.uint32)
    # Drawn last: blocks that differ in the flaw alone are the same events.
    flaws = random.integers(0, len(FLAWS), rows) if flaw is None else np.full(rows, FLAWS.index(flaw))
    return Deliveries(events, id_hi, id_lo, deliver_ms=events.ts_ms, flaw=flaws.astype(np.uint8), variant=variant)
