"""Columns to bytes: the messages of a block, written without a loop over its rows (and, from :mod:`.decode`, read back).

A message is one row of a flat buffer. Its length is known from the columns, so all offsets are known before a byte is written.
The pieces of a row are written **from right to left**, each right-aligned to its end: what a piece pads on its left is overwritten by
the next one, and the last piece, ``{"event_id":...,"user_id":"u_``, is wider than any padding. So numbers need no trimming, and a
piece is one scatter of fixed-width items::

    {"event_id":"<uuid>","event_ts":"<ts>","user_id":"u_   10","session_id":"s_<8 hex>","film_id":   331   ,"event_type":...,"position":   9   ,"device":...}
    |------------------- head (6) -----------------------| user (5) |------- session (4) -------|    film (3) |---- action (2) ---|  position (1)  tail (0)

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

from clickreel.contract import malform
from clickreel.contract.bounds import check_columns
from clickreel.contract.decode import Decoded, decode
from clickreel.contract.vocabulary import DEVICES, EVENT_TYPES, FIELDS, FLAWS, MALFORMED, PAGES, REFERRERS
from clickreel.simulate.events import Deliveries

__all__ = ["Decoded", "Encoded", "check_columns", "decode", "encode"]

_DAY_MS = 86_400_000
_DIGITS = 12  # of the widest number, rounded up to whole groups of four; more than any column's ten
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
        events = malform.change(deliveries.events, changed, deliveries.variant[changed])
        deliveries = replace(deliveries, events=events)
    keys, values = _keys(deliveries.events.user), _values(deliveries)
    broken = np.flatnonzero(deliveries.flaw >= FLAWS.index(MALFORMED[0]))
    return _break(Encoded(keys, values), deliveries, broken) if len(broken) else Encoded(keys, values)


def _break(good: Encoded, deliveries: Deliveries, rows: NDArray[np.intp]) -> Encoded:
    """Replace the given rows by their malformed form."""
    pairs = [
        malform.malform(FLAWS[flaw], int(variant), key, value)
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


def _keys(user: NDArray[np.uint32]) -> pa.BinaryArray:
    start, end = b'"u_', b'"'
    digits = _digits(user)
    ends = np.cumsum(digits + len(start) + len(end), dtype=np.int64)
    buffer = np.empty(_size(ends), np.uint8)
    padded = _decimal(user).view(f"V{_DIGITS}").view(np.uint8).reshape(len(user), _DIGITS)
    # A key is too short for padding, which would reach into the key before it: one exact width at a time.
    for count in np.flatnonzero(np.bincount(digits)) if len(user) else ():
        rows = np.flatnonzero(digits == count)
        piece = np.empty((len(rows), len(start) + count + len(end)), np.uint8)
        piece[:, : len(start)] = np.frombuffer(start, np.uint8)
        piece[:, len(start) : -len(end)] = padded[rows, _DIGITS - count :]
        piece[:, -len(end) :] = np.frombuffer(end, np.uint8)
        _put(buffer, ends[rows], piece.view(f"V{piece.shape[1]}")[:, 0])
    return _array(buffer, ends)


def _values(deliveries: Deliveries) -> pa.BinaryArray:
    events = deliveries.events
    action, action_length = _actions()
    tail, tail_length = _tails()
    what = events.event_type * np.uint8(len(PAGES)) + events.page
    where = events.device * np.uint8(len(REFERRERS)) + events.referrer
    head, session = _head(deliveries), _session(events.session)
    user_digits, film_digits, position_digits = _digits(events.user), _digits(events.film), _digits(events.position)
    fixed = head.dtype.itemsize + session.dtype.itemsize
    length = fixed + user_digits + film_digits + position_digits + action_length[what] + tail_length[where]
    ends = np.cumsum(length, dtype=np.int64)
    buffer = np.empty(_size(ends), np.uint8)
    at = ends
    for piece, width in (
        (tail[where], tail_length[where]),
        (_decimal(events.position), position_digits),
        (action[what], action_length[what]),
        (_decimal(events.film), film_digits),
        (session, session.dtype.itemsize),
        (_decimal(events.user), user_digits),
        (head, head.dtype.itemsize),
    ):
        _put(buffer, at, piece)
        at = at - width
    return _array(buffer, ends)


# A piece's padding may reach this far in front of the first row.
_MARGIN = 128


def _size(ends: NDArray[np.int64]) -> int:
    return _MARGIN + (int(ends[-1]) if len(ends) else 0)


def _put(buffer: NDArray[np.uint8], ends: NDArray[np.int64], pieces: NDArray[np.void]) -> None:
    """Write each piece so that it ends before its place. Later writes win where they overlap."""
    width = pieces.dtype.itemsize
    assert width <= _MARGIN, f"a piece of {width} bytes is wider than the margin"
    if not len(pieces):
        return
    # One item of `width` bytes at every byte of the buffer: indexing it copies whole items to any offset.
    everywhere = np.ndarray((len(buffer) - width + 1,), f"V{width}", buffer.data, strides=(1,))
    everywhere[ends + (_MARGIN - width)] = pieces.view(f"V{width}")


def _array(buffer: NDArray[np.uint8], ends: NDArray[np.int64]) -> pa.BinaryArray:
    offsets = np.zeros(len(ends) + 1, np.int32)
    offsets[1:] = ends
    data = pa.py_buffer(buffer)[_MARGIN:]
    return pa.BinaryArray.from_buffers(pa.binary(), len(ends), [None, pa.py_buffer(offsets), data])


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


def _decimal(number: NDArray[np.integer]) -> NDArray[np.void]:
    """The numbers in decimal, with zeros in front up to the width of the piece."""
    groups = np.empty((len(number), _DIGITS // 4), "<u4")
    rest = number.astype(np.uint32)
    for group in reversed(range(_DIGITS // 4)):
        rest, low = np.divmod(rest, np.uint32(10_000))
        groups[:, group] = _ten_thousand()[low]
    return groups.view(f"V{_DIGITS}")[:, 0]


def _digits(number: NDArray[np.integer]) -> NDArray[np.int64]:
    """How many digits each number has, without zeros in front."""
    top = int(number.max()) if len(number) else 0
    digits = np.ones(len(number), np.int64)
    for power in itertools.takewhile(lambda power: power <= top, (10**k for k in range(1, 11))):
        digits += number >= power
    return digits


def _right_aligned(texts: list[bytes]) -> tuple[NDArray[np.void], NDArray[np.int64]]:
    width = max(map(len, texts))
    return np.array([text.rjust(width) for text in texts], f"V{width}"), np.array(
        [len(text) for text in texts], np.int64
    )


@functools.cache
def _actions() -> tuple[NDArray[np.void], NDArray[np.int64]]:
    """What stands between film_id and position, by ``event_type * len(PAGES) + page``."""
    return _right_aligned(
        [
            _text("event_type")
            + json.dumps(event).encode()
            + _text("page")
            + json.dumps(page).encode()
            + _text("position")
            for event, page in itertools.product(EVENT_TYPES, PAGES)
        ]
    )


@functools.cache
def _tails() -> tuple[NDArray[np.void], NDArray[np.int64]]:
    """What follows position, by ``device * len(REFERRERS) + referrer``."""
    return _right_aligned(
        [
            _text("device") + json.dumps(device).encode() + _text("referrer") + json.dumps(referrer).encode() + b"}"
            for device, referrer in itertools.product(DEVICES, REFERRERS)
        ]
    )


def _table(texts: list[str], dtype: str) -> NDArray[np.uint64]:
    return np.frombuffer("".join(texts).encode(), dtype)


@functools.cache
def _hex16() -> NDArray[np.uint64]:
    return _table([f"{n:04x}" for n in range(0x10000)], "<u4")


@functools.cache
def _ten_thousand() -> NDArray[np.uint64]:
    return _table([f"{n:04d}" for n in range(10_000)], "<u4")


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
