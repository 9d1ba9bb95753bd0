"""How sides are measured against each other: turn by turn in one run, each warmed up, and a side that fails stops nobody else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from clickreel.bench.ratios import spread


@dataclass
class Turns:
    """What the turns gave.

    Attributes:
        rates: By side: one rate a turn, all sides in the same order; only of sides that never failed.
        failed: By side that failed: why, in a line.
    """

    rates: dict[str, list[float]] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    def ratios(self, ours: str, theirs: str) -> dict[str, float] | None:
        """Median, least and greatest of our rate over theirs, turn by turn; ``None`` when one of the two failed."""
        if ours not in self.rates or theirs not in self.rates:
            return None
        return spread([a / b for a, b in zip(self.rates[ours], self.rates[theirs], strict=True)])


def take_turns(sides: Mapping[str, Callable[[], float]], turns: int) -> Turns:
    """Measure the sides in turn, so that what else the machine does falls on all of them alike.

    Args:
        sides: Each measures itself once and returns its rate. The first call of each is its warm-up and does not count.
        turns: How often each is measured.
    """
    out = Turns({name: [] for name in sides})
    for turn in range(turns + 1):
        for name, measure in sides.items():
            if name in out.failed:
                continue
            try:
                rate = measure()
            except Exception as exc:  # noqa: BLE001 - whatever it is, the others are still to be measured
                out.failed[name] = f"{type(exc).__name__}: {exc}".splitlines()[0][:200]
                del out.rates[name]
            else:
                if turn:
                    out.rates[name].append(rate)
    return out
