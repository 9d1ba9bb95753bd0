"""Data contract: the schemas as they are registered, what differs between versions, and what the next version may be."""

from __future__ import annotations

import dataclasses
import difflib
import json
from dataclasses import dataclass, field
from typing import Any, cast, get_args
from urllib.parse import urlencode

from nicegui import run, ui

from clickreel.console.context import ConsoleContext
from clickreel.console.layout import page_frame
from clickreel.console.markup import NOTHING, button, card, choice, explain, link, table, tag, text_field, whole_number
from clickreel.contract import schema
from clickreel.contract.contract_page import rows
from clickreel.contract.diff import compare, why
from clickreel.contract.encode import encode
from clickreel.contract.evolve import CompatibilityVerdict, Edits, judge_evolution, propose
from clickreel.contract.publish import MODE, ours
from clickreel.contract.rules import schema_fault
from clickreel.contract.samples import block
from clickreel.contract.schema import Part, Schema
from clickreel.contract.schema_files import export
from clickreel.contract.schema_registry import MODES, connect
from clickreel.errors import ClickreelError, UsageError
from clickreel.foreign_text import printable

_EDITS = (
    ("add", "add a field", "rating:integer"),
    ("remove", "remove a field", "referrer"),
    ("word", "allow a further value", "device=tv"),
    ("drop_word", "forbid a value", "device=tablet"),
    ("set", "set a rule", "position.maximum=20"),
    ("unset", "remove a rule", "position.maximum"),
)
# A schema of more lines is compared field by field only.
_LINES_MAX = 2_000


def register(context: ConsoleContext) -> None:
    """Add the page."""

    @ui.page("/contract")
    def contract(topic: str = "", part: str = "value", version: str = "", against: str = "") -> None:
        name = topic or context.topic
        chosen = cast("Part", part if part in get_args(Part) else "value")
        with page_frame(context, "/contract", topic=name):
            screen = _SchemaScreen(context, name, chosen, whole_number(version, 0), whole_number(against, 0))
            ui.timer(0.01, screen.load, once=True)


@dataclass
class _Subject:
    """A subject as far as it could be read.

    Attributes:
        versions: Its versions, oldest first.
        mode: Its compatibility mode.
        source: Where they come from, in words.
        problem: Why not from the registry; empty when they do.
    """

    versions: list[Schema] = field(default_factory=list)
    mode: str = MODE
    source: str = ""
    problem: str = ""


def _read_subject(context: ConsoleContext, topic: str, part: Part) -> _Subject:
    name = schema.subject(part, topic)
    try:
        with connect(context.profile) as registry:
            numbers = registry.versions(name)
            found = [one for number in numbers if (one := registry.schema(name, number)) is not None]
            if found:
                return _Subject(found, registry.mode(name), f"the registry at {registry.url}")
            problem = f"{registry.url} has no subject {name}: clickreel contract register brings it there"
    except ClickreelError as exc:
        problem = explain(exc)
    packaged = [dataclasses.replace(one, subject=name) for one in schema.versions(part)]
    return _Subject(packaged, MODE, "this package", problem)


