"""Worlds scored without a file, and the medians over several seeds."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from clickreel.audit.realism.bands import Band, RealismTest
from clickreel.audit.realism.columns import DAY_MS, Columns
from clickreel.audit.realism.ledger_reader import Ledger, of_table
from clickreel.audit.realism.suite import Scorecard
from clickreel.contract.vocabulary import FLAWS, MALFORMED
from clickreel.errors import ClickreelError, UsageError
from clickreel.simulate.ledger import derive_ledger

if TYPE_CHECKING:
    from clickreel.events import Deliveries
    from clickreel.simulate.world import World

# A Monday, so that four weeks hold each weekday four times and whole.
START_MS = 20_458 * DAY_MS  # 2026-01-05
MARKS = ("<!-- medians: begin -->", "<!-- medians: end -->")
_STEP_MS = DAY_MS
_FIRST_MALFORMED = FLAWS.index(MALFORMED[0])


def columns_of_world(world: World, start_ms: int, end_ms: int) -> Columns:
    """What a world delivers in [start_ms, end_ms), as a reader of its topic would have it; malformed messages are only counted."""
    return Columns.concat([_columns(block) for block in _blocks(world, start_ms, end_ms)])


def ledger_of_world(world: World, start_ms: int, end_ms: int) -> Ledger:
    """The world's own ledger of the same stretch."""
    return of_table(pa.Table.from_batches(derive_ledger(world, start_ms, end_ms)))


def film_years(world: World) -> dict[int, int]:
    """Year of release of the world's films, where it is known."""
    catalogue = world.catalogue
    return {film: year for film, year in zip(catalogue.film_id.tolist(), catalogue.year.tolist(), strict=True) if year}


def ledger_of_saved_run(home: Path, topic: str, columns: Columns) -> tuple[str, Ledger] | None:
    """The ledger of the run that was produced from here into a topic last, made again from its settings, over the time of a stream.

    Its flaws are left out: which of them have been delivered already cannot be told from the newest event, since late ones are under way.

    Args:
        home: The home of the local stack, where the producer writes down its runs.
        topic: The topic.
        columns: The stream.

    Returns:
        The run's name and its ledger; None when no run was produced from here, or the stream is empty.
    """
    from clickreel.stream.saved_runs import list_runs

    saved = list_runs(home, topic)
    if len(columns) == 0 or not saved:
        return None
    ledger = ledger_of_world(saved[0].world(), int(columns.ts_ms.min()), int(columns.ts_ms.max()) + 1)
    return saved[0].run, replace(ledger, flaws=None)


def _blocks(world: World, start_ms: int, end_ms: int) -> Iterator[Deliveries]:
    cursor = world.cursor(start_ms)
    for end in range(start_ms + _STEP_MS, end_ms + _STEP_MS, _STEP_MS):
        yield cursor.advance(min(end, end_ms))


def _columns(block: Deliveries) -> Columns:
    good = block.flaw < _FIRST_MALFORMED
    kept = block.take(good) if not good.all() else block
    names = ("ts_ms", "user", "session", "film", "event_type", "page", "position", "device", "referrer")
    return Columns(
        **{name: getattr(kept.events, name) for name in names},
        id_hi=kept.id_hi,
        id_lo=kept.id_lo,
        malformed=int(np.count_nonzero(~good)),
    )


