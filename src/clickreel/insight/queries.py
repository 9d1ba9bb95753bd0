"""The statements behind the answers, as files: read, run and shown as they are."""

from __future__ import annotations

import functools
import importlib.resources


@functools.cache
def _file(name: str) -> str:
    return importlib.resources.files(__package__).joinpath("sql", f"{name}.sql").read_text(encoding="utf-8")


def text(name: str, **pieces: str) -> str:
    """A statement.

    Args:
        name: The file in ``sql/``, without its suffix.
        pieces: SQL for the places ``{piece}``; values do not belong here, they are parameters (``{name:Type}``).
    """
    sql = _file(name)
    for piece, value in pieces.items():
        assert f"{{{piece}}}" in sql, f"{name}.sql has no place for {piece}"
        sql = sql.replace(f"{{{piece}}}", value)
    return sql