class _SchemaScreen:
    def __init__(self, context: ConsoleContext, topic: str, part: Part, version: int, against: int) -> None:
        self._context, self._topic, self._part = context, topic, part
        self._version, self._against = version, against
        self._edit, self._text, self._mode, self._draft = "add", "", MODE, ""
        self._body = ui.element("div").classes("stack")
        with self._body:
            ui.label("reading the registry …").classes("note")

    async def load(self) -> None:
        subject = await run.io_bound(_read_subject, self._context, self._topic, self._part)
        if subject is None:  # the page was closed meanwhile
            return
        self._body.clear()
        with self._body:
            self._show(subject)

    def _address(self, **changes: object) -> str:
        state = {"topic": self._topic, "part": self._part, "version": self._version, "against": self._against} | changes
        if state["topic"] == self._context.topic:
            del state["topic"]
        return f"/contract?{urlencode({name: value for name, value in state.items() if value})}"

    def _show(self, subject: _Subject) -> None:
        shown = next((one for one in subject.versions if one.version == self._version), subject.versions[-1])
        self._mode, self._draft = subject.mode, _pretty(shown)
        if subject.problem:
            ui.label(subject.problem).classes("banner").props('role="status"')
        self._show_versions(subject, shown)
        try:
            with card("Fields"):
                ui.label(printable(str(shown.body.get("description", "")))).classes("note")
                table(
                    ("field", "type", "rule", "meaning", "required"),
                    [
                        (*map(printable, (row.field, row.type, row.rule, row.meaning)), "yes" if row.required else "no")
                        for row in rows(shown)
                    ],
                    is_wordy=True,
                )
        except ClickreelError as exc:
            ui.label(explain(exc)).classes("bad")
        others = [one for one in subject.versions if one.version != shown.version]
        if others:
            former = next((one for one in others if one.version == self._against), others[-1])
            _show_difference(former, shown, subject.mode)
        self._show_evolution(shown)
        with ui.element("details").classes("card"):
            tag("summary", "The schema itself", classes="card-title")
            ui.label(printable(_pretty(shown), lines=True)).classes("mono pre")
        if self._part == "value" and self._topic == self._context.topic:
            _show_samples()

    def _show_versions(self, subject: _Subject, shown: Schema) -> None:
        with card(f"{printable(shown.subject)}, version {shown.version}"):
            with ui.element("div").classes("row-of"):
                for part in get_args(Part):
                    props = 'aria-current="true"' if part == self._part else ""
                    link(part, self._address(part=part, version=0, against=0), props=props)
                ui.element("div").classes("spacer")
                button("Export data contract", lambda: _download(shown, "data-contract"))
                button("Export schema", lambda: _download(shown, "schema"))
            with ui.element("div").classes("row-of"):
                ui.label(f"schema id {shown.id}" if shown.id is not None else "no schema id").classes("badge")
                ui.label(f"compatibility {printable(subject.mode)}").classes("badge")
                ui.label("JSON Schema").classes("badge")
                same = shown.rules == ours(self._part, self._topic).rules
                ui.label("✓ what clickreel writes" if same else "≠ not what clickreel writes").classes(
                    "badge badge-good" if same else "badge badge-warn"
                )
                ui.label(f"from {subject.source}").classes("note")
            with ui.element("div").classes("scroll-x"), ui.element("table").classes("tbl"):
                with ui.element("thead"), ui.element("tr"):
                    for name in ("version", "id", "fields", "about", "compare"):
                        tag("th", name, props='scope="col"')
                with ui.element("tbody"):
                    for one in reversed(subject.versions):
                        self._version_row(one, shown)

    def _version_row(self, one: Schema, shown: Schema) -> None:
        about = one.rules.get("description", "") if isinstance(one.rules, dict) else ""
        with ui.element("tr"):
            with ui.element("td"):
                link(f"v{one.version}", self._address(version=one.version, against=0), classes="link")
            tag("td", str(one.id) if one.id is not None else NOTHING)
            tag("td", f"{len(one.fields)}")
            tag("td", printable(str(about)))
            with ui.element("td"):
                if one.version == shown.version:
                    ui.label("shown")
                else:
                    link(
                        f"with v{shown.version}",
                        self._address(version=shown.version, against=one.version),
                        classes="link",
                    )

    def _show_evolution(self, shown: Schema) -> None:
        with card("Would the next version be accepted?"):
            ui.label("Nothing is registered by asking.").classes("note")
            with ui.element("div").classes("row-of"):
                kinds = [(name, words) for name, words, _ in _EDITS]
                choice("What to change", kinds, self._edit, self._choose_edit)
                self._field = text_field("The change", self._set_text, classes="field field-wide")
                self._field.props["placeholder"] = _EDITS[0][2]
                choice("Compatibility mode", [(one, one) for one in MODES], self._mode, self._set_mode)
                button("Would it be accepted?", lambda: self._ask(shown), classes="btn btn-main")
            with ui.element("details"):
                tag("summary", "Edit the whole schema instead")
                text_field("Schema", self._set_draft, value=self._draft, classes="editor", name="textarea")
                button("Would this schema be accepted?", lambda: self._ask_draft(shown), classes="btn btn-main")
            self._verdict = ui.element("div").props('aria-live="polite"').classes("stack")

    def _choose_edit(self, value: str) -> None:
        self._edit = value
        self._field.props["placeholder"] = next((sample for name, _, sample in _EDITS if name == value), "")
        self._field.update()

    def _set_text(self, value: str) -> None:
        self._text = value

    def _set_mode(self, value: str) -> None:
        self._mode = value if value in MODES else MODE

    def _set_draft(self, value: str) -> None:
        self._draft = value

    def _ask(self, shown: Schema) -> None:
        text = self._text.strip() or next(sample for name, _, sample in _EDITS if name == self._edit)
        try:
            given: dict[str, Any] = {name: (text,) if name == self._edit else () for name, _, _ in _EDITS}
            self._show_verdict(judge_evolution(shown, propose(shown, Edits(**given)), self._mode))
        except ClickreelError as exc:
            self._refuse(explain(exc))

    def _ask_draft(self, shown: Schema) -> None:
        new = dataclasses.replace(shown, version=shown.version + 1, text=self._draft, id=None)
        try:
            fault = schema_fault(new.body)
            if fault:
                raise UsageError(f"this is no JSON Schema: {fault}")
            self._show_verdict(judge_evolution(shown, new, self._mode))
        except ClickreelError as exc:
            self._refuse(explain(exc))

    def _refuse(self, text: str) -> None:
        self._verdict.clear()
        with self._verdict:
            ui.label(text).classes("bad")

    def _show_verdict(self, verdict: CompatibilityVerdict) -> None:
        self._verdict.clear()
        with self._verdict:
            accepted = f"✓ accepted under {verdict.mode}" if verdict.accepted else f"✗ refused under {verdict.mode}"
            ui.label(accepted).classes("good" if verdict.accepted else "bad")
            for change in verdict.changes:
                mark = "✗ " if change in verdict.forbidden else ""
                reason = f": {why(change)}" if change in verdict.forbidden and why(change) else ""
                ui.label(printable(f"{mark}{change.field}: {change.text}{reason}")).classes("mono pre")
            if not verdict.changes:
                ui.label("nothing differs from the version that is shown")
            for note in verdict.notes:
                ui.label(printable(f"{'' if verdict.accepted else 'what would be accepted: '}{note}")).classes("note")


