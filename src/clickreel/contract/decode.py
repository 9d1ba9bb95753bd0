"""Bytes to columns: the messages of a block, read and checked without a loop over its rows.

What the encoder writes has one form: fixed texts, four runs of digits and four words of small sets. :func:`_read` walks all rows of a
block through that form at once: a place per row, moved on by what was read. A row that reaches exactly its end with nothing amiss is
valid. It reads two spellings, compact and with a blank after each comma and colon (as ``json.dumps`` writes by default); both are far
narrower than the contract. **Every other row** goes through :class:`~clickreel.contract.check.Contract`, one by one, which alone
decides: so the quick way may miss a valid message, never take an invalid one, and both agree on all bytes (a property in the tests).
"""

from __future__ import annotations

import calendar
import functools
import json
import uuid
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from clickreel.contract import schema
from clickreel.contract.check import contract
from clickreel.contract.framing import PREFIX_BYTES
from clickreel.contract.rules import Violation
from clickreel.contract.vocabulary import DEVICES, EVENT_TYPES, PAGES, REFERRERS
from clickreel.events import DTYPES as EVENT_DTYPES

_DAY_MS = 86_400_000
# Rows that are walked together: a dozen columns of 8 bytes a row stay in the second-level cache.
_STRIDE_ROWS = 16_384
# How far beyond its place a step may read; a row at the end of the buffer needs that much room.
_MARGIN = 160

_LOW_BYTE, _ZERO = np.uint64(0xFF), np.uint64(ord("0"))
_ZEROS, _UP_FROM_TEN, _HIGH_BITS = (np.uint64(0x0101010101010101 * byte) for byte in (ord("0"), 0x80 - 10, 0x80))
# Eight digits in a word, the first in the low byte: times 10 and added makes pairs, times 100 fours, times 10,000 the number.
_JOINS = tuple(
    (np.uint64(factor), np.uint64(shift), np.uint64(mask))
    for factor, shift, mask in ((10, 8, 0x00FF00FF00FF00FF), (100, 16, 0x0000FFFF0000FFFF), (10_000, 32, 0xFFFFFFFF))
)
_FILM_MAX, _POSITION_MAX = (schema.current("value").fields[name]["maximum"] for name in ("film_id", "position"))

# Those of an event without its ordinal, which no message carries; a user's number may have ten digits.
_COLUMNS = {name: dtype for name, dtype in EVENT_DTYPES.items() if name != "ordinal"}
_DTYPES = {"id_hi": np.uint64, "id_lo": np.uint64, **_COLUMNS, "user": np.int64}


@dataclass(frozen=True, slots=True)
class Decoded:
    """A block of messages as columns, one row a message, in their order.

    Attributes:
        valid: Whether the message keeps the contract; the columns of a row that does not are 0 and mean nothing (bool[n]).
        violations: What is wrong, by row; exactly the rows that are not valid.
        id_hi: Upper 64 bits of ``event_id`` (uint64[n]).
        id_lo: Lower 64 bits of ``event_id`` (uint64[n]).
        ts_ms: ``event_ts``, milliseconds since the Unix epoch (int64[n]).
        user: n of ``u_<n>`` (int64[n]: the contract allows ten digits).
        session: The hex digits of ``session_id`` as a number (uint32[n]).
        film: ``film_id`` (int32[n]).
        event_type: Place in :data:`~clickreel.contract.vocabulary.EVENT_TYPES` (uint8[n]).
        page: Place in :data:`~clickreel.contract.vocabulary.PAGES` (uint8[n]).
        position: ``position`` (int16[n]).
        device: Place in :data:`~clickreel.contract.vocabulary.DEVICES` (uint8[n]).
        referrer: Place in :data:`~clickreel.contract.vocabulary.REFERRERS` (uint8[n]).
    """

    valid: NDArray[np.bool_]
    id_hi: NDArray[np.uint64]
    id_lo: NDArray[np.uint64]
    ts_ms: NDArray[np.int64]
    user: NDArray[np.int64]
    session: NDArray[np.uint32]
    film: NDArray[np.int32]
    event_type: NDArray[np.uint8]
    page: NDArray[np.uint8]
    position: NDArray[np.int16]
    device: NDArray[np.uint8]
    referrer: NDArray[np.uint8]
    violations: dict[int, Violation] = field(default_factory=dict)

    def __len__(self) -> int:
        """How many messages there are."""
        return len(self.valid)


