"""What the contract allows in each column, read from the schema: the check of a block before it is encoded."""

from __future__ import annotations

from typing import Any

import numpy as np

from clickreel.contract import schema
from clickreel.errors import ContractError
from clickreel.events import Events

_YEARS_MS = tuple(int(np.datetime64(year, "ms").astype(np.int64)) for year in ("1970", "2100"))


def _bounds(column: str, field: str) -> tuple[int, int, str, str]:
    """Smallest and largest allowed value of a column, the rule it stands for, and the allowed values in words."""
    rules: dict[str, Any] = schema.current("value").fields[field]
    if "enum" in rules:
        return 0, len(rules["enum"]) - 1, "enum", f"a code from 0 to {len(rules['enum']) - 1}"
    if "minimum" in rules:
        return rules["minimum"], rules["maximum"], "minimum", f"from {rules['minimum']} to {rules['maximum']}"
    if column == "ts_ms":
        return _YEARS_MS[0], _YEARS_MS[1] - 1, "pattern", "an instant of the years 1970 to 2099, in ms since 1970"
    return 1, 2**32 - 1, "pattern", "a number from 1"


COLUMNS = {
    column: (field, *_bounds(column, field))
    for column, field in {
        "ts_ms": "event_ts",
        "user": "user_id",
        "film": "film_id",
        "event_type": "event_type",
        "page": "page",
        "position": "position",
        "device": "device",
        "referrer": "referrer",
    }.items()
}
"""Column of :class:`Events` -> (field, lowest, highest, rule, allowed values in words). Ids and sessions cannot be wrong: all bits are used."""


def check_columns(events: Events) -> None:
    """Check a block against the contract before it is encoded.

    Raises:
        ContractError: Names the first bad row of the first bad column, its field, value and rule.
    """
    if not len(events):
        return
    for column, (field, low, high, rule, allowed) in COLUMNS.items():
        values = getattr(events, column)
        if low <= int(values.min()) and int(values.max()) <= high:
            continue
        row = int(np.flatnonzero((values < low) | (values > high))[0])
        raise ContractError(
            f"row {row}: {field} is {values[row]}, which breaks the rule {rule} of {schema.current('value').subject}: {allowed}",
            hint=f"clickreel contract show --field {field}",
        )
