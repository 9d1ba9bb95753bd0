"""A table of messages that a live stream does not slow down."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nicegui.element import Element

# Nobody scrolls through more by hand; what is older is a seek away.
ROWS_MAX = 500


class MessageTable(Element, component="message_table.js"):
    """Messages, newest first; a row that is chosen emits ``choose`` with its partition and offset.

    Args:
        columns: The fields of the event, a column each.
        numeric: Those of them that hold numbers, flush right.
        label: What a screen reader calls the table.
        empty: What stands there while there is no row: what to do next.
        first: Rows that stand there with the page itself, oldest first.
    """

    def __init__(
        self,
        columns: tuple[str, ...],
        *,
        numeric: Sequence[str],
        label: str,
        empty: str,
        first: Sequence[dict[str, Any]] = (),
    ) -> None:
        super().__init__()
        self._props["columns"] = list(columns)
        self._props["numeric"] = list(numeric)
        self._props["label"] = label
        self._props["rowsMax"] = ROWS_MAX
        self._props["emptyText"] = empty
        self._props["first"] = list(first)

    def push(self, rows: list[dict[str, Any]]) -> None:
        """Add rows, oldest first; while the table is paused they wait and are counted."""
        self._send("push", rows)

    def set(self, rows: list[dict[str, Any]]) -> None:
        """Show these rows and no others."""
        self._send("set", rows)

    def _send(self, method: str, rows: list[dict[str, Any]]) -> None:
        """Call a method with rows, as data: the framework's own way is a script, which a browser takes five times as long to read."""
        if not self.is_deleted:
            message = {"method": method, "rows": rows}
            self.client.outbox.enqueue_message(f"rows-{self.html_id}", message, self.client.id)

    def explain_empty(self, text: str) -> None:
        """What stands there while there is no row."""
        self._props["first"] = []  # not once more with each change
        self._props["emptyText"] = text

    def pause(self, *, paused: bool) -> None:
        """Hold new rows back, or show those that waited."""
        self.run_method("pause", paused)

    def hide(self, columns: list[str]) -> None:
        """Show all columns but these."""
        self.run_method("hide", columns)

    def use_local_time(self, *, local: bool) -> None:
        """Show local time or UTC."""
        self.run_method("zone", local)

    def download(self, form: str, name: str) -> None:
        """Hand the rows that are shown to the browser as a file: ``csv`` or ``jsonl``."""
        self.run_method("download", form, name)
