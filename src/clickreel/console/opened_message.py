"""One message in the drawer: where it stands, what its contract says of it, and its value in four ways."""

from __future__ import annotations

import contextlib
import itertools
import json
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlencode

import orjson
from nicegui import ui

from clickreel.console.lookup_page import id_kind
from clickreel.console.markup import button, link, tag
from clickreel.console.message_rows import framing_name
from clickreel.contract.verdict import Verdict, payload
from clickreel.foreign_text import printable
from clickreel.stream.record_batch import Record
from clickreel.stream.topic_contract import TopicContract
from clickreel.timespec import format_instant

# Nobody reads more by eye, and a value of a megabyte would be a hundred thousand elements.
_TREE_MAX = 500
_TREE_DEPTH_MAX = 30
_HEX_MAX = 4_096


def show_message(record: Record, contract: TopicContract, close: Callable[[], None]) -> None:
    """Put a message into the element that is open.

    Args:
        record: The message.
        contract: Its topic's.
        close: Called when somebody closes it.
    """
    verdict = contract.judge(record)
    value = payload(record.value, record.headers, "value")
    with ui.element("div").classes("row-of"):
        ui.label(f"partition {record.partition}, offset {record.offset:,}").classes("card-title")
        _show_verdict(verdict, contract)
        ui.label(framing_name(record)).classes("badge")
        ui.element("div").classes("spacer")
        button("Close", close, props='aria-keyshortcuts="Escape"')
    if record.timestamp_ms >= 0:
        ui.label(f"{format_instant(record.timestamp_ms)} UTC").classes("note")
    if contract.is_ours:
        with contextlib.suppress(ValueError, RecursionError):
            _show_ids(_parsed(value))
    for error in verdict.errors if verdict else ():
        ui.label(printable(f"{error['field']}: {error['text']} ({error['rule']})")).classes("bad")
    for name, data in (("key", record.key), *((f"header {printable(name)}", data) for name, data in record.headers)):
        ui.label(name).classes("stat-name")
        _show_text(data, _raw)
    _views(value, record.value)


def _show_verdict(verdict: Verdict | None, contract: TopicContract) -> None:
    if verdict is None:
        return
    said = f"✓ keeps {contract.name}" if verdict.is_valid else f"✗ breaks {contract.name}"
    ui.label(printable(said)).classes("badge badge-good" if verdict.is_valid else "badge badge-bad")


def _show_ids(event: Any) -> None:
    """A link to the whole life of each id that the event names."""
    found = (
        [event.get(name) for name in ("event_id", "session_id", "user_id", "film_id")]
        if isinstance(event, dict)
        else []
    )
    known = [str(one) for one in found if isinstance(one, str | int) and id_kind(str(one)) != "other"]
    if known:
        with ui.element("div").classes("row-of"):
            ui.label("whole life of").classes("stat-name")
            for one in known:
                link(one, f"/id?{urlencode({'q': one})}", classes="link mono")


def _views(value: bytes | None, raw: bytes | None) -> None:
    """The value in four ways."""
    with ui.element("div").classes("tabs").props('role="tablist"'):
        buttons = {
            name: tag("button", name, classes="tab", props='type="button" role="tab"')
            for name in ("pretty", "tree", "raw", "hex")
        }
    panel = ui.element("div").props('role="tabpanel"')

    def show(name: str) -> None:
        for other, choice in buttons.items():
            choice.props(f'aria-selected="{str(other == name).lower()}"')
        panel.clear()
        with panel:
            if name == "tree":
                with ui.element("div").classes("tree mono"):
                    _show_tree(value)
            else:
                text = {"pretty": _pretty, "raw": _raw, "hex": _hex}[name]
                _show_text(raw if name == "hex" else value, text)

    for name, choice in buttons.items():
        choice.on("click", lambda _, name=name: show(name))
    show("pretty")


def _show_text(data: bytes | None, text: Callable[[bytes], str]) -> None:
    """Bytes in one of the ways; that there are none is said in words, which nobody takes for the text of a message."""
    if data:
        ui.label(text(data)).classes("mono pre")
    else:
        ui.label("null" if data is None else "empty: no byte").classes("note")


def _show_tree(value: bytes | None) -> None:
    try:
        _tree(_parsed(value), "value", itertools.count(1), 0)
    except (ValueError, RecursionError):
        ui.label("This value is no JSON that can be taken apart: see raw or hex.").classes("note")


def _parsed(value: bytes | None) -> Any:
    return json.loads(value or b"null")


def _pretty(value: bytes) -> str:
    try:
        return printable(json.dumps(json.loads(value), indent=2, ensure_ascii=False), lines=True)
    except (ValueError, RecursionError):
        return _raw(value)


def _raw(value: bytes) -> str:
    return printable(value.decode("utf-8", "backslashreplace"))


def _hex(value: bytes) -> str:
    data = value[:_HEX_MAX]
    lines = [data[at : at + 16] for at in range(0, len(data), 16)]
    shown = "\n".join(
        f"{16 * number:06x}  {line.hex(' '):<47}  {''.join(chr(one) if 32 <= one < 127 else '.' for one in line)}"
        for number, line in enumerate(lines)
    )
    return shown if len(value) <= len(data) else f"{shown}\n… {len(value) - len(data):,} bytes more"


def _tree(value: Any, name: str, shown: Iterator[int], depth: int) -> None:
    """A value as a tree; ``shown`` counts its nodes."""
    if not isinstance(value, dict | list) or not value or depth >= _TREE_DEPTH_MAX:
        cell = printable(f"{name}: {_cell(value)}", 10_000)
        ui.label(cell)
        return
    inner = value.items() if isinstance(value, dict) else enumerate(value)
    with ui.element("details").props("open"):
        tag("summary", printable(f"{name} ({len(value):,})"))
        for place, (key, cell) in enumerate(inner):
            if next(shown) > _TREE_MAX:
                ui.label(f"… {len(value) - place:,} more: see raw").classes("note")
                break
            _tree(cell, str(key), shown, depth + 1)


def _cell(value: Any) -> str:
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    try:
        return orjson.dumps(value, default=str).decode()
    except (TypeError, ValueError, RecursionError):  # nested without end, a number beyond 64 bits, half a surrogate
        return json.dumps(str(type(value).__name__))
