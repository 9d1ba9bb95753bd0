"""Answers as tables: rows that are dataclasses become Arrow, pandas or Polars with the names of the JSON."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Sequence
from typing import Any, Union, get_type_hints

import pyarrow as pa

from clickreel.errors import MissingError

_ARROW_TYPES = {int: pa.int64(), float: pa.float64(), str: pa.string(), bool: pa.bool_()}


class Tabular:
    """An answer that can be had as a table; instants are timestamps in UTC."""

    def _table_rows(self) -> tuple[type[Any], Sequence[Any]]:
        """The class of the rows and the rows."""
        raise NotImplementedError

    def to_arrow(self) -> pa.Table:
        """The rows as an Arrow table; without rows it has its columns nevertheless."""
        row_type, rows = self._table_rows()
        hints = get_type_hints(row_type)
        columns: dict[str, pa.Array] = {}
        for field in dataclasses.fields(row_type):
            is_instant = field.name.endswith("_ms")
            kind = pa.timestamp("ms", "UTC") if is_instant else _ARROW_TYPES[plain_type(hints[field.name])]
            columns[field.name.removesuffix("_ms")] = pa.array([getattr(row, field.name) for row in rows], kind)
        return pa.table(columns)

    def to_pandas(self) -> Any:
        """The rows as a pandas frame.

        Raises:
            MissingError: pandas is not installed.
        """
        try:
            return self.to_arrow().to_pandas()
        except ImportError as exc:
            raise MissingError("pandas is not installed", hint="pip install pandas") from exc

    def to_polars(self) -> Any:
        """The rows as a Polars frame.

        Raises:
            MissingError: Polars is not installed.
        """
        try:
            import polars as pl
        except ImportError as exc:
            raise MissingError("polars is not installed", hint="pip install polars") from exc
        return pl.from_arrow(self.to_arrow())


def plain_type(hint: Any) -> type[Any]:
    """The type of a field without its None."""
    if typing.get_origin(hint) in {types.UnionType, Union}:
        (hint,) = (part for part in typing.get_args(hint) if part is not types.NoneType)
    assert isinstance(hint, type)
    return hint
