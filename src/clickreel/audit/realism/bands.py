"""What a test is: measures with their bands and a source, and the verdict over them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clickreel.audit.realism.columns import Columns, EventTable
    from clickreel.audit.realism.ledger_reader import Ledger


def ratio(part: float, whole: float) -> float:
    """One number over another; NaN where the other is zero: the figure does not exist."""
    return float(part) / float(whole) if whole else math.nan


@dataclass(frozen=True, slots=True)
class Band:
    """One measured figure and the span it must lie in.

    Attributes:
        name: What is measured, as it is printed.
        low: Smallest allowed value, inclusive; None is open.
        high: Largest allowed value, inclusive; None is open. Both open: told, not judged.
        assumed: No published figure stands behind the band ([A]).
    """

    name: str
    low: float | None = None
    high: float | None = None
    assumed: bool = False

    @property
    def judged(self) -> bool:
        """Whether the band can be missed at all."""
        return self.low is not None or self.high is not None

    def holds(self, value: float) -> bool:
        """Whether the value lies inside; a value that does not exist (NaN) lies outside."""
        if math.isnan(value):
            return not self.judged
        return (self.low is None or value >= self.low) and (self.high is None or value <= self.high)

    def text(self) -> str:
        """The band as a person reads it: ``3.5-8``, ``>= 0.99``, ``<= 0.01``, ``told``, with [A] where assumed."""
        mark = " [A]" if self.assumed else ""
        if self.low is None and self.high is None:
            return "told"
        if self.low is None:
            return f"<= {self.high:g}{mark}"
        if self.high is None:
            return f">= {self.low:g}{mark}"
        joint = " to " if self.low < 0 else "-"
        return f"{self.low:g}{joint}{self.high:g}{mark}"


@dataclass(frozen=True, slots=True)
class Evidence:
    """All a test may look at.

    Attributes:
        columns: The stream as delivered.
        timeline: The stream sorted, each event once.
        ledger: The run's truth; None when nobody gave one.
        years: Year of release by ``film_id``, where it is known.
    """

    columns: Columns
    timeline: EventTable
    ledger: Ledger | None = None
    years: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Measurement:
    """What a test's function measured.

    Attributes:
        values: Figure by band name. A band without a figure was not measured; NaN was measured and does not exist.
        note: One line for the reader: what was assumed, sampled or left out.
    """

    values: Mapping[str, float]
    note: str = ""


@dataclass(frozen=True, slots=True)
class RealismTest:
    """One test of realism.

    Attributes:
        id: ``R1`` to ``R24``.
        name: A few words.
        bands: The figures and where they must lie.
        source: The publication or platform figure behind the bands.
        function: Measures them.
    """

    # Pytest would otherwise collect the class where a test module imports it.
    __test__ = False

    id: str
    name: str
    bands: tuple[Band, ...]
    source: str
    function: Callable[[Evidence], Measurement]


@dataclass(frozen=True, slots=True)
class RealismResult:
    """A test's outcome.

    Attributes:
        test: The test.
        found: What it measured.
        seconds: How long it took.
    """

    test: RealismTest
    found: Measurement
    seconds: float = field(default=0.0, compare=False)

    @property
    def ok(self) -> bool | None:
        """True when every measured figure lies in its band, False when one falls out, None when nothing was measured."""
        judged = [
            band.holds(self.found.values[band.name])
            for band in self.test.bands
            if band.judged and band.name in self.found.values
        ]
        return all(judged) if judged else None

    def outside(self) -> tuple[str, ...]:
        """Names of the figures that fall out."""
        return tuple(
            band.name
            for band in self.test.bands
            if band.name in self.found.values and not band.holds(self.found.values[band.name])
        )

    def as_json(self) -> dict[str, Any]:
        """The row of ``clickreel realism --json``; a figure that was not measured or does not exist is null."""
        values = {band.name: self.found.values.get(band.name) for band in self.test.bands}
        return {
            "id": self.test.id,
            "name": self.test.name,
            "value": {name: None if value is None or math.isnan(value) else value for name, value in values.items()},
            "band": {band.name: [band.low, band.high] for band in self.test.bands},
            "ok": self.ok,
            "source": self.test.source,
            "assumed": [band.name for band in self.test.bands if band.assumed],
            "outside": list(self.outside()),
            "note": self.found.note,
            "seconds": round(self.seconds, 3),
        }
