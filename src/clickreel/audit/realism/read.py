"""Files to columns: Parquet, CSV and JSON lines, block by block, so that a file need not fit in memory."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from clickreel.audit.realism.columns import Columns
from clickreel.contract.vocabulary import DEVICES, EVENT_TYPES, PAGES, REFERRERS
from clickreel.errors import ClickreelError, MissingError, UsageError

# Rows of a Parquet block; 64 MB of text. Both keep a block under about 300 MB when it is decoded.
BLOCK_ROWS = 1 << 20
BLOCK_BYTES = 64 << 20

# Public name of a column, and its name in the simulator's own columns.
NAMES = {
    "event_id": "event_id",
    "event_ts": "ts_ms",
    "user_id": "user",
    "session_id": "session",
    "film_id": "film",
    "event_type": "event_type",
    "page": "page",
    "position": "position",
    "device": "device",
    "referrer": "referrer",
}
WORDS = {"event_type": EVENT_TYPES, "page": PAGES, "device": DEVICES, "referrer": REFERRERS}
SUFFIXES = (".parquet", ".csv", ".jsonl")


def read(path: Path) -> Columns:
    """Read a file of events.

    Args:
        path: ``.parquet``, ``.csv`` (with a header) or ``.jsonl``, with the event's own columns. Further columns are passed over,
            ``event_id`` may be absent.

    Returns:
        Its rows in file order; rows that break the contract are counted, not kept.

    Raises:
        MissingError: There is no such file.
        UsageError: Its suffix is unknown, or a column is missing.
        ClickreelError: It cannot be read as what its suffix says.
    """
    if not path.exists():
        raise MissingError(f"no file {path}", hint=f"clickreel simulate --out {path}")
    readers = {".parquet": _parquet, ".csv": _csv, ".jsonl": _jsonl}
    if path.suffix not in readers:
        raise UsageError(f"cannot tell the format of {path}", hint=f"name it with one of: {', '.join(SUFFIXES)}")
    try:
        return Columns.concat([columns(batch, malformed) for batch, malformed in readers[path.suffix](path)])
    except (pa.ArrowException, OSError) as exc:
        first = str(exc).splitlines()[0]
        raise ClickreelError(f"{path} cannot be read as {path.suffix[1:]}: {first}", hint=f"head {path}") from exc


def _chosen(names: list[str], what: str) -> dict[str, str]:
    """Public column name to the name it has in the source."""
    found = {public: name for public, own in NAMES.items() for name in (own, public) if name in names}
    missing = [public for public in NAMES if public not in found and public != "event_id"]
    if missing:
        raise UsageError(f"{what} has no column {missing[0]}", hint=f"it needs: {', '.join(NAMES)}")
    return found


def _parquet(path: Path) -> Iterator[tuple[pa.RecordBatch, int]]:
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        found = _chosen(file.schema_arrow.names, str(path))
        for batch in file.iter_batches(BLOCK_ROWS, columns=list(found.values())):
            yield pa.record_batch({public: batch.column(name) for public, name in found.items()}), 0


def _csv(path: Path) -> Iterator[tuple[pa.RecordBatch, int]]:
    import pyarrow.csv as pcsv

    broken: list[Any] = []

    def skip(row: Any) -> str:
        broken.append(row)
        return "skip"

    options = {
        "read_options": pcsv.ReadOptions(block_size=BLOCK_BYTES, use_threads=False),
        "parse_options": pcsv.ParseOptions(invalid_row_handler=skip),
        "convert_options": pcsv.ConvertOptions(
            column_types=dict.fromkeys([*NAMES, *NAMES.values()], pa.string()), strings_can_be_null=True
        ),
    }
    with pcsv.open_csv(path, **options) as reader:
        found = _chosen(reader.schema.names, str(path))
        for batch in reader:
            yield pa.record_batch({public: batch.column(name) for public, name in found.items()}), len(broken)
            broken.clear()


def _jsonl(path: Path) -> Iterator[tuple[pa.RecordBatch, int]]:
    with path.open("rb") as file:
        rest = b""
        while chunk := file.read(BLOCK_BYTES):
            text = rest + chunk
            end = text.rfind(b"\n") + 1
            rest = text[end:]
            if end:
                yield _lines(text[:end])
        if rest.strip():
            yield _lines(rest)


def _lines(text: bytes) -> tuple[pa.RecordBatch, int]:
    import pyarrow.json as pj

    kinds = {name: pa.string() for name in NAMES} | {"film_id": pa.int64(), "position": pa.int64()}
    options = pj.ParseOptions(explicit_schema=pa.schema(kinds), unexpected_field_behavior="ignore")
    reading = pj.ReadOptions(use_threads=False, block_size=len(text))
    try:
        return pj.read_json(io.BytesIO(text), reading, options).combine_chunks().to_batches()[0], 0
    except (pa.ArrowInvalid, IndexError):
        # One broken line refuses the block: read it line by line, and count what is broken.
        return _line_by_line(text, kinds)


def _line_by_line(text: bytes, kinds: dict[str, pa.DataType]) -> tuple[pa.RecordBatch, int]:
    import orjson

    rows, broken = [], 0
    for line in text.splitlines():
        try:
            row = orjson.loads(line)
            rows.append(tuple(_plain(row.get(name), kind) for name, kind in kinds.items()))
        except (orjson.JSONDecodeError, AttributeError):
            broken += bool(line.strip())
    columns_ = zip(*rows, strict=True) if rows else [()] * len(kinds)
    arrays = [pa.array(values, kind) for values, kind in zip(columns_, kinds.values(), strict=True)]
    return pa.record_batch(arrays, schema=pa.schema(kinds)), broken


def _plain(value: Any, kind: pa.DataType) -> Any:
    wanted = str if pa.types.is_string(kind) else int
    return value if type(value) is wanted else None


def columns(batch: pa.RecordBatch, malformed: int = 0) -> Columns:
    """Decode a batch whose columns bear the public names; values may be words or the simulator's codes."""
    arrays = {name: batch.column(name) for name in batch.schema.names}
    decoded: dict[str, NDArray[Any]] = {}
    valid = np.ones(batch.num_rows, np.bool_)
    numbers = {
        "ts_ms": _times(arrays["event_ts"]),
        "user": _prefixed(arrays["user_id"], "u_", 10, np.dtype(np.uint32)),
        "session": _prefixed(arrays["session_id"], "s_", 16, np.dtype(np.uint32)),
        "film": _integers(arrays["film_id"], np.dtype(np.int32)),
        "position": _integers(arrays["position"], np.dtype(np.int16)),
        **{name: _codes(arrays[name], words) for name, words in WORDS.items()},
    }
    for name, (values, good) in numbers.items():
        decoded[name] = values
        valid &= good
    valid &= decoded["position"] >= 1
    if "event_id" in arrays:
        decoded["id_hi"], decoded["id_lo"], good = _uuids(arrays["event_id"])
        valid &= good
    bad = int(batch.num_rows - valid.sum())
    if bad:
        decoded = {name: values[valid] for name, values in decoded.items()}
    return Columns(**decoded, malformed=malformed + bad)


