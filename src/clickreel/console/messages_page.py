"""Messages: the topic as it comes, or from anywhere in it."""

from __future__ import annotations

import asyncio
import json
import math
import re
import time
from collections.abc import Callable
from contextlib import closing
from functools import partial
from typing import Any

from nicegui import events, run, ui

from clickreel.console.components.message_table import ROWS_MAX, MessageTable
from clickreel.console.components.time_chart import ChartSeries, TimeChart
from clickreel.console.context import ConsoleContext
from clickreel.console.layout import PageState, page_frame
from clickreel.console.markup import button, explain, remember, set_value, tag
from clickreel.console.message_rows import message_row
from clickreel.console.opened_message import show_message
from clickreel.console.produce_form import ProduceForm
from clickreel.errors import ClickreelError, UsageError
from clickreel.foreign_text import printable
from clickreel.quantities import quantity
from clickreel.stream.filter_expression import Predicate, compile_filter
from clickreel.stream.record_batch import Record
from clickreel.stream.record_view import RecordSearch, read_records, search_records, start_offsets
from clickreel.stream.topic_contract import UNKNOWN, TopicContract, TopicView
from clickreel.timespec import format_instant

# At most four frames a second: one goes out as soon as there is a row for it and the one before is so old. In between rows are made as their
# records come: made all at once they would keep a frame waiting.
_FRAME_S = 0.25
_LOOK_S = 0.04
# 1,000 a second are shown whole, with a fifth to spare for frames that come late.
_ROWS_PER_S = 1_200
_FIGURES_S = 0.5
# As many stand in the page itself, and are painted before the first frame comes.
_FIRST_ROWS = 60
# As many as the tail holds.
_TAIL_RECORDS = 5_000
_WAIT_S = 0.5
# Frames that a browser has not said it has painted; more would only wait in memory. One that says nothing for so long has lost its answer.
_FRAMES_IN_FLIGHT = 2
_LOST_S = 5.0
_STRIP_S = 300
_RECORD_FIELDS = ("partition", "offset", "timestamp", "key", "value", "valid")
# A registry that is away must not keep the page.
_CONTRACT_S = 2.0
_UNJUDGED = "no schema is registered for this topic's values: messages are shown without a verdict"
_STARTS = {"": "live", "-100": "newest 100", "earliest": "oldest", "-5m": "5 minutes ago"}
# A filter that nothing passes must not read a topic of millions for ever: after so many somebody says whether it goes on.
_SEARCHED_MAX = 200_000


def register(context: ConsoleContext) -> None:
    """Add the page."""

    @ui.page("/messages")
    async def messages(topic: str = "", start: str = "", where: str = "", hide: str = "", open: str = "") -> None:  # noqa: A002
        name = topic or context.topic
        if not start:  # nothing is read while nobody looks: the first viewer waits for the newest messages for a moment
            await run.io_bound(context.tail(name).wait_until_current, _WAIT_S)
        try:
            contract = await asyncio.wait_for(run.io_bound(context.contract, name), _CONTRACT_S) or UNKNOWN
        except TimeoutError:
            contract = UNKNOWN
        with page_frame(context, "/messages", topic=name) as state:
            _Messages(context, state, name, contract, start=start, where=where, hide=hide, opened=open)


