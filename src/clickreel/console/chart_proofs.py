"""The proof of a chart: the same numbers from the run simulated again, from the raw rows, and as the chart has them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nicegui import ui

from clickreel.audit.answer_proof import AnswerProof, Ask, ProvedNumber, prove
from clickreel.audit.regenerate import ExpectedRun
from clickreel.console.context import ConsoleContext
from clickreel.console.markup import NOTHING, button, explain, table
from clickreel.console.run_apart import run_apart
from clickreel.errors import ClickreelError
from clickreel.foreign_text import printable
from clickreel.ingest.run_ingest import credentials
from clickreel.insight import charts
from clickreel.insight.film_trends import trends
from clickreel.insight.funnel import funnel
from clickreel.insight.recommend import Recommendation, film_of, for_film, for_user, user_of
from clickreel.insight.window import Window, window
from clickreel.profile import Profile
from clickreel.stream.saved_runs import latest_run
from clickreel.timespec import format_instant
from clickreel.warehouse.client import Client, connect

LEARNT_MINUTES = 7 * 1_440
"""Recommendations are learnt from so much."""

LIMIT = 10
"""How many films or categories a chart of the page shows."""

_DAY_MS = 86_400_000
# The newest events may still be on their way.
_LEFT_OUT_MS = 60_000
# A table of the numbers that is longer is read with `clickreel chart --prove`.
_SHOWN = 60


def recommend(client: Client, whom: str, span: Window) -> Recommendation:
    """What to watch next for a person (``u_10``) or after a film (its number, or a part of its title).

    Raises:
        UsageError: There is no such person or film.
    """
    return (
        for_user(client, user_of(whom), span)
        if whom.startswith("u_")
        else for_film(client, film_of(client, whom), span)
    )


@dataclass(frozen=True, slots=True)
class ChartQuestion:
    """What a panel of the dashboard asks.

    Attributes:
        query: Its statement in ``insight/sql``.
        minutes: The length of its window.
        whom: For whom films are recommended, where the answer is no chart but that.
    """

    query: str
    minutes: int
    whom: str = ""


def prove_chart(profile: Profile, topic: str, home: Path, question: ChartQuestion) -> AnswerProof:
    """Prove a chart of the dashboard over its window, the last minute left out.

    Args:
        profile: Where ClickHouse is.
        topic: The topic.
        home: Where the runs are saved.
        question: What it asks.

    Raises:
        UsageError: No run was produced from here, or it is too long to be simulated again.
    """
    saved, client = latest_run(home, topic), connect(profile)
    now_ms = round(time.time() * 1000)
    newest = window(client, question.minutes * 60_000, now_ms=now_ms)
    asked = window(client, question.minutes * 60_000, now_ms=now_ms, end_ms=newest.end_ms - _LEFT_OUT_MS)
    ask, before_ms = _question(question, asked)
    return prove(
        profile,
        ExpectedRun(saved.world(), saved.start_ms, None, None, saved.partitions),
        ask,
        begin_ms=asked.begin_ms - before_ms,
        end_ms=asked.end_ms,
        delivered_ms=newest.end_ms,
        credentials=credentials(profile),
    )


def _question(question: ChartQuestion, asked: Window) -> tuple[Ask, int]:
    """What the chart asks, and how much more than its window that reads: sessions that began before it, or the baseline of trends."""

    def ask(client: Client) -> Mapping[str, Any]:
        if question.whom:
            return recommend(client, question.whom, asked).as_json()
        if question.query == "people_per_minute":
            return trends(client, asked, limit=LIMIT).as_json()
        if question.query == "funnel":
            return funnel(client, asked).as_json()
        return charts.chart_named(question.query).answer(client, asked, limit=LIMIT).as_json()

    return ask, 10 * _DAY_MS if question.query == "people_per_minute" else _DAY_MS


class ChartProof:
    """A button that proves a chart, and what the proof says.

    Args:
        context: The console.
        title: The chart's title.
        query: Its statement in ``insight/sql``.
        minutes: Gives the length of the window when the button is pressed.
        whom: Gives for whom films are recommended, where that is what is proved.
    """

    def __init__(
        self,
        context: ConsoleContext,
        title: str,
        query: str,
        minutes: Callable[[], int],
        whom: Callable[[], str] = lambda: "",
    ) -> None:
        self._context, self._query, self._minutes, self._whom = context, query, minutes, whom
        self._button = button("Prove it", self._prove, classes="btn btn-small")
        self._button.props["aria-label"] = f"Prove {title}"
        self._said = ui.label("").classes("note").props('role="status"')
        self._numbers = ui.element("div").classes("proof-numbers")
        self._numbers.set_visibility(False)

    async def _prove(self) -> None:
        self._button.props("disabled")
        self._said.classes(remove="good bad")
        self._said.set_text("the run is simulated again and asked the same question …")
        context = self._context
        try:
            question = ChartQuestion(self._query, self._minutes(), self._whom())
            proof = await run_apart(prove_chart, context.profile, context.topic, context.home, question)
        except ClickreelError as exc:
            self._said.set_text(explain(exc))
        else:
            self._show(proof)
        finally:
            self._button.props(remove="disabled")

    def _show(self, proof: AnswerProof) -> None:
        differing = [one for one in proof.numbers if not one.ok]
        count = len(proof.numbers)
        verdict = (
            f"✓ {count:,} numbers, each equal" if proof.ok else f"✗ {len(differing):,} of {count:,} numbers differ"
        )
        foreign = f"; {proof.foreign:,} rows are of no event of this run" if proof.foreign else ""
        self._said.classes(add="good" if proof.ok else "bad")
        self._said.set_text(
            f"{verdict}: run {printable(proof.run)}, {proof.simulated:,} events simulated again, up to {format_instant(proof.end_ms)} UTC{foreign}"
        )
        self._numbers.clear()
        self._numbers.set_visibility(True)
        with self._numbers:
            rows = [_cells(one) for one in (differing or proof.numbers)[:_SHOWN]]
            table(("number", "simulated", "raw rows", "chart", ""), rows, numeric=frozenset({1, 2, 3}))


def _cells(one: ProvedNumber) -> tuple[str, ...]:
    values = (_value(value) for value in (one.truth, one.raw, one.answer))
    return (printable(one.name), *values, "✓ equal" if one.ok else "✗ differs")


def _value(value: object) -> str:
    if value is None:
        return NOTHING
    return f"{value:,.3f}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)