def decode(values: pa.Array | pa.ChunkedArray, keys: pa.Array | pa.ChunkedArray) -> Decoded:
    """Read a block of messages and check it against the current contract.

    Args:
        values: Their values (binary or string, nulls allowed); plain or with the five-byte prefix.
        keys: Their keys, as many.

    Returns:
        The columns; never an exception, whatever the bytes are. Of a message with several violations the first is given, as
        :func:`~clickreel.contract.check.check` gives it.
    """
    assert len(values) == len(keys), f"{len(values)} values, but {len(keys)} keys"
    decoded = _blank(len(values))
    for first in range(0, len(values), _STRIDE_ROWS):
        part = slice(first, min(len(values), first + _STRIDE_ROWS))
        _decode_stride(
            decoded, part, *(_Bytes.from_arrow(column.slice(first, part.stop - first)) for column in (values, keys))
        )
    return decoded


def _blank(rows: int) -> Decoded:
    columns: dict[str, Any] = {name: np.zeros(rows, dtype) for name, dtype in _DTYPES.items()}
    return Decoded(np.zeros(rows, bool), **columns)


def _decode_stride(decoded: Decoded, part: slice, values: _Bytes, keys: _Bytes) -> None:
    """Decode the rows of `part` out of their bytes."""
    into = {name: getattr(decoded, name)[part] for name in _DTYPES}
    columns, good = _read(values, keys, None, _COMPACT)
    decoded.valid[part] = good
    rows = np.flatnonzero(~good)
    for name, column in columns.items():
        into[name][:] = column
        into[name][rows] = 0
    if len(rows):
        columns, good = _read(values, keys, rows, _SPACED)
        decoded.valid[part][rows] = good
        for name, column in columns.items():
            into[name][rows[good]] = column[good]
        rows = rows[~good]
    for row in rows.tolist():
        found = contract().read(keys.at(row), values.at(row))
        if isinstance(found, Violation):
            decoded.violations[part.start + row] = found
        else:
            decoded.valid[part.start + row] = True
            for name, cell in _columns(found).items():
                into[name][row] = cell


def _columns(event: dict[str, Any]) -> dict[str, int]:
    """One valid event as the cells of its row: the slow twin of :func:`_read`."""
    identity = uuid.UUID(event["event_id"]).int
    moment = datetime.strptime(event["event_ts"], "%Y-%m-%d %H:%M:%S.%f").replace(tzinfo=UTC)
    return {
        "id_hi": identity >> 64,
        "id_lo": identity & (2**64 - 1),
        "ts_ms": calendar.timegm(moment.utctimetuple()) * 1000 + moment.microsecond // 1000,
        "user": int(event["user_id"].removeprefix("u_")),
        "session": int(event["session_id"].removeprefix("s_"), 16),
        "film": int(event["film_id"]),
        "event_type": EVENT_TYPES.index(event["event_type"]),
        "page": PAGES.index(event["page"]),
        "position": int(event["position"]),
        "device": DEVICES.index(event["device"]),
        "referrer": REFERRERS.index(event["referrer"]),
    }


