"""Counts in words: ``1 row``, ``2,345 rows``."""

from __future__ import annotations


def quantity(count: int, noun: str, plural: str = "") -> str:
    """A count with its noun, in the number that it has.

    Args:
        count: How many.
        noun: One of them.
        plural: Several of them; by default the noun with an ``s``.
    """
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {plural or noun + 's'}"
