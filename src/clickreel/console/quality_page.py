"""Quality: the proof, the dead letters with their reasons, and how to make them events after a fix."""

from __future__ import annotations

from typing import Any

from nicegui import run, ui

from clickreel.audit.verification import VerificationReport
from clickreel.console.context import ConsoleContext
from clickreel.console.layout import PageState, page_frame
from clickreel.console.markup import button, card, explain, link, table
from clickreel.console.truth_panels import LedgerPanel, RealismPanel
from clickreel.contract import schema_registry
from clickreel.contract.schema_lookup import SchemaLookup
from clickreel.errors import ClickreelError
from clickreel.foreign_text import printable
from clickreel.ingest.dead_letters import (
    DeadLetter,
    DeadLetterFilter,
    ReplayReport,
    count_dead_letters,
    list_dead_letters,
    replay,
)
from clickreel.quantities import quantity

_SHOWN = 20


def register(context: ConsoleContext) -> None:
    """Add the page."""

    @ui.page("/quality")
    def quality() -> None:
        with page_frame(context, "/quality") as state:
            _Quality(context, state)


class _Quality:
    def __init__(self, context: ConsoleContext, state: PageState) -> None:
        self._context, self._state = context, state
        self._drawn = -1
        with card("Simulator = Kafka = ClickHouse, event by event"):
            self._verdict = ui.label("the proof is being made").classes("stat-value").props('aria-live="polite"')
            self._remark = ui.label(
                "The run is made again from its seed and compared with the topic and the table."
            ).classes("note")
            self._partitions = ui.element("div")
            self._flaws = ui.label("").classes("note")
        with card("Dead letters"):
            self._letters = ui.element("div").classes("stack")
            with self._letters:
                ui.label("reading …").classes("note")
            with ui.element("div").classes("row-of"):
                button("Refresh", self._load)
                button("What would a replay land?", lambda: self._replay(dry=True))
                if context.allow_writes:
                    button("Replay", lambda: self._replay(dry=False), classes="btn btn-main")
            self._replayed = ui.label("").classes("note").props('aria-live="polite"')
        LedgerPanel(context)
        RealismPanel(context)
        ui.timer(1.0, self._tick)
        ui.timer(0.05, self._load, once=True)

    def _tick(self) -> None:
        if self._state.is_hidden:
            return
        proof = self._context.proof()
        proof.watch()
        self._verdict.set_text(printable(proof.summary()))
        report = proof.report
        if report is None or proof.proven_ms == self._drawn:
            return
        self._drawn = proof.proven_ms
        self._verdict.classes(add="good" if report.ok else "bad", remove="bad" if report.ok else "good")
        whose = f"run {report.run}" if report.run else "a stream of somebody else's: Kafka and ClickHouse only"
        remarks = [*report.notes, *(str(one.get("text", "")) for one in report.examples[:3])]
        self._remark.set_text(printable("; ".join([f"{whose}, {quantity(report.rows, 'record')} compared", *remarks])))
        names = (
            "partition",
            "expected",
            "kafka",
            "landed",
            "missing",
            "doubled",
            "out_of_place",
            "wrong",
            "extra",
            "dead",
        )
        self._flaws.set_text(_flaws(report))
        self._partitions.clear()
        with self._partitions:
            table(
                [name.replace("_", " ") for name in names],
                [[f"{getattr(one, name):,}" for name in names] for one in report.partitions],
                numeric=frozenset(range(len(names))),
            )

    async def _load(self) -> None:
        try:
            found = await run.io_bound(_read, self._context)
        except ClickreelError as exc:
            self._state.error(explain(exc))
            return
        if found is None:
            return
        counts, letters = found
        self._letters.clear()
        with self._letters:
            if not counts:
                ui.label("None: every message keeps the contract.").classes("good")
                return
            table(
                ("error", "field", "rule", "messages", "first", "last"),
                [
                    [
                        printable(str(one[name])) if name != "count" else f"{one['count']:,}"
                        for name in ("error", "field", "rule", "count", "first", "last")
                    ]
                    for one in counts
                ],
                numeric=frozenset({3}),
            )
            for letter in letters:
                with ui.element("div").classes("row-of"):
                    place = f"{letter.partition}:{letter.offset}"
                    link(
                        f"partition {letter.partition}, offset {letter.offset:,}",
                        f"/messages?open={place}",
                        classes="link mono",
                    )
                    ui.label(printable(letter.reason[:300]))

    async def _replay(self, *, dry: bool) -> None:
        self._replayed.set_text("validating …")
        try:
            found = await run.io_bound(_replay, self._context, dry)
        except ClickreelError as exc:
            self._replayed.set_text(explain(exc))
            return
        if found is not None:
            verb = "would become events" if dry else "became events, each at its own offset"
            self._replayed.set_text(
                f"{found.looked:,} looked at: {found.landed:,} {verb}, {found.still_dead.total():,} are still dead"
            )
            await self._load()


def _flaws(report: VerificationReport) -> str:
    """The dead letters that the ledger wants, and those that landed."""
    wanted = [one for one in report.dead if one.expected is not None]
    if not wanted:
        return ""
    said = ", ".join(f"{one.field} {one.rule}: {one.expected:,} made, {one.landed:,} landed" for one in wanted)
    return printable(f"Messages that break the contract on purpose, by the ledger: {said}")


def _read(context: ConsoleContext) -> tuple[list[dict[str, Any]], list[DeadLetter]]:
    client, where = context.clickhouse(), DeadLetterFilter(context.topic)
    return count_dead_letters(client, where), list(list_dead_letters(client, where, limit=_SHOWN))


def _replay(context: ConsoleContext, dry: bool) -> ReplayReport:
    ask = schema_registry.connect(context.profile).by_id if context.profile.registry_url else None
    lookup = SchemaLookup(ask, context.topic)
    return replay(context.clickhouse(), DeadLetterFilter(context.topic), lookup, dry=dry or not context.allow_writes)
