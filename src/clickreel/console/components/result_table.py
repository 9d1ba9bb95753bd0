"""A table of rows that is replaced as a whole."""

from __future__ import annotations

from collections.abc import Sequence

from nicegui.element import Element


class ResultTable(Element, component="result_table.js"):
    """Rows under their columns.

    Args:
        label: What a screen reader calls it.
    """

    def __init__(self, label: str) -> None:
        super().__init__()
        self._props["label"] = label

    def set(self, columns: Sequence[str], numeric: Sequence[bool], rows: Sequence[Sequence[str]]) -> None:
        """Show these rows and no others.

        Args:
            columns: Names of the columns.
            numeric: Which of them are set flush right.
            rows: The cells, as text.
        """
        self.run_method("set", list(columns), list(numeric), [list(row) for row in rows])
