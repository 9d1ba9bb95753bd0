"""Drive it: the parts of a local stack and the run that it streams; a stack of somebody else's is only looked at."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from nicegui import run, ui

from clickreel.console.components.time_chart import ChartSeries, TimeChart
from clickreel.console.context import ConsoleContext
from clickreel.console.layout import PageState, page_frame
from clickreel.console.markup import button, card, choice, explain, tag, text_field
from clickreel.errors import ClickreelError, UsageError
from clickreel.foreign_text import printable
from clickreel.local import run_options
from clickreel.local.home import Home
from clickreel.local.liveness import ServiceStatus
from clickreel.local.stack import Stack
from clickreel.simulate.delivery_flaws import parse
from clickreel.simulate.scenarios import named

# What may be taken away to see what happens; the console itself is what one looks through.
_PARTS = ("kafka", "registry", "clickhouse", "flink", "ingest", "producer")
_OUTAGE_S = 20
_STATUS_S = 2.0
_RUN_FIELDS = ("rate", "scenario", "flaws", "seed")


def register(context: ConsoleContext) -> None:
    """Add the page."""

    @ui.page("/drive")
    def drive() -> None:
        with page_frame(context, "/drive") as state:
            _Drive(context, state)


class _Drive:
    def __init__(self, context: ConsoleContext, state: PageState) -> None:
        self._context, self._state = context, state
        self._may_act = context.is_local and context.allow_writes
        self._stack = Stack(Home(context.home))
        self._busy = ""
        self._drawn: tuple[tuple[str, str, str], ...] = ()
        self._tail = context.tail()
        self._shown_ms = 0
        if not self._may_act:
            with card("This page only looks"):
                ui.label(
                    "What runs on other machines is theirs to start and stop. On this machine's own stack (clickreel up) it is driven here."
                )
        else:
            self._show_run_form()
        with card("What it does: messages a second"):
            series = [ChartSeries("messages", "--series-1", "/s")]
            self._chart = TimeChart(series, label="Messages a second", height=150, window_s=300)
        with card("Parts"):
            self._parts = ui.element("div").classes("stack")
            with self._parts:
                ui.label("looking …").classes("note")
        self._said = ui.label("").classes("note").props('role="status"')
        state.zone_changed.append(lambda is_local: self._chart.use_local_time(local=is_local))
        ui.timer(1.0, self._tick)
        ui.timer(_STATUS_S, self._look)
        ui.timer(0.05, self._look, once=True)

    # The run

    def _show_run_form(self) -> None:
        self._options = {name: run_options.remembered(self._stack.home).get(name, "") for name in _RUN_FIELDS}
        scenarios = [("", "the usual world"), *((name, name) for name in named.names())]
        with card("The run"):
            ui.label(
                "Another rate, scenario or share of flaws is another world: its run begins now, and the events of the run before stay in the topic."
            ).classes("note")
            with ui.element("div").classes("form"):
                self._field("Events a second", "rate", "20")
                with ui.element("div").classes("form-field"):
                    tag("span", "Scenario", classes="stat-name")
                    choice("Scenario", scenarios, str(self._options["scenario"]), partial(self._keep, "scenario"))
                self._field("Flaws", "flaws", "malformed=2%,late=1%")
                self._field("Seed", "seed", "1")
            with ui.element("div").classes("row-of"):
                button("Stream this", self._stream, classes="btn btn-main")
                button("Burst: a film goes viral", partial(self._stream, scenario="viral-film"))
                button("Flaws: 5 % malformed", partial(self._stream, flaws="malformed=5%"))
                button("Start the producer", partial(self._act, "start", "producer"))
                button("Stop the producer", partial(self._act, "stop", "producer"))

    def _field(self, words: str, name: str, example: str) -> None:
        with ui.element("div").classes("form-field"):
            tag("span", words, classes="stat-name")
            text_field(
                words, partial(self._keep, name), value=str(self._options[name]), props=f'placeholder="{example}"'
            )

    def _keep(self, name: str, value: str) -> None:
        self._options[name] = value.strip()

    async def _stream(self, **changes: str) -> None:
        wanted = self._options | changes
        await self._do("the run changes", partial(_stream, self._stack, wanted))

    # The parts

    async def _act(self, what: str, name: str) -> None:
        start, stop = partial(self._stack.ensure, [name]), partial(self._stack.stop, name)
        await self._do(f"{name}: {what}", start if what == "start" else stop)

    async def _outage(self, name: str) -> None:
        """Take a part away; it comes back after a while, whether or not somebody still looks."""
        await self._act("stop", name)
        threading.Thread(target=_bring_back, args=(self._stack, name), name=f"outage-{name}", daemon=True).start()
        self._said.set_text(f"{name} is away for {_OUTAGE_S} s: watch Overview and Monitor")

    async def _do(self, words: str, act: Callable[[], Any]) -> None:
        if self._busy:
            self._said.set_text(f"still busy: {self._busy}")
            return
        self._busy = words
        self._said.set_text(f"{words} …")
        try:
            await run.io_bound(act)
        except ClickreelError as exc:
            self._said.set_text(explain(exc))
        else:
            self._said.set_text(f"{words}: done")
        finally:
            self._busy = ""
        await self._look()

    async def _look(self) -> None:
        if not self._context.is_local or self._state.is_hidden:
            return
        found = await run.io_bound(self._stack.status)
        if found is None:
            return
        drawn = tuple((one.name, one.state, one.reason) for one in found)
        if drawn == self._drawn:
            return
        self._drawn = drawn
        self._parts.clear()
        with self._parts, ui.element("ul").classes("parts"):
            for one in found:
                if one.name in _PARTS:
                    self._show_part(one)

    def _show_part(self, one: ServiceStatus) -> None:
        with ui.element("li"):
            ui.label(one.name).classes("card-title")
            good = one.state == "running"
            ui.label(f"{'✓' if good else '·'} {one.state}").classes("badge badge-good" if good else "badge badge-warn")
            ui.label(printable(one.reason)).classes("note")
            if not self._may_act:
                return
            with ui.element("div").classes("row-of"):
                self._show_acts(one)

    def _show_acts(self, one: ServiceStatus) -> None:
        if one.state in {"stopped", "failed"}:
            button("Start", partial(self._act, "start", one.name), props=f'aria-label="Start {one.name}"')
        else:
            button("Stop", partial(self._act, "stop", one.name), props=f'aria-label="Stop {one.name}"')
            away = partial(self._outage, one.name)
            button(f"Outage of {_OUTAGE_S} s", away, props=f'aria-label="Outage of {one.name}"')

    def _tick(self) -> None:
        if self._state.is_hidden:
            return
        self._state.error(f"{self._tail.error}: trying again every second" if self._tail.error else "")
        fresh = [one for one in list(self._tail.seconds)[-300:] if one.at_ms > self._shown_ms]
        if fresh:
            self._shown_ms = fresh[-1].at_ms
            self._chart.push([(one.at_ms, sum(one.messages) / one.seconds) for one in fresh])


def _bring_back(stack: Stack, name: str) -> None:
    time.sleep(_OUTAGE_S)
    with contextlib.suppress(ClickreelError):  # the page shows how it is
        stack.ensure([name])


def _stream(stack: Stack, wanted: dict[str, Any]) -> None:
    """Stream another run in place of the one that is streamed."""
    rate = str(wanted["rate"] or "20")
    try:
        is_rate = 0 < float(rate.removesuffix("/s")) <= 1_000_000
    except ValueError:
        is_rate = False
    if not is_rate:
        raise UsageError(f"{rate!r} is no rate", hint="events a second, as 200")
    if str(wanted["seed"] or "0").isdigit() is False:
        raise UsageError(f"{wanted['seed']!r} is no seed", hint="a whole number from 0")
    parse(str(wanted["flaws"] or ""))
    kept = {
        name: value for name, value in run_options.remembered(stack.home).items() if name not in {*_RUN_FIELDS, "from"}
    }
    given = {name: wanted[name] or None for name in _RUN_FIELDS} | {"rate": rate}
    stack.choose_run({**kept, **given})
    stack.ensure(["producer"])
