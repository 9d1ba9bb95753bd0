"""Click logs of anybody, from files: a session, an item and a time in each row, perhaps a user, under whatever names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from clickreel.audit.realism.click_log import ClickLog
from clickreel.errors import ClickreelError, MissingError, UsageError

# Names that such columns bear in known logs, without case and underscores; the first that is there is taken.
NAMES = {
    "session": ("sessionid", "session", "visitid", "visitorid", "userid", "user"),
    "item": ("filmid", "itemid", "item", "aid", "articleid", "productid", "productskuhash", "film"),
    "time": ("eventts", "tsms", "timestamp", "servertimestampepochms", "ts", "time", "eventtime", "eventdate"),
}
USER_NAMES = ("userid", "user", "visitorid")
_HEADLESS = ("session", "timestamp", "item", "category")  # yoochoose-clicks.dat, from which RSC15 is made
_SUFFIXES = (".parquet", ".csv", ".jsonl", ".dat")


def read_clicks(path: Path) -> ClickLog:
    """Read a log: ``.parquet``, ``.csv`` with a header, ``.jsonl``, or ``.dat`` (CSV without a header: session, time, item).

    Times are ISO 8601 or numbers of seconds, milliseconds or microseconds since 1970. Where there is a column ``event_type`` with detail views in
    it, only these are clicks.

    Raises:
        MissingError: There is no such file.
        UsageError: The format or the columns cannot be told.
        ClickreelError: It cannot be read as what its suffix says.
    """
    if not path.exists():
        raise MissingError(f"no file {path}", hint=f"clickreel simulate --out {path}")
    if path.suffix not in _SUFFIXES:
        raise UsageError(f"cannot tell the format of {path}", hint=f"name it with one of: {', '.join(_SUFFIXES)}")
    try:
        return log_from_table(_table(path), str(path))
    except pa.ArrowException as exc:
        first = str(exc).splitlines()[0]
        raise ClickreelError(f"{path} cannot be read as {path.suffix[1:]}: {first}", hint=f"head {path}") from exc


def _table(path: Path) -> pa.Table:
    if path.suffix == ".parquet":
        import pyarrow.parquet as pq

        return pq.read_table(path)
    if path.suffix == ".jsonl":
        import pyarrow.json as pj

        return pj.read_json(path)
    import pyarrow.csv as pcsv

    names = list(_HEADLESS) if path.suffix == ".dat" else None
    return pcsv.read_csv(path, pcsv.ReadOptions(column_names=names))


def log_from_table(table: pa.Table, what: str) -> ClickLog:
    """The clicks of a table.

    Raises:
        UsageError: It lacks a column, or a time cannot be read.
    """
    plain = {name.lower().replace("_", ""): name for name in table.column_names}
    found = {part: next((plain[name] for name in names if name in plain), None) for part, names in NAMES.items()}
    missing = [part for part, name in found.items() if name is None]
    if missing:
        raise UsageError(
            f"{what} has no column for the {missing[0]}", hint=f"name it one of: {', '.join(NAMES[missing[0]])}"
        )
    if "eventtype" in plain:
        kind = table[plain["eventtype"]]
        kind = kind.cast(pa.string()) if pa.types.is_dictionary(kind.type) else kind
        if pa.types.is_string(kind.type) and pc.any(pc.equal(kind, "detail_view")).as_py():
            table = table.filter(pc.equal(kind, "detail_view"))
    session, item, time = (table[found[part]] for part in ("session", "item", "time"))
    known = pc.and_(pc.and_(pc.is_valid(session), pc.is_valid(item)), pc.is_valid(time))
    user = next((plain[name] for name in USER_NAMES if name in plain and plain[name] != found["session"]), None)
    return ClickLog.from_columns(
        _codes(session.filter(known)),
        _codes(item.filter(known)),
        _times_ms(time.filter(known)),
        None if user is None else _codes(table[user].filter(known)),
    )


def _codes(column: pa.ChunkedArray) -> NDArray[np.int64]:
    return (
        np.asarray(column.combine_chunks().dictionary_encode().indices, np.int64)
        if len(column)
        else np.zeros(0, np.int64)
    )


def _times_ms(column: pa.ChunkedArray) -> NDArray[np.int64]:
    if not pa.types.is_integer(column.type) and not pa.types.is_floating(column.type):
        at: Any = (
            column
            if pa.types.is_timestamp(column.type)
            else pc.cast(pc.utf8_replace_slice(column, 10, 11, "T"), pa.timestamp("ms"))
        )
        return np.asarray(pc.cast(at, pa.timestamp("ms"), safe=False).cast(pa.int64()).to_numpy(), np.int64)
    values = np.asarray(column.to_numpy(), np.float64)
    middle = float(np.median(values)) if len(values) else 0.0
    # A number of 2001 to 2286 has 10 digits in seconds, 13 in milliseconds, 16 in microseconds.
    scale = 1e3 if middle < 1e11 else 1.0 if middle < 1e14 else 1e-3
    return (values * scale).astype(np.int64)
