"""Columns to bytes: the messages of a block, written without a loop over its rows (and, from :mod:`.decode`, read back).

A message is seven pieces: two of fixed width, made in NumPy out of tables (hex digits, dates, times of day), three numbers, and two
texts that stand for a pair of words each. Arrow joins them::

    {"event_id":"<uuid>","event_ts":"<ts>","user_id":"u_10","session_id":"s_<8 hex>","film_id":331,"event_type":...,"position":9,"device":...}
    |--------------------- head ----------------------|user|--------- session --------------|film|------- action ---------|pos|--- tail ---|

The slow twin, ``json.dumps`` row by row, stands in the tests; both give the same bytes.
"""

from __future__ import annotations

import functools
import itertools
import json
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from clickreel.contract import corrupt
from clickreel.contract.bounds import check_columns
from clickreel.contract.decode import Decoded, decode
from clickreel.contract.vocabulary import DEVICES, EVENT_TYPES, FIELDS, FLAWS, MALFORMED, PAGES, REFERRERS
from clickreel.events import Deliveries

__all__ = ["Decoded", "Encoded", "check_columns", "decode", "encode"]

_DAY_MS = 86_400_000
_BLOCK_ROWS_MAX = 6_000_000  # Arrow's offsets are 32 bits wide: 2 GiB a block, and a row has at most 300 bytes

assert FIELDS == (
    "event_id",
    "event_ts",
    "user_id",
    "session_id",
    "film_id",
    "event_type",
    "page",
    "position",
    "device",
    "referrer",
), "the schema's fields have changed: the pieces below must follow"


@dataclass(frozen=True, slots=True)
class Encoded:
    """The messages of a block, in its order.

    Attributes:
        keys: The key of each message: a JSON string (binary[n], no nulls).
        values: The value of each message: compact JSON, the schema's order of fields, no framing (binary[n], no nulls).
    """

    keys: pa.BinaryArray
    values: pa.BinaryArray

    def __len__(self) -> int:
        """How many messages there are."""
        return len(self.values)


def encode(deliveries: Deliveries) -> Encoded:
    """Write a block as Kafka messages.

    Rows whose flaw is malformed are broken as ``flaw`` and ``variant`` say; ``duplicate_changed`` rows keep their id and get another
    payload. Everything else is valid under the contract. The same block gives the same bytes, always.

    Args:
        deliveries: At most 6 million rows; fewer, some 10,000 to 100,000, stay in the processor's cache and are the quickest.

    Raises:
        ContractError: A column holds a value that the contract forbids.
    """
    assert len(deliveries) <= _BLOCK_ROWS_MAX, (
        f"{len(deliveries)} rows are more than one block holds ({_BLOCK_ROWS_MAX})"
    )
    check_columns(deliveries.events)
    changed = np.flatnonzero(deliveries.flaw == FLAWS.index("duplicate_changed"))
    if len(changed):
        events = corrupt.change(deliveries.events, changed, deliveries.variant[changed])
        deliveries = replace(deliveries, events=events)
    user = _decimal(deliveries.events.user)
    keys, values = _join(b'"u_', user, b'"'), _values(deliveries, user)
    broken = np.flatnonzero(deliveries.flaw >= FLAWS.index(MALFORMED[0]))
    return _break(Encoded(keys, values), deliveries, broken) if len(broken) else Encoded(keys, values)


def _break(good: Encoded, deliveries: Deliveries, rows: NDArray[np.intp]) -> Encoded:
    """Replace the given rows by their malformed form."""
    pairs = [
        corrupt.corrupt(FLAWS[flaw], int(variant), key, value)
        for flaw, variant, key, value in zip(
            deliveries.flaw[rows],
            deliveries.variant[rows],
            good.keys.take(pa.array(rows)).to_pylist(),
            good.values.take(pa.array(rows)).to_pylist(),
            strict=True,
        )
    ]
    mask = np.zeros(len(deliveries), bool)
    mask[rows] = True
    keys, values = (pa.array(column, pa.binary()) for column in zip(*pairs, strict=True))
    return Encoded(
        pc.replace_with_mask(good.keys, pa.array(mask), keys), pc.replace_with_mask(good.values, pa.array(mask), values)
    )


def _values(deliveries: Deliveries, user: pa.BinaryArray) -> pa.BinaryArray:
    events = deliveries.events
    return _join(
        _fixed(_head(deliveries)),
        user,
        _fixed(_session(events.session)),
        _decimal(events.film),
        _actions().take(pa.array(events.event_type * np.uint8(len(PAGES)) + events.page)),
        _decimal(events.position),
        _tails().take(pa.array(events.device * np.uint8(len(REFERRERS)) + events.referrer)),
    )


def _join(*pieces: pa.BinaryArray | bytes) -> pa.BinaryArray:
    """The pieces of each row, one behind the other."""
    columns = [pa.scalar(piece, pa.binary()) if isinstance(piece, bytes) else piece for piece in pieces]
    return pc.binary_join_element_wise(*columns, pa.scalar(b"", pa.binary()))


def _decimal(numbers: NDArray[np.integer]) -> pa.BinaryArray:
    return pa.array(numbers).cast(pa.string()).cast(pa.binary())