@dataclass(frozen=True, slots=True)
class _Bytes:
    """A binary column as one buffer with room behind it (what stands there is not known), and where each row starts and ends.

    A null starts at -1.
    """

    buffer: NDArray[np.uint8]
    start: NDArray[np.int64]
    end: NDArray[np.int64]

    @classmethod
    def from_arrow(cls, column: pa.Array | pa.ChunkedArray) -> _Bytes:
        chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
        column = pa.concat_arrays([chunk.cast(pa.large_binary()) for chunk in chunks])
        offsets = np.frombuffer(column.buffers()[1], np.int64, len(column) + 1, column.offset * 8)
        first, last = int(offsets[0]), int(offsets[-1])
        held = np.frombuffer(column.buffers()[2] or b"", np.uint8)
        buffer = held[first : last + _MARGIN]
        if len(buffer) < last - first + _MARGIN:  # the last rows of a block have no others behind them
            buffer = np.zeros(last - first + _MARGIN, np.uint8)
            buffer[: last - first] = held[first:last]
        start = offsets[:-1] - first
        if column.null_count:
            start = np.where(column.is_null().to_numpy(zero_copy_only=False), -1, start)
        return cls(buffer, start, offsets[1:] - first)

    def at(self, row: int) -> bytes | None:
        start = self.start[row]
        return None if start < 0 else self.buffer[start : self.end[row]].tobytes()

    def unframed(self) -> NDArray[np.int64]:
        """Where the rows' payloads start: behind the five-byte prefix where there is one. Never behind a row's end, except for nulls."""
        start = np.maximum(self.start, 0)
        prefixed = (self.buffer[start] == 0) & (self.end - start >= PREFIX_BYTES)
        return np.where(prefixed, start + PREFIX_BYTES, start)


class _Walk:
    """Rows on their way through the form: a place for each, and whether nothing was amiss so far.

    Args:
        column: Their bytes.
        rows: Which rows; None for all.
    """

    def __init__(self, column: _Bytes, rows: NDArray[np.int64] | None) -> None:
        which = slice(None) if rows is None else rows
        self.buffer = column.buffer
        self.place = column.unframed()[which]
        self.end = column.end[which]
        self.good = column.start[which] >= 0
        self._last = len(column.buffer) - _MARGIN

    def peek(self, width: int, rows: NDArray[np.int64] | None = None, ahead: int = 0) -> NDArray[np.void]:
        """The next bytes of each row, or of some rows from some bytes ahead; the places stay."""
        # One item at every byte of the buffer, so that indexing copies whole items from any place: 4 ns each, be it 8 bytes or 128.
        everywhere = np.ndarray((len(self.buffer) - width + 1,), f"V{width}", self.buffer.data, strides=(1,))
        return everywhere[self.place if rows is None else self.place[rows] + ahead]

    def take(self, dtype: np.dtype[np.void]) -> NDArray[np.void]:
        """The next bytes of each row as fields; the places move behind them."""
        taken = self.peek(dtype.itemsize).view(dtype)
        self.move(dtype.itemsize)
        return taken

    def move(self, by: NDArray[np.int64] | int) -> None:
        """Move the places on; a row that runs out of the buffer is not good and stays at its end, where reading is safe."""
        self.place += by
        self.good &= self.place <= self._last
        np.minimum(self.place, self._last, out=self.place)

    def number(self) -> NDArray[np.int64]:
        """Read a whole number from 1 with at most ten digits."""
        word = self.peek(8).view("<u8")
        digits = _leading_digits(word)
        self.good &= (digits > 0) & ((word & _LOW_BYTE) != _ZERO)
        number = _number(word, digits)
        long = np.flatnonzero(digits == 8)
        if len(long):
            rest = self.peek(8, long, 8).view("<u8")
            more = np.minimum(_leading_digits(rest), 3)  # three more are one too many, and stay so
            number[long] = number[long] * 10**more + _number(rest, more)
            digits[long] += more
            self.good &= digits <= 10
        self.move(digits)
        return number

    def code(self, words: _WordSet) -> NDArray[np.uint8]:
        """Read one of a set of texts; gives its place in the set."""
        taken = self.peek(words.width)
        telling = np.ndarray((len(taken),), "<u8", taken.data, words.differ, (words.width,))
        code = np.zeros(len(taken), np.uint8)
        for place, start in enumerate(words.starts[1:], 1):
            code += (telling == start).view(np.uint8) * np.uint8(place)
        row = code.astype(np.intp)
        amiss = _as_words(taken) ^ _as_words(words.expected[row])
        amiss &= _as_words(words.mask[row])
        self.good &= _any(amiss) == 0
        self.move(words.length[row])
        return code

    def expect(self, taken: NDArray[np.void], literals: dict[str, int]) -> None:
        """Compare the fixed texts among the taken fields."""
        for name in taken.dtype.names or ():
            if name in literals:
                self.good &= taken[name] == literals[name]

    def arrived(self) -> NDArray[np.bool_]:
        """Whether each row kept the form up to exactly its end."""
        arrived: NDArray[np.bool_] = self.good & (self.place == self.end)
        return arrived


