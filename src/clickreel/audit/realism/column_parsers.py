"""Columns of text to columns of numbers, without a loop over rows. Each function returns the values and where they are good."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

_TIME = r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d{1,3})?$"


def _plain_type(array: pa.Array) -> pa.Array:
    return array.dictionary_decode() if pa.types.is_dictionary(array.type) else array


def _filled(array: pa.Array, dtype: np.dtype[Any]) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """An integer array as NumPy, with True where it was not null and fits the type."""
    good = array.is_valid().to_numpy(zero_copy_only=False)
    wide = array.fill_null(0).to_numpy(zero_copy_only=False)
    limits = np.iinfo(dtype)
    fits = (wide >= limits.min) & (wide <= limits.max)
    return np.where(fits, wide, 0).astype(dtype), good & fits


def integers(array: pa.Array, dtype: np.dtype[Any]) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Whole numbers of any numeric type or as digits; a fraction or a number that does not fit is bad."""
    array = _plain_type(array)
    if pa.types.is_floating(array.type):
        array = pc.if_else(pc.equal(pc.floor(array), array), array, None)
    elif pa.types.is_string(array.type) or pa.types.is_large_string(array.type):
        array = pc.if_else(pc.match_substring_regex(array, r"^[0-9]{1,9}$"), array, None)
    return _filled(array.cast(pa.int64(), safe=False), dtype)


def times(array: pa.Array) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Milliseconds since the epoch, of ``YYYY-MM-DD HH:MM:SS.mmm``, a timestamp, or milliseconds."""
    array = _plain_type(array)
    if pa.types.is_string(array.type) or pa.types.is_large_string(array.type):
        array = _timestamps(pc.if_else(pc.match_substring_regex(array, _TIME), array, None))
    if pa.types.is_timestamp(array.type):
        array = array.cast(pa.timestamp("ms", tz=array.type.tz), safe=False).cast(pa.int64())
    return _filled(array.cast(pa.int64()), np.dtype(np.int64))


def _timestamps(texts: pa.Array) -> pa.Array:
    try:
        return texts.cast(pa.timestamp("ms"))
    except pa.ArrowInvalid:
        # One 31 February refuses the block; rare enough to look at each.
        return pa.array([_moment(text) for text in texts.to_pylist()], pa.timestamp("ms"))


def _moment(text: str | None) -> datetime | None:
    try:
        return None if text is None else datetime.fromisoformat(text)
    except ValueError:
        return None


def numbers(array: pa.Array, prefix: str, base: int) -> tuple[NDArray[np.uint32], NDArray[np.bool_]]:
    """Numbers of ``u_10`` (decimal) or ``s_53482d2c`` (8 hex digits): each distinct text is parsed once."""
    dtype = np.dtype(np.uint32)
    if pa.types.is_integer(array.type):
        return _filled(array, dtype)
    coded = array if pa.types.is_dictionary(array.type) else array.dictionary_encode()
    pattern = rf"^{prefix}[1-9][0-9]{{0,9}}$" if base == 10 else rf"^{prefix}[0-9a-f]{{8}}$"
    texts = coded.dictionary.cast(pa.string())
    good = pc.match_substring_regex(texts, pattern).to_numpy(zero_copy_only=False)
    digits = pc.utf8_slice_codeunits(pc.if_else(pa.array(good), texts, f"{prefix}{'0' * 8}"), len(prefix))
    if base == 10:
        parsed = digits.cast(pa.int64()).to_numpy(zero_copy_only=False)
    else:
        parsed = _hex(np.frombuffer("".join(digits.to_pylist()).encode(), np.uint8).reshape(-1, 8))[0]
    limits = np.iinfo(dtype)
    fits = good.astype(np.bool_) & (parsed <= limits.max)
    values = np.where(fits, parsed, 0).astype(dtype)
    place, known = _filled(coded.indices, np.dtype(np.int64))
    if not len(values):
        return np.zeros(len(place), dtype), np.zeros(len(place), np.bool_)
    return values[place], known & fits[place]


def codes(array: pa.Array, words: tuple[str, ...]) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Places of words in a tuple; integers are such places already."""
    if pa.types.is_integer(array.type):
        places, good = _filled(array, np.dtype(np.uint8))
        return places, good & (places < len(words))
    return _filled(pc.index_in(_plain_type(array).cast(pa.string()), pa.array(words)), np.dtype(np.uint8))


_HEX = np.full(256, 255, np.uint8)
_HEX[np.frombuffer(b"0123456789abcdef", np.uint8)] = np.arange(16, dtype=np.uint8)
_HEX[np.frombuffer(b"ABCDEF", np.uint8)] = np.arange(10, 16, dtype=np.uint8)
# Places of the 32 hex digits in the 36 characters of a UUID.
_DASHES = (8, 13, 18, 23)
_DIGITS = np.array([i for i in range(36) if i not in _DASHES])


def _hex(digits: NDArray[np.uint8]) -> tuple[NDArray[np.uint64], NDArray[np.bool_]]:
    """Rows of hex digits as numbers (uint64[n]), and True where all were hex digits."""
    nibbles = _HEX[digits]
    value = np.zeros(len(digits), np.uint64)
    for column in range(digits.shape[1]):
        value = value << np.uint64(4) | nibbles[:, column].astype(np.uint64)
    return value, np.asarray((nibbles < 16).all(axis=1))


def uuids(array: pa.Array) -> tuple[NDArray[np.uint64], NDArray[np.uint64], NDArray[np.bool_]]:
    """Upper and lower 64 bits of UUIDs in their usual writing, and where they are good."""
    array = _plain_type(array).cast(pa.string())
    good = pc.equal(pc.binary_length(array), 36).fill_null(False)
    whole = pc.if_else(good, array, "0" * 36)
    first = int(np.frombuffer(whole.buffers()[1], np.int32, 1, whole.offset * 4)[0]) if len(whole) else 0
    buffer = whole.buffers()[2] if len(whole) else b""
    joined = np.frombuffer(buffer, np.uint8, 36 * len(whole), first).reshape(-1, 36)
    hi, hi_good = _hex(joined[:, _DIGITS[:16]])
    lo, lo_good = _hex(joined[:, _DIGITS[16:]])
    dashed = np.asarray((joined[:, _DASHES] == ord("-")).all(axis=1))
    return hi, lo, good.to_numpy(zero_copy_only=False) & hi_good & lo_good & dashed
