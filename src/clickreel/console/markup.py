"""The few HTML elements that the screens are built from."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from nicegui import ui
from nicegui.elements.mixins.text_element import TextElement

from clickreel.errors import ClickreelError
from clickreel.foreign_text import printable

NOTHING = "\N{EN DASH}"
"""What stands where there is no value."""


def tag(name: str, text: str = "", *, classes: str = "", props: str = "") -> TextElement:
    """An HTML element with text; the text is never read as HTML.

    Args:
        name: ``h2``, ``td``, ...
        text: Its text.
        classes: Classes of the style sheet.
        props: Attributes, as they are written in HTML.
    """
    element = TextElement(tag=name, text=text)
    if classes:
        element.classes(classes)
    return element.props(props) if props else element


def button(text: str, pressed: Callable[[], Any], *, classes: str = "btn", props: str = "") -> TextElement:
    """A button.

    Args:
        text: What it says.
        pressed: Called when it is pressed; may be a coroutine function.
        classes: Classes of the style sheet.
        props: Further attributes.
    """
    element = tag("button", text, classes=classes, props=f'type="button" {props}')
    element.on("click", lambda _: pressed())
    return element


def text_field(
    label: str,
    changed: Callable[[str], Any],
    *,
    value: str = "",
    classes: str = "field",
    props: str = "",
    name: str = "input",
) -> ui.element:
    """A field for text; ``changed`` gets its text when it is left or Enter is pressed.

    Args:
        label: What a screen reader calls it.
        changed: Called with the text; may be a coroutine function.
        value: What stands in it first.
        classes: Classes of the style sheet.
        props: Further attributes.
        name: ``input`` or ``textarea``.
    """
    # As the attribute and not as the property, which the framework would put back while somebody types.
    element = TextElement(tag=name, text=value if name == "textarea" else "").classes(classes).props(props)
    element.props["aria-label"] = label
    if name == "input":
        element.props["^value"] = value
    element.on("change", lambda event: changed(str(event.args or "")), js_handler="(event) => emit(event.target.value)")
    return element


def set_value(element: ui.element, value: str) -> None:
    """Put a value into a field or a list that a person may have changed already."""
    ui.run_javascript(f"getElement({element.id}).value = {json.dumps(value)}")


def choice(
    label: str, options: Sequence[tuple[str, str]], chosen: str, changed: Callable[[str], Any], *, props: str = ""
) -> ui.element:
    """A list to choose from.

    Args:
        label: What a screen reader calls it.
        options: Values and what they are called.
        chosen: The value that is chosen first.
        changed: Called with the value; may be a coroutine function.
        props: Further attributes.
    """
    with ui.element("select").classes("field").props(props) as select:
        for value, text in options:
            option = tag("option", text)
            option.props["value"] = value
            if value == chosen:
                option.props("selected")
    select.props["aria-label"] = label
    select.on("change", lambda event: changed(str(event.args or "")), js_handler="(event) => emit(event.target.value)")
    return select


def link(text: str, address: str, *, classes: str = "btn", props: str = "") -> TextElement:
    """A link to an address of this console."""
    element = tag("a", text, classes=classes, props=props)
    element.props["href"] = address
    return element


def explain(exc: ClickreelError) -> str:
    """An error as one line of text, its hint behind it."""
    return printable(exc.message) + (f" ({printable(exc.hint)})" if exc.hint else "")


def stat(name: str) -> tuple[ui.label, ui.label]:
    """A figure with its name above and a remark below; returns figure and remark."""
    with ui.element("div").classes("stat"):
        ui.label(name).classes("stat-name")
        return ui.label(NOTHING).classes("stat-value"), ui.label("").classes("stat-more")


def card(title: str) -> ui.element:
    """A card with a title; use it as a context."""
    section = ui.element("section").classes("card")
    with section:
        tag("h2", title, classes="card-title")
    return section


def table(
    head: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    numeric: frozenset[int] = frozenset(),
    is_wordy: bool = False,
) -> None:
    """A plain table.

    Args:
        head: The columns' names.
        rows: The cells, as text.
        numeric: Columns that are set flush right.
        is_wordy: Whether its cells are sentences: on a narrow page they stand below each other, each with its column's name.
    """
    with (
        ui.element("div").classes("scroll-x").props('tabindex="0"'),
        ui.element("table").classes("tbl tbl-wordy" if is_wordy else "tbl"),
    ):
        with ui.element("thead"), ui.element("tr"):
            for column, name in enumerate(head):
                tag("th", name, classes="num" if column in numeric else "", props='scope="col"')
        with ui.element("tbody"):
            for row in rows:
                with ui.element("tr"):
                    for column, cell in enumerate(row):
                        element = tag("td", cell, classes="num" if column in numeric else "")
                        if is_wordy:
                            element.props["data-head"] = head[column]


def whole_number(text: str, default: int) -> int:
    """A number of an address that somebody may have typed; whatever is none is the default."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else default


def remember(name: str, value: str) -> None:
    """Keep a part of the state in the address, so that a link reproduces the view."""
    ui.run_javascript(
        f"const url = new URL(location); const value = {json.dumps(value)};"
        f"value ? url.searchParams.set({json.dumps(name)}, value) : url.searchParams.delete({json.dumps(name)});"
        "history.replaceState(null, '', url)"
    )
