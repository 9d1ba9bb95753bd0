"""A live chart of one point a second."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nicegui.element import Element

Point = tuple[float | None, ...]
"""Milliseconds since the Unix epoch, then one value a series; None where there is none."""


@dataclass(frozen=True, slots=True)
class ChartSeries:
    """One line.

    Attributes:
        name: What it shows.
        color: A custom property of the style sheet: ``--series-1`` to ``--series-6``.
        unit: The unit, as it is printed behind a value.
        dashed: Drawn dashed, so that colour is not the only difference.
    """

    name: str
    color: str
    unit: str = ""
    dashed: bool = False


class TimeChart(Element, component="time_chart.js"):
    """Points over time; a stretch that is dragged emits ``select`` with ``from_ms`` and ``until_ms``.

    Args:
        series: The lines.
        label: What a screen reader calls the chart.
        kind: ``line`` or ``bars``.
        height: In pixels.
        window_s: How much time it shows and keeps, s.
        local: Show local time instead of UTC.
        selectable: Whether a stretch can be dragged.
    """

    def __init__(
        self,
        series: Sequence[ChartSeries],
        *,
        label: str,
        kind: str = "line",
        height: int = 140,
        window_s: int = 300,
        local: bool = False,
        selectable: bool = False,
    ) -> None:
        super().__init__()
        self._props["series"] = [
            {"name": one.name, "color": one.color, "unit": one.unit, "dashed": one.dashed} for one in series
        ]
        self._props["label"] = label
        self._props["kind"] = kind
        self._props["height"] = height
        self._props["windowS"] = window_s
        self._props["local"] = local
        self._props["selectable"] = selectable

    def set(self, points: Sequence[Point]) -> None:
        """Show these points and no others."""
        self.run_method("set", list(points))

    def push(self, points: Sequence[Point]) -> None:
        """Add points; what is older than the window goes."""
        self.run_method("push", list(points))

    def show_span(self, seconds: int) -> None:
        """Show the last so many seconds of what is kept."""
        self.run_method("span", seconds)

    def use_local_time(self, *, local: bool) -> None:
        """Show local time or UTC."""
        self.run_method("zone", local)