def _plain_type(array: pa.Array) -> pa.Array:
    return array.dictionary_decode() if pa.types.is_dictionary(array.type) else array


def _filled(array: pa.Array, dtype: np.dtype[Any]) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """An integer array as NumPy, with True where it was not null and fits the type."""
    good = array.is_valid().to_numpy(zero_copy_only=False)
    wide = array.fill_null(0).to_numpy(zero_copy_only=False)
    limits = np.iinfo(dtype)
    fits = (wide >= limits.min) & (wide <= limits.max)
    return np.where(fits, wide, 0).astype(dtype), good & fits


def _integers(array: pa.Array, dtype: np.dtype[Any]) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    array = _plain_type(array)
    if pa.types.is_floating(array.type):
        array = pc.if_else(pc.equal(pc.floor(array), array), array, None)
    elif pa.types.is_string(array.type) or pa.types.is_large_string(array.type):
        array = pc.if_else(pc.match_substring_regex(array, r"^[0-9]{1,9}$"), array, None)
    return _filled(array.cast(pa.int64(), safe=False), dtype)


def _times(array: pa.Array) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    array = _plain_type(array)
    if pa.types.is_string(array.type) or pa.types.is_large_string(array.type):
        array = pc.if_else(
            pc.match_substring_regex(array, r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d{1,3})?$"), array, None
        )
        array = array.cast(pa.timestamp("ms"))
    if pa.types.is_timestamp(array.type):
        array = array.cast(pa.timestamp("ms", tz=array.type.tz), safe=False).cast(pa.int64())
    return _filled(array.cast(pa.int64()), np.dtype(np.int64))