def _fixed(pieces: NDArray[np.void]) -> pa.BinaryArray:
    """Pieces of one width as Arrow holds them; nothing is copied but their offsets."""
    width = pieces.dtype.itemsize
    offsets = np.arange(0, (len(pieces) + 1) * width, width, dtype=np.int32)
    return pa.BinaryArray.from_buffers(pa.binary(), len(pieces), [None, pa.py_buffer(offsets), pa.py_buffer(pieces)])


def _text(field: str, *, first: bool = False) -> bytes:
    """The bytes that lead to a field's value."""
    return (b"{" if first else b",") + json.dumps(field).encode() + b":"


def _head_dtype() -> tuple[np.dtype[np.void], bytes]:
    """The row of the head and its template, whose blanks are filled per row."""
    start, ts, user = (
        _text("event_id", first=True) + b'"',
        b'"' + _text("event_ts") + b'"',
        b'"' + _text("user_id") + b'"u_',
    )
    groups = [("id0", "<u8"), ("-0", "V1"), ("id1", "<u4"), ("-1", "V1"), ("id2", "<u4"), ("-2", "V1")]
    groups += [("id3", "<u4"), ("-3", "V1"), ("id4", "<u8"), ("id5", "<u4")]
    moment = [("day", "V10"), ("space", "V1"), ("second", "<u8"), ("ms", "<u4")]
    dtype = np.dtype([("start", f"V{len(start)}"), *groups, ("ts", f"V{len(ts)}"), *moment, ("user", f"V{len(user)}")])
    return dtype, start + b"00000000-0000-0000-0000-000000000000" + ts + b"0000-00-00 00:00:00.000" + user


def _head(deliveries: Deliveries) -> NDArray[np.void]:
    """``{"event_id":"<uuid>","event_ts":"<ts>","user_id":"u_``."""
    dtype, template = _head_dtype()
    head = np.empty(len(deliveries), dtype)
    head.view(f"V{dtype.itemsize}")[:] = np.void(template)
    hexes, hi, lo = _hex16(), deliveries.id_hi, deliveries.id_lo
    pair = np.empty((len(deliveries), 2), np.uint32)
    for name, half, shift in (("id0", hi, 48), ("id4", lo, 32)):
        pair[:, 0], pair[:, 1] = hexes[(half >> shift) & 0xFFFF], hexes[(half >> (shift - 16)) & 0xFFFF]
        head[name] = pair.view("<u8")[:, 0]
    for name, half, shift in (("id1", hi, 16), ("id2", hi, 0), ("id3", lo, 48), ("id5", lo, 0)):
        head[name] = hexes[(half >> shift) & 0xFFFF]
    day = deliveries.events.ts_ms // _DAY_MS
    second, ms = np.divmod((deliveries.events.ts_ms - day * _DAY_MS).astype(np.uint32), np.uint32(1000))
    first = int(day.min()) if len(day) else 0
    head["day"] = _days(first, int(day.max()) if len(day) else 0)[day - first]
    head["second"] = _seconds()[second]
    head["ms"] = _milliseconds()[ms]
    return head


def _session(session: NDArray[np.uint32]) -> NDArray[np.void]:
    """``","session_id":"s_<8 hex>","film_id":``."""
    start, end = b'"' + _text("session_id") + b'"s_', b'"' + _text("film_id")
    dtype = np.dtype([("start", f"V{len(start)}"), ("hi", "<u4"), ("lo", "<u4"), ("end", f"V{len(end)}")])
    pieces = np.empty(len(session), dtype)
    pieces.view(f"V{dtype.itemsize}")[:] = np.void(start + b"00000000" + end)
    pieces["hi"], pieces["lo"] = _hex16()[session >> 16], _hex16()[session & 0xFFFF]
    return pieces


@functools.cache
def _actions() -> pa.BinaryArray:
    """What stands between film_id and position, by ``event_type * len(PAGES) + page``."""
    return pa.array(
        [
            _text("event_type")
            + json.dumps(event).encode()
            + _text("page")
            + json.dumps(page).encode()
            + _text("position")
            for event, page in itertools.product(EVENT_TYPES, PAGES)
        ],
        pa.binary(),
    )


@functools.cache
def _tails() -> pa.BinaryArray:
    """What follows position, by ``device * len(REFERRERS) + referrer``."""
    return pa.array(
        [
            _text("device") + json.dumps(device).encode() + _text("referrer") + json.dumps(referrer).encode() + b"}"
            for device, referrer in itertools.product(DEVICES, REFERRERS)
        ],
        pa.binary(),
    )


def _table(texts: list[str], dtype: str) -> NDArray[np.uint64]:
    return np.frombuffer("".join(texts).encode(), dtype)


@functools.cache
def _hex16() -> NDArray[np.uint64]:
    return _table([f"{n:04x}" for n in range(0x10000)], "<u4")


@functools.cache
def _milliseconds() -> NDArray[np.uint64]:
    return _table([f".{n:03d}" for n in range(1000)], "<u4")


@functools.cache
def _seconds() -> NDArray[np.uint64]:
    return _table([f"{n // 3600:02d}:{n // 60 % 60:02d}:{n % 60:02d}" for n in range(86_400)], "<u8")


@functools.lru_cache(16)
def _days(first: int, last: int) -> NDArray[np.void]:
    """The dates from the first to the last day, both counted from 1970."""
    return np.arange(first, last + 1).astype("datetime64[D]").astype("S10").view("V10")
