"""ClickHouse's Native format, written from arrays: one block, column by column.

clickhouse-connect can write it from Python values at some 3 us a row; an array's bytes are already what the format wants, so a block of
this module costs a copy. The format is ClickHouse's own, so no type is guessed on the way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

# LowCardinality, as a single block carries it: version 1 of the keys; flags "the dictionary is in this block" and "it is new".
_LOW_CARDINALITY = np.array([1], "<u8").tobytes()
_WITH_KEYS = (1 << 9) | (1 << 10)


class NativeBlock:
    """A block under construction.

    Args:
        rows: How many rows every column has.
    """

    def __init__(self, rows: int) -> None:
        self.rows = rows
        self.names: list[str] = []
        self._pieces: list[bytes] = []

    def _head(self, name: str, kind: str) -> None:
        self.names.append(name)
        self._pieces += (_text(name.encode()), _text(kind.encode()))

    def fixed(self, name: str, kind: str, values: NDArray[Any]) -> None:
        """A column of fixed width, given as an array of that width (two 64-bit columns for a UUID, the upper one first)."""
        assert len(values) == self.rows, f"{name} has {len(values)} rows, the block {self.rows}"
        self._head(name, kind)
        self._pieces.append(np.ascontiguousarray(values, values.dtype.newbyteorder("<")).tobytes())

    def words(self, name: str, dictionary: Sequence[str], codes: NDArray[np.uint8]) -> None:
        """A ``LowCardinality(String)`` column: places in a dictionary of at most 256 words."""
        assert len(codes) == self.rows, f"{name} has {len(codes)} rows, the block {self.rows}"
        assert codes.dtype == np.uint8, f"{name} has codes of {codes.dtype}"
        self._head(name, "LowCardinality(String)")
        if not self.rows:
            return
        keys = [_text(word.encode()) for word in dictionary]
        sizes = (np.array([number], "<u8").tobytes() for number in (_WITH_KEYS, len(keys), self.rows))
        flags, count, rows = sizes
        self._pieces += (_LOW_CARDINALITY, flags, count, *keys, rows, codes.tobytes())

    def constant(self, name: str, word: str) -> None:
        """A ``LowCardinality(String)`` column that holds one word."""
        self.words(name, [word], np.zeros(self.rows, np.uint8))

    def texts(self, name: str, by_row: Mapping[int, bytes]) -> None:
        """A ``String`` column that is empty but for some rows."""
        self._head(name, "String")
        self._pieces += _sparse(by_row, self.rows)

    def optional(self, name: str, by_row: Mapping[int, bytes]) -> None:
        """A ``Nullable(String)`` column that is null but for some rows."""
        self._head(name, "Nullable(String)")
        nulls = np.ones(self.rows, np.uint8)
        nulls[list(by_row)] = 0
        self._pieces.append(nulls.tobytes())
        self._pieces += _sparse(by_row, self.rows)

    def arrays(self, name: str, by_row: Mapping[int, Sequence[bytes]]) -> None:
        """An ``Array(String)`` column whose arrays are empty but for some rows."""
        self._head(name, "Array(String)")
        lengths = np.zeros(self.rows, "<u8")
        for row, items in by_row.items():
            lengths[row] = len(items)
        self._pieces.append(np.cumsum(lengths, dtype="<u8").tobytes())
        self._pieces += [_text(item) for row in sorted(by_row) for item in by_row[row]]

    def data(self) -> bytes:
        """The block's bytes."""
        return b"".join((_number(len(self.names)), _number(self.rows), *self._pieces))


def _sparse(by_row: Mapping[int, bytes], rows: int) -> list[bytes]:
    """Texts of which most are empty: an empty one is the single byte 0."""
    pieces: list[bytes] = []
    at = 0
    for row in sorted(by_row):
        pieces += (bytes(row - at), _text(by_row[row]))
        at = row + 1
    pieces.append(bytes(rows - at))
    return pieces


def _text(data: bytes) -> bytes:
    return _number(len(data)) + data


def _number(value: int) -> bytes:
    """An unsigned number, seven bits a byte, low ones first."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