@dataclass(frozen=True, slots=True)
class _WordSet:
    """The texts that may stand at a place, as 64-bit words.

    Attributes:
        width: Bytes of the longest text, in whole words.
        differ: Where the texts begin to differ; eight bytes from there tell them apart.
        starts: Those eight bytes.
        expected: The texts, filled up to the width.
        mask: Which of their bits count.
        length: Their lengths.
    """

    width: int
    differ: int
    starts: tuple[int, ...]
    expected: NDArray[np.void]
    mask: NDArray[np.void]
    length: NDArray[np.int64]

    @classmethod
    def from_texts(cls, texts: list[bytes]) -> _WordSet:
        width = -(-max(map(len, texts)) // 8) * 8
        differ = next(at for at, letters in enumerate(zip(*texts, strict=False)) if len(set(letters)) > 1)
        starts = tuple(int.from_bytes(text[differ : differ + 8], "little") for text in texts)
        assert len(set(starts)) == len(texts), f"eight bytes do not tell {texts} apart"
        assert min(map(len, texts)) >= differ + 8, f"one of {texts} is too short"
        expected, mask = (
            np.array([text.ljust(width, b"\0") for text in column], f"V{width}")
            for column in (texts, [b"\xff" * len(text) for text in texts])
        )
        return cls(width, differ, starts, expected, mask, np.array([len(text) for text in texts], np.int64))


def _as_words(items: NDArray[np.void]) -> NDArray[np.uint64]:
    """Items whose width is in whole words, as rows of words."""
    return items.view("<u8").reshape(len(items), -1)


def _any(words: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The words of each row or-ed together; a reduction over so short an axis would take five times as long."""
    return functools.reduce(np.bitwise_or, words.T)


class _Form:
    """One spelling of an event: the fixed texts between its values."""

    def __init__(self, comma: str, colon: str) -> None:
        def name(of: str) -> bytes:
            return (json.dumps(of) + colon).encode()

        def words(before: bytes, allowed: tuple[str, ...], after: bytes) -> _WordSet:
            return _WordSet.from_texts([before + json.dumps(word).encode() + after for word in allowed])

        sep = comma.encode()
        self.literals: dict[str, int] = {}
        self.head = self._fields(
            *(
                b"{" + name("event_id") + b'"',
                "8:id0",
                b"-",
                "4:id1",
                b"-",
                "4:id2",
                b"-",
                "4:id3",
                b"-",
                "4:id4",
                "8:id5",
            ),
            b'"' + sep + name("event_ts") + b'"',
            *("century", "year", b"-", "month", b"-", "day", b" ", "hour", b":", "minute", b":", "second", b"."),
            *("centis", "1:milli", b'"' + sep + name("user_id") + b'"u_'),
        )
        self.session = self._fields(b'"' + sep + name("session_id") + b'"s_', "8:hex", b'"' + sep + name("film_id"))
        self.event_type = words(sep + name("event_type"), EVENT_TYPES, sep + name("page"))
        self.page = words(b"", PAGES, sep + name("position"))
        self.device = words(sep + name("device"), DEVICES, sep + name("referrer"))
        self.referrer = words(b"", REFERRERS, b"}")

    def _fields(self, *parts: str | bytes) -> np.dtype[np.void]:
        """A row of fixed width: bytes are fixed text, compared in pieces of 8, 4, 2 and 1; a name is two bytes of a value, or ``n:`` ones."""
        names: list[str] = []
        formats: list[str] = []
        offsets: list[int] = []
        at = 0
        for part in parts:
            if isinstance(part, str):
                count, _, name = part.rpartition(":")
                width = int(count or 2)
                pieces = [(name, at, width)]
                end = at + width
            else:
                end, pieces = at + len(part), []
                while at < end:
                    width = 1 << min(3, (end - at).bit_length() - 1)
                    pieces.append((f"={len(self.literals)}", at, width))
                    text = part[at - end :][:width]
                    self.literals[pieces[-1][0]] = int.from_bytes(text, "little")
                    at += width
            for name, offset, width in pieces:
                names.append(name)
                formats.append(f"<u{width}")
                offsets.append(offset)
            at = end
        return np.dtype({"names": names, "formats": formats, "offsets": offsets, "itemsize": at})


_KEY = {"start": int.from_bytes(b'"u', "little"), "underscore": ord("_"), "end": ord('"')}
_KEY_START = np.dtype([("start", "<u2"), ("underscore", "u1")])
_KEY_END = np.dtype([("end", "u1")])
_COMPACT = _Form(",", ":")
_SPACED = _Form(", ", ": ")


def _read(
    values: _Bytes, keys: _Bytes, rows: NDArray[np.int64] | None, form: _Form
) -> tuple[dict[str, NDArray[Any]], NDArray[np.bool_]]:
    """Walk the rows (None: all) through one form: their columns, and whether each is a valid message in that form."""
    walk = _Walk(values, rows)
    head = walk.take(form.head)
    walk.expect(head, form.literals)
    (id_hi, id_lo), good = _identity(head)
    walk.good &= good
    ts_ms, good = _moment(head)
    walk.good &= good
    user = walk.number()
    session_piece = walk.take(form.session)
    walk.expect(session_piece, form.literals)
    session, good = _hex(session_piece["hex"].copy(), ">u4")
    walk.good &= good
    film = walk.number()
    event_type, page = walk.code(form.event_type), walk.code(form.page)
    position = walk.number()
    device, referrer = walk.code(form.device), walk.code(form.referrer)
    walk.good &= (film <= _FILM_MAX) & (position <= _POSITION_MAX)
    columns = {
        "id_hi": id_hi,
        "id_lo": id_lo,
        "ts_ms": ts_ms,
        "user": user,
        "session": session[:, 0],
        "film": film,
        "event_type": event_type,
        "page": page,
        "position": position,
        "device": device,
        "referrer": referrer,
    }
    return columns, walk.arrived() & _is_key_of(keys, rows, user)


def _is_key_of(keys: _Bytes, rows: NDArray[np.int64] | None, user: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether each key is ``"u_<n>"``, n being the user of the value."""
    walk = _Walk(keys, rows)
    walk.expect(walk.take(_KEY_START), _KEY)
    number = walk.number()
    walk.expect(walk.take(_KEY_END), _KEY)
    walk.good &= number == user
    return walk.arrived()


def _leading_digits(word: NDArray[np.uint64]) -> NDArray[np.int64]:
    """How many of the eight bytes are digits before the first that is none."""
    zeroed = word ^ _ZEROS
    # Bit 7 of each byte that is above 9. A carry out of a byte only reaches bytes behind the first such byte.
    above = ((zeroed + _UP_FROM_TEN) | zeroed) & _HIGH_BITS
    digits: NDArray[np.int64] = (np.bitwise_count((above & -above) - np.uint64(1)) >> 3).astype(np.int64)
    return digits


def _number(word: NDArray[np.uint64], digits: NDArray[np.int64]) -> NDArray[np.int64]:
    """The number that the first `digits` (at most 8) of the bytes spell."""
    # Zeros are shifted in where leading digits stand; then pairs, fours and eights are joined, all in one register.
    x = np.where(digits > 0, (word ^ _ZEROS) << (64 - 8 * digits).astype(np.uint64), np.uint64(0))
    for factor, shift, mask in _JOINS:
        x = (x * factor + (x >> shift)) & mask
    return x.astype(np.int64)


def _identity(head: NDArray[np.void]) -> tuple[tuple[NDArray[np.uint64], NDArray[np.uint64]], NDArray[np.bool_]]:
    """The halves of the UUID, and whether it is one in lower case."""
    digits = np.empty((len(head), 8), "<u4")
    eights = digits.view("<u8")
    eights[:, 0], eights[:, 3] = head["id0"], head["id5"]
    for column in range(1, 5):
        digits[:, column + 1] = head[f"id{column}"]
    halves, good = _hex(digits, ">u8")
    return (halves[:, 0].astype(np.uint64), halves[:, 1].astype(np.uint64)), good


def _hex(digits: NDArray[np.unsignedinteger], dtype: str) -> tuple[NDArray[np.unsignedinteger], NDArray[np.bool_]]:
    """Hex digits as big-endian numbers of a type, [rows, numbers], and whether all were digits in lower case.

    Args:
        digits: The characters, eight a word or four.
        dtype: ``>u8`` or ``>u4``: a number for each 16 or 8 of them.
    """
    values = _hex_pairs().take(digits.view("<u2")).reshape(len(digits), -1)
    return values.astype(np.uint8).view(dtype), (_any(values.view("<u8")) & _AMISS) == 0


def _moment(head: NDArray[np.void]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """The instant in ms since 1970, and whether it is one that the calendar knows."""
    pairs = _decimal_pairs()
    century, year, month, day = (pairs.take(head[name]) for name in ("century", "year", "month", "day"))
    hour, minute, second, centis = (pairs.take(head[name]) for name in ("hour", "minute", "second", "centis"))
    milli = head["milli"] - np.uint8(ord("0"))
    # 19 or 20 for the century; pairs that are no digits are 255 and fall out of each bound.
    good = (century - 19 <= 1) & (year < 100) & (month <= 12) & (day <= 31)
    good &= (hour < 24) & (minute < 60) & (second < 60) & (centis < 100) & (milli < 10)
    place = ((century == 20) * 100 + year.astype(np.int64)) * (13 * 32) + month * np.int64(32) + day
    days = _days().take(np.where(good, place, 0))
    good &= days >= 0
    ts_ms: NDArray[np.int64] = ((days * 24 + hour) * 60 + minute) * 60_000 + second * np.int64(1000)
    ts_ms += centis * np.int64(10) + milli
    return ts_ms, good


_AMISS = np.uint64(0x0100010001000100)


@functools.cache
def _hex_pairs() -> NDArray[np.uint16]:
    """Two characters, the first in the low byte, to the byte they spell; 256 for what is not two hex digits in lower case."""
    table = np.full(0x10000, 0x100, np.uint16)
    for byte in range(256):
        table[int.from_bytes(f"{byte:02x}".encode(), "little")] = byte
    return table


@functools.cache
def _decimal_pairs() -> NDArray[np.uint8]:
    """Two characters, the first in the low byte, to the number they spell; 255 for what is not two digits."""
    table = np.full(0x10000, 255, np.uint8)
    for number in range(100):
        table[int.from_bytes(f"{number:02d}".encode(), "little")] = number
    return table


@functools.cache
def _days() -> NDArray[np.int64]:
    """Days since 1970 by (year - 1900, month, day), for 1970 to 2099; -1 for what the calendar does not know."""
    table = np.full((200, 13, 32), -1, np.int64)
    for day in range((date(2100, 1, 1) - date(1970, 1, 1)).days):
        when = date(1970, 1, 1) + timedelta(days=day)
        table[when.year - 1900, when.month, when.day] = day
    return table.ravel()