def _pretty(shown: Schema) -> str:
    return json.dumps(shown.rules, indent=2, ensure_ascii=False) if shown.rules is not None else shown.text


def _download(shown: Schema, kind: str) -> None:
    held = export(shown) if kind == "data-contract" else shown.rules
    data = json.dumps(held, indent=2, ensure_ascii=False) + "\n"
    ui.download(data.encode(), f"{kind}-{shown.subject}-v{shown.version}.json")


def _show_difference(former: Schema, shown: Schema, mode: str) -> None:
    with card(f"From version {former.version} to version {shown.version}"):
        try:
            changes = compare(former, shown)
        except ClickreelError as exc:
            ui.label(explain(exc)).classes("bad")
            return
        verdict = judge_evolution(former, shown, mode)
        accepted = "may follow" if verdict.accepted else "may not follow"
        ui.label(f"{len(changes)} differences; under {mode} the one {accepted} the other").classes("note")
        for change in changes:
            kind = "narrower" if change.narrows else "wider" if change.widens else "as strict"
            ui.label(printable(f"{change.field}: {change.text} ({kind})"))
        with ui.element("div").classes("scroll-x").props('tabindex="0"'), ui.element("table").classes("diff mono"):
            with ui.element("thead"), ui.element("tr"):
                for one in (former, shown):
                    tag("th", f"version {one.version}", props='scope="col"')
            with ui.element("tbody"):
                for left, right, differs in _side_by_side(_pretty(former), _pretty(shown)):
                    with ui.element("tr"):
                        tag(
                            "td",
                            f"- {left}" if differs and left else f"  {left}",
                            classes="diff-out" if differs and left else "",
                        )
                        tag(
                            "td",
                            f"+ {right}" if differs and right else f"  {right}",
                            classes="diff-in" if differs and right else "",
                        )


def _side_by_side(before: str, after: str, context: int = 2) -> list[tuple[str, str, bool]]:
    """Pairs of lines, and whether they differ; of what is equal only the lines beside a difference."""
    left, right = (printable(text, lines=True).splitlines()[:_LINES_MAX] for text in (before, after))
    pairs: list[tuple[str, str, bool]] = []
    for group in difflib.SequenceMatcher(None, left, right, autojunk=False).get_grouped_opcodes(context):
        if pairs:
            pairs.append(("…", "…", False))
        for kind, from_left, to_left, from_right, to_right in group:
            for at in range(max(to_left - from_left, to_right - from_right)):
                one = left[from_left + at] if from_left + at < to_left else ""
                other = right[from_right + at] if from_right + at < to_right else ""
                pairs.append((one, other, kind != "equal"))
    return pairs


def _show_samples() -> None:
    with card("Samples that keep the contract"):
        shown = ui.label("").classes("mono pre")

        def draw(seed: int = 0) -> None:
            encoded = encode(block(3, seed=seed))
            pairs = zip(encoded.keys.to_pylist(), encoded.values.to_pylist(), strict=True)
            shown.set_text("\n\n".join(f"{key.decode()}\n{value.decode()}" for key, value in pairs))

        seeds = iter(range(1, 1_000_000))
        draw()
        with ui.element("div").classes("row-of"):
            button("Other samples", lambda: draw(next(seeds)))
