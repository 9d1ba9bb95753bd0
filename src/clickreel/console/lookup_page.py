"""Any id: an event, a session, a user or a film, from who made it to the row that it became."""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlencode

from nicegui import run, ui

from clickreel.console.context import ConsoleContext
from clickreel.console.layout import page_frame
from clickreel.console.markup import card, explain, link, table
from clickreel.errors import ClickreelError
from clickreel.foreign_text import printable
from clickreel.quantities import quantity
from clickreel.simulate import ids
from clickreel.stream.saved_runs import list_runs
from clickreel.timespec import format_duration, format_instant

Kind = Literal["event", "session", "user", "film", "other"]

_EVENTS_MAX = 200
_FILM_MAX = 2**31 - 1
_COLUMNS = (
    "toString(event_id), toUnixTimestamp64Milli(event_ts), user, lower(leftPad(hex(session), 8, '0')), film_id, event_type, page, device, "
    "_partition, _offset, toUnixTimestamp64Milli(_timestamp), toUnixTimestamp64Milli(_inserted_at), "
    "dictGetOrDefault('dvd_films', 'film_title', toUInt64(greatest(film_id, 0)), '')"
)


@dataclass(frozen=True, slots=True)
class _Event:
    event_id: str
    ts_ms: int
    user: int
    session: str
    film_id: int
    event_type: str
    page: str
    device: str
    partition: int
    offset: int
    produced_ms: int
    inserted_ms: int
    title: str


@dataclass(frozen=True, slots=True)
class _Found:
    events: tuple[_Event, ...]
    total: int
    session: tuple[_Event, ...]
    dead: tuple[tuple[int, int, str], ...]


def register(context: ConsoleContext) -> None:
    """Add the page."""

    @ui.page("/id")
    def lookup(q: str = "") -> None:
        with page_frame(context, "/id", title="Any id"):
            screen = _Lookup(context, plain_id(q))
            ui.timer(0.01, screen.load, once=True)


def plain_id(given: str) -> str:
    """An id without what is copied along with it: blanks, quotation marks and commas; an event's as the contract writes it."""
    text = given.strip(" \t\r\n\"'`,;")
    return str(uuid.UUID(text)) if id_kind(text) == "event" else text


def id_kind(given: str) -> Kind:
    """What an id is an id of, by its form."""
    try:
        uuid.UUID(given)
    except ValueError:
        pass
    else:
        return "event"
    if re.fullmatch(r"s_[0-9a-f]{8}", given):
        return "session"
    if re.fullmatch(r"u_[1-9][0-9]{0,9}", given):
        return "user"
    return "film" if re.fullmatch(r"[1-9][0-9]{0,9}", given) and int(given) <= _FILM_MAX else "other"


def _read(context: ConsoleContext, given: str, kind: Kind) -> _Found:
    client = context.clickhouse()
    conditions = {
        "event": ("event_id = {v:UUID}", given),
        "session": ("session = {v:UInt32}", int(given.removeprefix("s_"), 16) if kind == "session" else 0),
        "user": ("user = {v:UInt64}", int(given[2:]) if kind == "user" else 0),
        "film": ("film_id = {v:Int32}", int(given) if kind == "film" else 0),
    }
    condition, value = conditions[kind]
    where = f"FROM dvd_clicks_landing WHERE error = '' AND _topic = {{topic:String}} AND {condition}"
    parameters: dict[str, Any] = {"v": value, "topic": context.topic}
    rows = client.rows(f"SELECT {_COLUMNS} {where} ORDER BY event_ts DESC LIMIT {_EVENTS_MAX}", parameters)
    events = tuple(_Event(*row) for row in rows)
    total = int(client.rows(f"SELECT count() {where}", parameters)[0][0])
    session: tuple[_Event, ...] = ()
    if kind == "event" and events:
        sql = f"SELECT {_COLUMNS} FROM dvd_clicks_landing WHERE error = '' AND session = {{v:UInt32}} ORDER BY event_ts LIMIT {_EVENTS_MAX}"
        session = tuple(_Event(*row) for row in client.rows(sql, {"v": int(events[0].session, 16)}))
    dead = client.rows(
        "SELECT _partition, _offset, reason FROM dvd_clicks_dead_letters WHERE _topic = {topic:String} "
        "AND (position(ifNull(value, ''), {text:String}) > 0 OR position(ifNull(key, ''), {text:String}) > 0) LIMIT 20",
        {"topic": context.topic, "text": given},
    )
    return _Found(events, total, session, tuple((int(p), int(o), str(reason)) for p, o, reason in dead))


