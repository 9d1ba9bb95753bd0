"""A changelog folded into the table that it describes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import orjson

from clickreel.flink.workspace import Row


class ChangelogView:
    """The rows that hold now, in the order in which they came; an update takes the place of the row that it updates.

    Equal rows are counted apart: taking one back leaves the others.
    """

    def __init__(self) -> None:
        self._rows: dict[int, list[Any]] = {}
        self._places: dict[bytes, list[int]] = {}
        self._next = 0
        self._hole: int | None = None

    def add(self, rows: Iterable[Row]) -> None:
        """Take changes: ``+I`` and ``+U`` add a row, ``-U`` and ``-D`` take one back."""
        for kind, cells in rows:
            key = orjson.dumps(cells)
            if kind[0] == "-":
                self._remove(key, keep_place=kind == "-U")
            else:
                self._insert(key, cells, in_hole=kind == "+U")

    def rows(self) -> Sequence[list[Any]]:
        """The rows that hold now."""
        return [self._rows[place] for place in sorted(self._rows)]

    def __len__(self) -> int:
        """How many rows hold now."""
        return len(self._rows)

    def _remove(self, key: bytes, *, keep_place: bool) -> None:
        places = self._places.get(key)
        if not places:
            return  # its row expired from Flink's state and was never ours
        place = places.pop()
        if not places:
            del self._places[key]
        del self._rows[place]
        self._hole = place if keep_place else None

    def _insert(self, key: bytes, cells: list[Any], *, in_hole: bool) -> None:
        if in_hole and self._hole is not None:
            place, self._hole = self._hole, None
        else:
            place, self._next = self._next, self._next + 1
        self._rows[place] = cells
        self._places.setdefault(key, []).append(place)
