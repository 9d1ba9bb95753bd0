"""The tests in their order, and the score of a stream."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from clickreel.audit.realism import (
    appetite,
    click_sequences,
    hands,
    learnable,
    lives,
    sessions,
    traffic_rhythm,
    weather,
)
from clickreel.audit.realism import burst_detection as bursts
from clickreel.audit.realism import flaw_rates as flaws
from clickreel.audit.realism import popularity as films
from clickreel.audit.realism import user_skew as people
from clickreel.audit.realism.bands import Evidence, RealismResult, RealismTest
from clickreel.audit.realism.columns import Columns, timeline
from clickreel.audit.realism.ledger_reader import Ledger
from clickreel.errors import UsageError
from clickreel.quantities import quantity

MODULES = (
    sessions, people, films, traffic_rhythm, learnable, flaws, bursts,
    lives, click_sequences, hands, appetite, weather,
)  # fmt: skip
TESTS: tuple[RealismTest, ...] = tuple(
    sorted(
        (test for module in MODULES for test in module.TESTS),
        key=lambda test: int(test.id[1:]),
    )
)


@dataclass(frozen=True, slots=True)
class MinimumSize:
    """The least stream worth judging; below it the bands say nothing.

    Attributes:
        events: Events.
        days: Days from the first event to the last; two weeks hold each weekday twice.
        films: Different films. A catalogue of 1,000 shows a few less while some are not out yet.
    """

    events: int = 1_000_000
    days: float = 13.9
    films: int = 900


@dataclass(frozen=True, slots=True)
class Scorecard:
    """The score of a stream.

    Attributes:
        results: One result a test, in the order R1 to R24.
        events: Different events scored.
        users: Users among them.
        sessions: Sessions among them.
        films: Films among them.
        days: Days from the first event to the last.
    """

    results: tuple[RealismResult, ...]
    events: int
    users: int
    sessions: int
    films: int
    days: float

    @property
    def ok(self) -> bool:
        """Whether no test falls out; a test that could not be measured does not fall out."""
        return all(result.ok is not False for result in self.results)

    def summary(self) -> str:
        """How many of the measured tests hold, and which do not."""
        measured = [result for result in self.results if result.ok is not None]
        held = sum(result.ok is True for result in measured)
        out = fallen([self])
        return f"{held} of {len(measured)} inside" + (f", outside: {', '.join(out)}" if out else "")

    def as_json(self) -> dict[str, Any]:
        """The answer of ``clickreel realism --json``."""
        return {
            "ok": self.ok,
            "events": self.events,
            "users": self.users,
            "sessions": self.sessions,
            "films": self.films,
            "days": round(self.days, 3),
            "tests": [result.as_json() for result in self.results],
        }


def fallen(reports: Sequence[Scorecard]) -> list[str]:
    """Ids of the tests that fall out in any of the reports."""
    out = {result.test.id for report in reports for result in report.results if result.ok is False}
    return sorted(out, key=lambda name: int(name[1:]))


def evidence(
    columns: Columns,
    *,
    ledger: Ledger | None = None,
    floor: MinimumSize | None = None,
    years: Mapping[int, int] | None = None,
) -> Evidence:
    """Sort a stream for the tests, if it is worth judging.

    Args:
        columns: The stream as delivered.
        ledger: The run's truth; without it R11, R13 and parts of R6 and R21 are not measured.
        floor: The least stream worth judging.
        years: Year of release by ``film_id``.

    Raises:
        UsageError: The stream is smaller or shorter than the floor.
    """
    if len(columns) == 0:
        raise UsageError("the stream holds no valid event", hint="clickreel simulate --out events.parquet")
    line = timeline(columns)
    refuse_small(len(line), line.days, len(line.films), floor or MinimumSize())
    return Evidence(columns, line, ledger, years or {})


def judge(evidence_: Evidence, *, progress: Callable[[RealismTest], None] | None = None) -> Scorecard:
    """Run the tests.

    Args:
        evidence_: The stream, see :func:`evidence`.
        progress: Called with each test before it runs.
    """
    results = []
    for test in TESTS:
        if progress is not None:
            progress(test)
        started = time.perf_counter()
        found = test.function(evidence_)
        results.append(RealismResult(test, found, time.perf_counter() - started))
    line = evidence_.timeline
    return Scorecard(tuple(results), len(line), len(line.users), len(line.sessions), len(line.films), line.days)


def score(columns: Columns, *, ledger: Ledger | None = None, floor: MinimumSize | None = None) -> Scorecard:
    """:func:`evidence` and :func:`judge` in one."""
    return judge(evidence(columns, ledger=ledger, floor=floor))


def refuse_small(events: int, days: float, films_: int, floor: MinimumSize) -> None:
    """Raise in words when a stream is too small or too short to be judged."""
    wanted = f"at least {quantity(floor.events, 'event')} over {floor.days:g} days and {quantity(floor.films, 'film')}"
    if events < floor.events:
        what = quantity(events, "event")
    elif days < floor.days:
        what = f"{days:.1f} days"
    elif films_ < floor.films:
        what = quantity(films_, "film")
    else:
        return
    raise UsageError(
        f"too few to judge: {what} ({wanted})",
        hint="clickreel simulate --out events.parquet --from 28d, or --anyway",
    )