class _Messages:
    def __init__(
        self,
        context: ConsoleContext,
        state: PageState,
        topic: str,
        contract: TopicContract,
        *,
        start: str,
        where: str,
        hide: str,
        opened: str,
    ) -> None:
        self._context, self._state, self._topic, self._contract = context, state, topic, contract
        self._tail = context.tail(topic)
        self._start, self._filter = start, self._compile(where)
        self._paused = False
        self._hidden = [name for name in hide.split(",") if name in contract.columns]
        self._sequence: int | None = None
        self._made: int | None = None
        self._shown_ms = 0
        self._left_out = 0
        self._in_flight, self._sent_s = 0, -math.inf
        self._was_hidden = False
        self._found: list[Record] = []
        self._searched, self._search_number, self._is_searching = 0, 0, False
        self._ends: dict[int, int] = {}
        self._next: dict[int, int] = {}
        self._strip = TimeChart(
            [ChartSeries("messages", "--series-1", "/s")],
            label="Messages a second of the last five minutes; drag to read from there",
            kind="bars",
            height=64,
            window_s=_STRIP_S,
            selectable=True,
        )
        self._strip.on("select", self._seek)
        self._controls(where)
        with ui.element("div").classes("row-of"):
            self._said = ui.label("").classes("note").props('aria-live="polite"')
            self._more = button("Search on", self._search_on, classes="btn btn-small")
        self._more.set_visibility(False)
        first = [] if start else self._next_rows(_FIRST_ROWS)
        self._table = MessageTable(
            contract.columns,
            numeric=contract.numeric,
            label=f"Messages of {topic}",
            empty=self._no_message(),
            first=first,
        )
        self._table.on("choose", self._choose)
        self._table.on("pending", self._pending)
        self._table.on("painted", self._painted)
        self._table.hide(self._hidden)
        self._drawer = ui.element("aside").classes("drawer").props('role="dialog" aria-label="One message"')
        self._drawer.set_visibility(False)
        state.zone_changed.append(self._use_zone)
        self._frames = ui.timer(_LOOK_S, self._tick)
        ui.timer(_FIGURES_S, self._show_figures)
        if start:
            ui.timer(0.01, self._load, once=True)
        if opened:
            ui.timer(0.02, lambda: self._open_link(opened), once=True)

    # The controls

    def _controls(self, where: str) -> None:
        with ui.element("div").classes("row-of"):
            self._pause = button("Pause", self._toggle, props='data-pause aria-keyshortcuts="Space"')
            with ui.element("select").classes("field").props('aria-label="Where to read from"') as self._place:
                for value, text in (*_STARTS.items(), ("at", "from here:")):
                    chosen = "selected" if value == (self._start if self._start in _STARTS else "at") else ""
                    tag("option", text).props(f'value="{value}" {chosen}')
            self._place.on("change", self._choose_start, js_handler="(event) => emit(event.target.value)")
            self._at = (
                ui.element("input")
                .classes("field field-at")
                .props('placeholder="offset, 14:05, 2h, 2026-01-31" aria-label="Read from an offset or a time"')
            )
            self._at.on("keydown.enter", self._choose_start, js_handler="(event) => emit(event.target.value)")
            self._at.props["^value"] = "" if self._start in _STARTS else self._start
            self._where = ui.element("input").classes("field field-wide")
            example = "event_type == 'detail_view' and position <= 3" if self._contract.is_ours else "partition == 0"
            self._where.props(f'aria-label="Filter" placeholder="{example}"')
            self._where.props["^value"] = where
            self._where.on("keydown.enter", self._choose_filter, js_handler="(event) => emit(event.target.value)")
            if self._contract.columns:
                with ui.element("details").classes("btn"):
                    tag("summary", "Columns")
                    for name in self._contract.columns:
                        self._column_switch(name)
            button("JSON", lambda: self._table.download("jsonl", self._topic), props='title="Download what is shown"')
            button("CSV", lambda: self._table.download("csv", self._topic), props='title="Download what is shown"')
        if not self._contract.is_ours:
            judged = f"judged by {printable(self._contract.name)}" if self._contract.name else _UNJUDGED
            ui.label(judged).classes("note")
        elif self._context.allow_writes:
            with ui.element("details").classes("fold"):
                tag("summary", "Produce a message")
                ProduceForm(self._context, self._topic)

    def _column_switch(self, name: str) -> None:
        with ui.element("label").classes("row-of"):
            box = ui.element("input").props('type="checkbox"')
            if name not in self._hidden:
                box.props("checked")
            ui.label(name)
        box.on(
            "change",
            lambda event, name=name: self._show_column(name, shown=bool(event.args)),
            js_handler="(event) => emit(event.target.checked)",
        )

    def _show_column(self, name: str, *, shown: bool) -> None:
        self._hidden = [
            one
            for one in self._contract.columns
            if (one in self._hidden and one != name) or (one == name and not shown)
        ]
        self._table.hide(self._hidden)
        remember("hide", ",".join(self._hidden))

    def _compile(self, where: str) -> Predicate | None:
        self._filter_error = ""
        if not where.strip():
            return None
        try:
            # Of other topics nobody knows the fields: whatever is named may be one.
            named = () if self._contract.is_ours else re.findall(r"[^\W\d]\w*", where)
            return compile_filter(where, (*self._contract.columns, *_RECORD_FIELDS, *named))
        except ClickreelError as exc:
            self._filter_error = exc.message
            return None

    async def _choose_filter(self, event: events.GenericEventArguments) -> None:
        where = str(event.args or "")
        self._filter = self._compile(where)
        self._where.classes(
            add="field-bad" if self._filter_error else "", remove="" if self._filter_error else "field-bad"
        )
        if self._filter_error:
            self._said.set_text(f"filter: {printable(self._filter_error)}")
            return
        remember("where", where)
        await self._restart()

    async def _choose_start(self, event: events.GenericEventArguments) -> None:
        if event.args == "at":  # the field beside it says where
            return
        self._start = str(event.args or "").strip()
        self._show_start()
        remember("start", self._start)
        await self._restart()

    async def _seek(self, event: events.GenericEventArguments) -> None:
        self._start = str(int(event.args["from_ms"]))
        self._show_start()
        remember("start", self._start)
        await self._restart()

    def _show_start(self) -> None:
        """The place in the list, or else in the field beside it."""
        set_value(self._place, self._start if self._start in _STARTS else "at")
        set_value(self._at, "" if self._start in _STARTS else self._start)

    async def _restart(self) -> None:
        self._sequence = None
        self._left_out = 0
        self._table.explain_empty(self._no_message())
        self._search_number += 1
        self._more.set_visibility(False)
        self._table.set([])
        if self._start:
            await self._load()
        else:
            self._said.set_text("")

    def _toggle(self) -> None:
        self._paused = not self._paused
        self._pause.set_text("Resume" if self._paused else "Pause")
        self._table.pause(paused=self._paused)
        if not self._paused:
            self._said.set_text("")

    def _painted(self, _: events.GenericEventArguments) -> None:
        self._in_flight = max(0, self._in_flight - 1)
        self._tick()  # what has waited for this goes out now

    def _pending(self, event: events.GenericEventArguments) -> None:
        waiting, lost = int(event.args["waiting"]), int(event.args["lost"])
        beyond = f"; {lost:,} more are read with a start further back" if lost else ""
        self._pause.set_text(f"Resume (+{waiting:,} new)")
        self._said.set_text(f"paused: {waiting:,} new messages wait{beyond}")

    def _use_zone(self, is_local: bool) -> None:
        self._table.use_local_time(local=is_local)
        self._strip.use_local_time(local=is_local)

    # The stream

    def _show_figures(self) -> None:
        if self._state.is_hidden and not self._paused:
            return
        self._tail = self._context.tail(self._topic)
        self._state.error(f"{self._tail.error}: trying again every second" if self._tail.error else "")
        seconds = [one for one in list(self._tail.seconds)[-_STRIP_S:] if one.at_ms > self._shown_ms]
        if not seconds:
            return
        self._shown_ms = seconds[-1].at_ms
        self._strip.push([(one.at_ms, sum(one.messages) / one.seconds) for one in seconds])
        if not self._start and not self._paused:
            rate = self._tail.rate_per_s()
            sampled = f"; {self._left_out:,} not shown: the page keeps up with 1,000 a second" if self._left_out else ""
            which = "new ones that pass the filter" if self._filter else f"the newest {ROWS_MAX}"
            self._said.set_text(f"{rate:,.0f} messages/s, {which} are shown{sampled}")

    def _tick(self) -> None:
        if self._state.is_hidden and not self._paused:
            self._was_hidden = True
        elif not self._start:
            if time.monotonic() >= self._sent_s + _FRAME_S:
                self._send_frame()
            else:
                self._make_rows()
        left_s = self._sent_s + _FRAME_S - time.monotonic()
        self._frames.interval = min(left_s, _LOOK_S) if left_s > 0 else _LOOK_S

    def _make_rows(self) -> None:
        """Make the rows of the newest records, which the next frame will want."""
        frame = self._tail.frame(self._made, limit=round(_ROWS_PER_S * _LOOK_S))
        self._made = frame.sequence
        for record in frame.records:
            message_row(record, self._contract)

    def _send_frame(self) -> None:
        if self._was_hidden:
            self._sequence = None
            if rows := self._next_rows(ROWS_MAX):
                self._was_hidden = False
                self._table.set(rows)  # beside the rows from before there would be a hole
            return
        since_s = time.monotonic() - self._sent_s
        if self._in_flight >= _FRAMES_IN_FLIGHT and since_s < _LOST_S:
            return  # a browser that is busy gets the newest rows later, and what it missed is counted
        now_s = time.monotonic()
        rows = self._next_rows(round(_ROWS_PER_S * min(since_s, ROWS_MAX / _ROWS_PER_S)))
        if rows:
            self._table.push(rows)
            self._in_flight, self._sent_s = min(self._in_flight, _FRAMES_IN_FLIGHT - 1) + 1, now_s

    def _next_rows(self, limit: int) -> list[dict[str, Any]]:
        """The newest rows that have not been sent."""
        # A filter that little passes is first asked of all that the tail holds.
        is_first = self._sequence is None and self._filter is not None
        frame = self._tail.frame(self._sequence, limit=_TAIL_RECORDS if is_first else limit)
        # As long as there is none, the next frame is a first one: what came before it was not left out.
        self._sequence = frame.sequence if frame.records or self._sequence is not None else None
        self._left_out += frame.left_out
        wanted = [record for record in frame.records if _wants(self._filter, self._contract, record)]
        return [message_row(record, self._contract) for record in wanted[-limit:]]

    def _no_message(self) -> str:
        if self._start:
            return "reading …"
        if self._filter is not None:
            return "No new message has passed the filter yet. To search those that are there, read from oldest or from a time."
        if not self._contract.is_ours:
            return "No message yet. To read those that are there, start at oldest or at a time."
        return f"No message yet. Start a stream with: clickreel produce --topic {self._topic}"

    async def _load(self) -> None:
        """Show the first messages from the start on that pass the filter."""
        self._said.set_text("reading …")
        self._search_number += 1
        self._found = []
        try:
            ranges = await run.io_bound(self._ranges)
        except ClickreelError as exc:
            self._said.set_text(explain(exc))
            return
        if ranges is not None:
            self._searched, self._ends = 0, {p: end for p, (_, end) in ranges.items()}
            await self._search({p: start for p, (start, _) in ranges.items()}, self._search_number)

    async def _search(self, begin: dict[int, int], number: int) -> bool:
        """One part of the search; returns whether there is more of it, for this page and this filter."""
        wanted, limit = partial(_wants, self._filter, self._contract), ROWS_MAX - len(self._found)
        ranges = {p: (start, self._ends[p]) for p, start in begin.items()}
        try:
            part = await run.io_bound(_search, self._context, self._topic, ranges, wanted, limit)
        except ClickreelError as exc:
            self._said.set_text(explain(exc))
            return False
        if part is None or number != self._search_number or self._table.is_deleted:
            return False
        self._found += part.records
        self._searched += part.searched
        self._next = part.next_offsets
        self._table.explain_empty(
            "Nothing from there on passes the filter." if self._searched else "Nothing is there yet."
        )
        self._table.set([message_row(record, self._contract) for record in self._found])
        self._said.set_text(self._search_text(part))
        self._more.set_visibility(part.left > 0)
        self._more.set_text(f"Next {ROWS_MAX}" if len(self._found) >= ROWS_MAX else "Search on")
        return part.left > 0 and len(self._found) < ROWS_MAX

    def _search_text(self, part: RecordSearch) -> str:
        found, start = quantity(len(self._found), "message"), printable(self._shown_start())
        searched = f" of {self._searched:,} searched" if self._filter else ""
        last = f", up to {format_instant(part.records[-1].timestamp_ms)} UTC" if part.left and part.records else ""
        left = f"; {part.left:,} are not searched yet" if self._filter else f"; {part.left:,} follow"
        return f"{found}{searched} from {start}{last}, newest first{left if part.left else ''}"

    async def _search_on(self) -> None:
        """Go on until the page is full, the end is met, or somebody presses again."""
        self._search_number += 1
        if self._is_searching:
            return
        if len(self._found) >= ROWS_MAX:
            self._found = []
        self._is_searching, number = True, self._search_number
        try:
            while await self._search(self._next, number):
                self._more.set_text("Stop searching")
        finally:
            self._is_searching = False
            if self._more.text == "Stop searching":
                self._more.set_text("Search on")

    def _shown_start(self) -> str:
        """The start in words."""
        if self._start.isdigit():
            return (
                f"{format_instant(int(self._start))} UTC" if len(self._start) > 11 else f"offset {int(self._start):,}"
            )
        if self._start.removeprefix("-").isdigit():
            return f"the last {int(self._start[1:]):,} of each partition"
        return _STARTS.get(self._start, self._start)

    def _ranges(self) -> dict[int, tuple[int, int]]:
        """What there is to read from the start on, by partition."""
        start = self._start.removeprefix("-") if self._start.endswith(("m", "h", "d", "s")) else self._start
        with closing(self._context.broker()) as broker:
            begin = start_offsets(broker, self._topic, start, round(time.time() * 1000))
            return {p: (begin[p], bound.high) for p, bound in enumerate(broker.bounds(self._topic)) if p in begin}

    # One message

    async def _choose(self, event: events.GenericEventArguments) -> None:
        await self._open(int(event.args["partition"]), int(event.args["offset"]))

    async def _open_link(self, opened: str) -> None:
        partition, _, offset = opened.partition(":")
        if partition.isdigit() and offset.isdigit():
            await self._open(int(partition), int(offset))

    async def _open(self, partition: int, offset: int) -> None:
        try:
            record = await run.io_bound(_read_one, self._context, self._topic, partition, offset)
        except ClickreelError as exc:
            self._said.set_text(printable(exc.message))
            return
        if record is None:  # the page was closed meanwhile
            return
        remember("open", f"{partition}:{offset}")
        self._drawer.clear()
        self._drawer.set_visibility(True)
        with self._drawer:
            show_message(record, self._contract, self._close)
        _focus(".drawer [aria-keyshortcuts=Escape]")

    def _close(self) -> None:
        remember("open", "")
        self._drawer.set_visibility(False)
        _focus(".mt-scroll")


def _focus(selector: str) -> None:
    """Put the focus there, once the page shows it."""
    ui.run_javascript(f"setTimeout(() => document.querySelector({json.dumps(selector)})?.focus(), 50)")


def _wants(predicate: Predicate | None, contract: TopicContract, record: Record) -> bool:
    return predicate is None or bool(predicate(TopicView(record, contract)))


def _search(
    context: ConsoleContext,
    topic: str,
    ranges: dict[int, tuple[int, int]],
    wanted: Callable[[Record], bool],
    limit: int,
) -> RecordSearch:
    with closing(context.broker()) as broker:
        return search_records(broker, topic, ranges, wanted, limit=limit, search_max=_SEARCHED_MAX)


def _read_one(context: ConsoleContext, topic: str, partition: int, offset: int) -> Record:
    broker = context.broker()
    try:
        for records in read_records(broker, topic, {partition: offset}):
            for record in records:
                if record.offset >= offset:
                    return record
    finally:
        broker.close()
    raise UsageError(f"partition {partition} of {topic} does not hold offset {offset:,} any more")