@dataclass(frozen=True, slots=True)
class Medians:
    """The scores of several seeds.

    Attributes:
        seeds: The seeds.
        reports: One report a seed.
    """

    seeds: tuple[int, ...]
    reports: tuple[Scorecard, ...]

    @property
    def ok(self) -> bool:
        """Whether no test falls out for any seed."""
        return all(report.ok for report in self.reports)

    def tests(self) -> list[tuple[RealismTest, bool | None]]:
        """The tests with their verdict over all seeds: None where no seed measured anything."""
        verdicts = []
        for place, result in enumerate(self.reports[0].results):
            each = [report.results[place].ok for report in self.reports]
            verdicts.append(
                (result.test, None if None in each and False not in each else all(ok is not False for ok in each))
            )
        return verdicts

    def values(self, test: RealismTest, band: Band) -> list[float]:
        """A figure's values, one a seed that measured it."""
        return [
            result.found.values[band.name]
            for report in self.reports
            for result in report.results
            if result.test.id == test.id and band.name in result.found.values
        ]

    def as_json(self) -> dict[str, Any]:
        """Medians in the shape of a single score, with each seed's values beside them."""
        rows = []
        for test, ok in self.tests():
            values = {band.name: self.values(test, band) for band in test.bands}
            rows.append(
                {
                    "id": test.id,
                    "name": test.name,
                    "value": {name: _finite(median(found)) if found else None for name, found in values.items()},
                    "band": {band.name: [band.low, band.high] for band in test.bands},
                    "ok": ok,
                    "source": test.source,
                    "seeds": {name: [_finite(value) for value in found] for name, found in values.items()},
                }
            )
        return {"ok": self.ok, "seeds": list(self.seeds), "events": [r.events for r in self.reports], "tests": rows}

    def rows(self) -> list[tuple[str, str, str, str, str, str]]:
        """Test, figure, median, span, band, and how many seeds lie inside."""
        rows = []
        for test, _ in self.tests():
            for place, band in enumerate(test.bands):
                found = self.values(test, band)
                name = f"{test.id} {test.name}" if place == 0 else ""
                if not found:
                    rows.append((name, band.name, "not measured", "", band.text(), ""))
                    continue
                inside = f"{sum(map(band.holds, found))} of {len(found)}" if band.judged else ""
                span = f"{min(found):.3g} to {max(found):.3g}"
                rows.append((name, band.name, f"{median(found):.3g}", span, band.text(), inside))
        return rows

    def markdown(self, command: str) -> str:
        """The table for a document, with the command that makes it."""
        events = median(report.events for report in self.reports)
        head = (
            f"Made by `{command}`; seeds {', '.join(map(str, self.seeds))}; "
            f"{events / 1e6:.2f} M events, {self.reports[0].days:.0f} days, {self.reports[0].films:,} films (medians)."
        )
        lines = ["| test | figure | median | span over seeds | band | inside |", "|---|---|---:|---|---|---|"]
        lines += ["| " + " | ".join(cell.replace("|", "/") for cell in row) + " |" for row in self.rows()]
        return "\n".join([head, "", *lines])


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def seeds_of(text: str) -> tuple[int, ...]:
    """Seeds of ``1,2,3`` or ``1-5``.

    Raises:
        UsageError: It is neither.
    """
    seeds: list[int] = []
    try:
        for part in text.split(","):
            first, _, last = part.strip().partition("-")
            seeds += range(int(first), int(last or first) + 1)
    except ValueError:
        seeds = []
    if not seeds:
        raise UsageError(f"--seeds is {text!r}", hint="give seeds as 1,2,3 or 1-5")
    return tuple(seeds)


def write_between_marks(path: Path, text: str) -> None:
    """Put a text between the two marks of a document.

    Raises:
        UsageError: The file is absent or has no marks.
    """
    first, last = MARKS
    document = path.read_text(encoding="utf-8") if path.exists() else ""
    before, found, rest = document.partition(first)
    _, closed, after = rest.partition(last)
    if not (found and closed):
        raise UsageError(f"{path} has no place for the table", hint=f"write two lines into it: {first} and {last}")
    try:
        path.write_text(f"{before}{first}\n\n{text}\n\n{last}{after}", encoding="utf-8")
    except OSError as exc:
        raise ClickreelError(f"cannot write {path}: {exc.strerror}", hint="choose a file that can be written") from exc


def weeks(days: int, start_ms: int = START_MS) -> tuple[int, int]:
    """The stretch that is scored: so many days from the start."""
    return start_ms, start_ms + days * DAY_MS
