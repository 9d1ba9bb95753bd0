"""Files to columns: Parquet, CSV and JSON lines, block by block, so that a file need not fit in memory."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from clickreel.audit.realism.column_parsers import codes, integers, numbers, times, uuids
from clickreel.audit.realism.columns import Columns
from clickreel.contract.vocabulary import DEVICES, EVENT_TYPES, PAGES, REFERRERS
from clickreel.errors import ClickreelError, MissingError, UsageError

# Rows of a Parquet block; 64 MB of text. Both keep a block under about 300 MB when it is decoded.
BLOCK_ROWS = 1 << 18
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
    read_: dict[str, tuple[NDArray[Any], NDArray[np.bool_]]] = {
        "ts_ms": times(arrays["event_ts"]),
        "user": numbers(arrays["user_id"], "u_", 10),
        "session": numbers(arrays["session_id"], "s_", 16),
        "film": integers(arrays["film_id"], np.dtype(np.int32)),
        "position": integers(arrays["position"], np.dtype(np.int16)),
        **{name: codes(arrays[name], words) for name, words in WORDS.items()},
    }
    for name, (values, good) in read_.items():
        decoded[name] = values
        valid &= good
    valid &= decoded["position"] >= 1
    if "event_id" in arrays:
        decoded["id_hi"], decoded["id_lo"], good = uuids(arrays["event_id"])
        valid &= good
    bad = int(batch.num_rows - valid.sum())
    if bad:
        decoded = {name: values[valid] for name, values in decoded.items()}
    return Columns(**decoded, malformed=malformed + bad)