class _Lookup:
    def __init__(self, context: ConsoleContext, given: str) -> None:
        self._context, self._given, self._kind = context, given, id_kind(given)
        self._body = ui.element("div").classes("stack")
        with self._body:
            ui.label("looking …").classes("note")

    async def load(self) -> None:
        shown = printable(self._given[:200])
        if self._kind == "other":
            self._body.clear()
            with self._body, card(f"{shown or 'Nothing'} is no id of this shop"):
                ui.label("An event id is a UUID, a session is s_ and 8 hex digits, a user u_10, a film a number.")
            return
        problem, found = "", None
        try:
            found = await run.io_bound(_read, self._context, self._given, self._kind)
        except ClickreelError as exc:
            problem = explain(exc)
        self._body.clear()
        with self._body:
            if problem:
                ui.label(problem).classes("banner").props('role="alert"')
            if self._kind == "event":
                self._show_maker()
            if found is not None:
                self._show(found, shown)

    def _show_maker(self) -> None:
        with card("Who made it"):
            try:
                position = ids.explain(self._given)
            except ClickreelError as exc:
                ui.label(explain(exc))
                return
            runs = [one for one in list_runs(self._context.home) if one.run_tag == position.run_tag]
            if not runs:
                ui.label("No run that was produced from here: the id is another producer's.").classes("note")
                return
            ui.label(
                f"run {printable(runs[0].run)}: u_{position.user}, session {position.session_of_day + 1} of the day, event "
                f"{position.event_of_session + 1} of that session, at {format_instant(position.ts_ms)} UTC"
            )
            ui.label("read out of the id itself").classes("note")

    def _show(self, found: _Found, shown: str) -> None:
        if not found.events and not found.dead:
            with card(f"No row for {self._kind} {shown}"):
                ui.label(
                    "It has not landed: see Monitor for how far ingest is behind, or Messages with a filter for Kafka."
                )
        if self._kind == "event" and found.events:
            self._show_hops(found.events[0])
            _show_events("Its session on a time line", found.session, same="session", highlight=self._given)
        elif found.events:
            beyond = f", the newest {_EVENTS_MAX} shown" if found.total > _EVENTS_MAX else ""
            title = found.events[0].title if self._kind == "film" else ""
            name = f"{printable(title)} (film {shown})" if title else f"{self._kind} {shown}"
            _show_events(f"{name}: {quantity(found.total, 'event')}{beyond}", found.events, same=self._kind)
        for partition, offset, reason in found.dead:
            with card("A dead letter names it"):
                link(
                    f"partition {partition}, offset {offset:,}", f"/messages?open={partition}:{offset}", classes="link"
                )
                ui.label(printable(reason)).classes("bad")

    def _show_hops(self, event: _Event) -> None:
        minute = event.ts_ms // 60_000 * 60_000
        with card("Its way"):
            table(
                ("hop", "when (UTC)", "where", "after"),
                [
                    ("happened", format_instant(event.ts_ms), f"u_{event.user}, {event.device}, {event.page}", ""),
                    (
                        "in Kafka",
                        format_instant(event.produced_ms),
                        f"partition {event.partition}, offset {event.offset:,}",
                        format_duration(max(0, event.produced_ms - event.ts_ms)),
                    ),
                    (
                        "in ClickHouse",
                        format_instant(event.inserted_ms),
                        "dvd_clicks_landing, good",
                        format_duration(max(0, event.inserted_ms - event.produced_ms)),
                    ),
                    (
                        "counted",
                        f"the minute from {format_instant(minute)}",
                        "clicks, active users, devices"
                        + (", films, categories, trending" if event.event_type == "detail_view" else ""),
                        "",
                    ),
                ],
            )
            link("Open the message", f"/messages?open={event.partition}:{event.offset}")


def _show_events(title: str, events: tuple[_Event, ...], *, same: Kind, highlight: str = "") -> None:
    """Events below each other.

    Args:
        title: What they are.
        events: The events.
        same: What is the same in all of them, and so not shown with each.
        highlight: The id of the one that was asked for.
    """
    with card(title):
        ui.label("times in UTC").classes("note")
        with ui.element("ol").classes("timeline"):
            for event in events:
                with ui.element("li") as item:
                    if event.event_id == highlight:
                        item.classes("timeline-here").props('aria-current="true"')
                    _show_event(event, same)


def _show_event(event: _Event, same: Kind) -> None:
    ui.label(format_instant(event.ts_ms)).classes("mono")
    ui.label(event.event_type).classes("badge")
    if same != "film":
        link(printable(event.title) or f"film {event.film_id}", f"/id?q={event.film_id}", classes="link")
    for kind, text in (("user", f"u_{event.user}"), ("session", f"s_{event.session}")):
        if kind != same:
            link(text, f"/id?{urlencode({'q': text})}", classes="link mono")
    ui.label(f"{event.page}, {event.device}").classes("note")
    link("whole life", f"/id?{urlencode({'q': event.event_id})}", classes="link", props=f'title="{event.event_id}"')
