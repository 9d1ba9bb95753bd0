"""A chart of named bars."""

from __future__ import annotations

from collections.abc import Iterable

from nicegui.element import Element


class BarChart(Element, component="bar_chart.js"):
    """Bars that lie, each with its name and figure.

    Args:
        label: What a screen reader calls it.
        color: A custom property of the style sheet.
    """

    def __init__(self, label: str, *, color: str = "--series-1") -> None:
        super().__init__()
        self._props["label"] = label
        self._props["color"] = color

    def set(self, bars: Iterable[tuple[str, float, str]]) -> None:
        """Show these bars and no others.

        Args:
            bars: Name, value, and the value as text.
        """
        self.run_method("set", [{"name": name, "value": value, "text": text} for name, value, text in bars])
