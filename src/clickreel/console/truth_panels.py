"""Two panels of Quality: how much the stream looks like people, and what is true of it and cannot be read off it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from nicegui import ui

from clickreel.console.context import ConsoleContext
from clickreel.console.markup import button, card, explain, link, table, tag
from clickreel.console.run_apart import run_apart
from clickreel.errors import ClickreelError, UsageError
from clickreel.foreign_text import printable
from clickreel.profile import Profile
from clickreel.timespec import format_instant

if TYPE_CHECKING:
    from clickreel.audit.realism import RealismResult, Scorecard

_MEANINGS = {
    "burst": "a film that goes viral, or is in the news",
    "launch": "a film that comes out, or comes back",
    "removal": "a film that is away",
    "ranker": "the recommender that ranks the lists",
    "random_list": "a list in random order, for unbiased evaluation",
    "flaw": "an event that is delivered wrongly on purpose",
    "bot": "a session of a machine",
    "monster": "a session that goes on and on",
}


class RealismPanel:
    """The scorecard, made when somebody asks for it."""

    def __init__(self, context: ConsoleContext) -> None:
        self._context = context
        with card("Realism of the stream"):
            ui.label(
                "24 tests against published figures. They read all rows and take a minute of processor time, so it is yours to begin."
            ).classes("note")
            with ui.element("div").classes("row-of"):
                button("Score the tables", lambda: self._score(anyway=False))
                self._anyway = button("Score them anyway, small as they are", lambda: self._score(anyway=True))
                self._anyway.set_visibility(False)
            self._said = ui.label("").classes("note").props('role="status"')
            self._rows = ui.element("div")

    async def _score(self, *, anyway: bool) -> None:
        self._said.set_text("scoring; you may go elsewhere, and the console keeps up …")
        try:
            found = await run_apart(
                score_tables, self._context.profile, self._context.topic, self._context.home, anyway
            )
        except UsageError as exc:
            self._said.set_text(explain(exc))
            self._anyway.set_visibility(True)
        except ClickreelError as exc:
            self._said.set_text(explain(exc))
        except ModuleNotFoundError as exc:
            self._said.set_text(f"{exc.name} is missing here: pip install 'clickreel[realism]'")
        else:
            self._said.set_text(found.summary)
            self._rows.clear()
            with self._rows:
                table(("", "test", "figure", "value", "band", "verdict", "against"), found.rows, numeric=frozenset({3}))


@dataclass(frozen=True, slots=True)
class ScoreTable:
    """A scorecard as it is shown.

    Attributes:
        summary: In a line.
        rows: One a figure: test, its name, figure, value, band, verdict, source.
    """

    summary: str
    rows: list[tuple[str, ...]]


def score_tables(profile: Profile, topic: str, home: Path, anyway: bool) -> ScoreTable:
    """Score the landed stream of a topic; needs the extra ``realism``.

    Args:
        profile: Where ClickHouse is.
        topic: The topic.
        home: Where the runs are saved.
        anyway: Score a stream that is too small to be judged.

    Raises:
        UsageError: The stream is too small to be judged.
    """
    from clickreel.audit.realism import MinimumSize, score
    from clickreel.audit.realism.sources import WAREHOUSE, columns_of
    from clickreel.audit.realism.world_columns import ledger_of_saved_run

    columns = columns_of(WAREHOUSE, profile, topic)
    saved = ledger_of_saved_run(home, topic, columns)
    floor = MinimumSize(0, 0, 0) if anyway else None
    found = score(columns, ledger=saved[1] if saved else None, floor=floor)
    return ScoreTable(_summary(found), [row for result in found.results for row in _figures(result)])


def _summary(found: Scorecard) -> str:
    return (
        f"{found.summary()}: {found.events:,} events of {found.users:,} people, {found.films:,} films, {found.days:.1f} days; "
        "[A] is an assumption, no published figure stands behind the band"
    )


def _figures(result: RealismResult) -> Iterable[tuple[str, ...]]:
    for place, band in enumerate(result.test.bands):
        value = result.found.values.get(band.name)
        verdict = "" if value is None or not band.judged else "✓ inside" if band.holds(value) else "✗ outside"
        shown = "not measured" if value is None else f"{value:.4g}"
        first = (result.test.id, result.test.name) if place == 0 else ("", "")
        yield (*first, band.name, shown, band.text(), verdict, result.test.source if place == 0 else "")


class LedgerPanel:
    """What the simulator did on purpose, made again from the seed."""

    def __init__(self, context: ConsoleContext) -> None:
        self._ledger, self._shown = context.ledger(), 0
        with card("The ledger: what is true of the stream and cannot be read off it"):
            self._said = ui.label("being made again from the seed …").classes("note").props('role="status"')
            self._body = ui.element("div").classes("stack")
            with ui.element("div").classes("row-of"):
                button("Make it again up to now", lambda: self._ledger.refresh(at_once=True))
        self._ledger.refresh()
        ui.timer(0.5, self._tick)

    def _tick(self) -> None:
        if self._ledger.version == self._shown:
            return
        self._shown = self._ledger.version
        found = self._ledger.excerpt
        if self._ledger.error or found is None:
            self._said.set_text(
                self._ledger.error or "No run was produced from here, so nothing is known of the stream's truth."
            )
            return
        rest = "" if found.is_complete else "; the lists in random order are still being made"
        self._said.set_text(
            f"run {printable(found.run)}, {format_instant(found.begin_ms)[:19]} to {format_instant(found.end_ms)[:19]} UTC,"
            f" made again from its seed{rest}"
        )
        self._body.clear()
        with self._body:
            counts = [(kind, name, f"{count:,}", _MEANINGS.get(kind, "")) for (kind, name), count in found.counts]
            table(("kind", "which", "entries", "meaning"), counts, numeric=frozenset({2}))
            if found.entries:
                with ui.element("details"):
                    tag("summary", f"The newest {len(found.entries)}")
                    _show_entries(found.entries)


def _show_entries(entries: list[dict[str, Any]]) -> None:
    with ui.element("ul").classes("parts"):
        for one in entries:
            with ui.element("li"):
                ui.label(f"{format_instant(int(one['start_ms']))} UTC").classes("mono")
                ui.label(f"{one['kind']}: {one['name']}").classes("badge")
                for name in ("event_id", "session_id", "film_id"):
                    if one[name] is not None:
                        link(str(one[name]), f"/id?{urlencode({'q': one[name]})}", classes="link mono")