def _prefixed(array: pa.Array, prefix: str, base: int, dtype: np.dtype[Any]) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Numbers of ``u_10`` (decimal) or ``s_53482d2c`` (8 hex digits): each distinct text is parsed once."""
    if pa.types.is_integer(array.type):
        return _filled(array, dtype)
    coded = array if pa.types.is_dictionary(array.type) else array.dictionary_encode()
    pattern = rf"^{prefix}[1-9][0-9]{{0,9}}$" if base == 10 else rf"^{prefix}[0-9a-f]{{8}}$"
    texts = coded.dictionary.cast(pa.string())
    good = pc.match_substring_regex(texts, pattern).to_numpy(zero_copy_only=False)
    digits = pc.utf8_slice_codeunits(pc.if_else(pa.array(good), texts, f"{prefix}{'0' * 8}"), len(prefix))
    if base == 10:
        numbers = digits.cast(pa.int64()).to_numpy(zero_copy_only=False)
    else:
        numbers = _hex(np.frombuffer("".join(digits.to_pylist()).encode(), np.uint8).reshape(-1, 8))[0]
    limits = np.iinfo(dtype)
    fits = good.astype(np.bool_) & (numbers <= limits.max)
    values = np.where(fits, numbers, 0).astype(dtype)
    place, known = _filled(coded.indices, np.dtype(np.int64))
    if not len(values):
        return np.zeros(len(place), dtype), np.zeros(len(place), np.bool_)
    return values[place], known & fits[place]


def _codes(array: pa.Array, words: tuple[str, ...]) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    if pa.types.is_integer(array.type):
        codes, good = _filled(array, np.dtype(np.uint8))
        return codes, good & (codes < len(words))
    return _filled(pc.index_in(_plain_type(array).cast(pa.string()), pa.array(words)), np.dtype(np.uint8))


_HEX = np.full(256, 255, np.uint8)
_HEX[np.frombuffer(b"0123456789abcdef", np.uint8)] = np.arange(16, dtype=np.uint8)
_HEX[np.frombuffer(b"ABCDEF", np.uint8)] = np.arange(10, 16, dtype=np.uint8)
# Places of the 32 hex digits in the 36 characters of a UUID.
_DIGITS = np.array([i for i in range(36) if i not in (8, 13, 18, 23)])


def _hex(digits: NDArray[np.uint8]) -> tuple[NDArray[np.uint64], NDArray[np.bool_]]:
    """Rows of hex digits as numbers (uint64[n]), and True where all were hex digits."""
    nibbles = _HEX[digits]
    value = np.zeros(len(digits), np.uint64)
    for column in range(digits.shape[1]):
        value = value << np.uint64(4) | nibbles[:, column].astype(np.uint64)
    return value, np.asarray((nibbles < 16).all(axis=1))


def _uuids(array: pa.Array) -> tuple[NDArray[np.uint64], NDArray[np.uint64], NDArray[np.bool_]]:
    array = _plain_type(array).cast(pa.string())
    good = pc.equal(pc.binary_length(array), 36).fill_null(False)
    whole = pc.if_else(good, array, "0" * 36)
    joined = np.frombuffer(whole.buffers()[2], np.uint8, count=36 * len(whole)).reshape(-1, 36)
    hi, hi_good = _hex(joined[:, _DIGITS[:16]])
    lo, lo_good = _hex(joined[:, _DIGITS[16:]])
    return hi, lo, good.to_numpy(zero_copy_only=False) & hi_good & lo_good
