"""Events as files: Parquet, CSV, JSON lines.

JSON lines hold the messages' values byte for byte, malformed ones included. Parquet and CSV hold the ten columns with types of their own, in which
a message that broke the contract cannot be expressed: such rows are left out and counted. A file appears under its name when it is
whole; until then it has another.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from clickreel.contract import vocabulary
from clickreel.contract.encode import encode
from clickreel.errors import ClickreelError, UsageError
from clickreel.events import Deliveries

SUFFIXES = (".parquet", ".csv", ".jsonl")
SCHEMA = pa.schema(
    {
        "event_id": pa.string(),
        "event_ts": pa.timestamp("ms"),
        "user_id": pa.string(),
        "session_id": pa.string(),
        "film_id": pa.int32(),
        "event_type": pa.dictionary(pa.int8(), pa.string()),
        "page": pa.dictionary(pa.int8(), pa.string()),
        "position": pa.int16(),
        "device": pa.dictionary(pa.int8(), pa.string()),
        "referrer": pa.dictionary(pa.int8(), pa.string()),
    }
)
_MALFORMED_FIRST = vocabulary.FLAWS.index(vocabulary.MALFORMED[0])
_CHANGED = vocabulary.FLAWS.index("duplicate_changed")
# Where the fields of known width stand in a value: {"event_id":"<36>","event_ts":"<23>","user_id":"u_...","session_id":"s_<8>"
_ID = (13, 49)


@dataclass(frozen=True, slots=True)
class FileBlock:
    """A block in the shape of a file.

    Attributes:
        rows: Deliveries in it.
        left_out: Those that the file cannot hold.
        data: A table, or the bytes of the lines.
    """

    rows: int
    left_out: int
    data: Any


class FileWriter(Protocol):
    """Writes parts into a file."""

    def write(self, data: Any, /) -> object:
        """Append a part's data."""


def shape(path: Path) -> Callable[[Deliveries], FileBlock]:
    """What to make of deliveries for a file of this name.

    Raises:
        UsageError: The suffix is none of those known.
    """
    if path.suffix not in SUFFIXES:
        raise UsageError(f"--out is {str(path)!r}", hint=f"name it with one of: {', '.join(SUFFIXES)}")
    return lines if path.suffix == ".jsonl" else table


def lines(deliveries: Deliveries) -> FileBlock:
    """The values as lines of bytes."""
    values = encode(deliveries).values
    joined = pc.binary_join_element_wise(values, pa.scalar(b"", values.type), pa.scalar(b"\n", values.type))
    return FileBlock(len(deliveries), 0, b"".join(joined.to_pylist()))


def table(deliveries: Deliveries) -> FileBlock:
    """The good rows as a table of :data:`SCHEMA`."""
    good = deliveries.flaw < _MALFORMED_FIRST
    kept = deliveries if good.all() else deliveries.take(good)
    encoded = encode(kept)
    events = kept.events
    ids = pc.binary_slice(encoded.values, *_ID).cast(pa.string())
    users = pc.binary_slice(encoded.keys, 1, -1).cast(pa.string())
    sessions, place = np.unique(events.session, return_inverse=True)
    names = pa.array([f"s_{number:08x}" for number in sessions.tolist()], pa.string())
    # Another payload under the same id changes position and referrer: take both from the bytes that are sent.
    position, referrer = _payload(kept, encoded.values)
    columns = [
        ids,
        pa.array(events.ts_ms, pa.timestamp("ms")),
        users,
        names.take(pa.array(place)),
        pa.array(events.film),
        _words(events.event_type, vocabulary.EVENT_TYPES),
        _words(events.page, vocabulary.PAGES),
        pa.array(position),
        _words(events.device, vocabulary.DEVICES),
        _words(referrer, vocabulary.REFERRERS),
    ]
    return FileBlock(len(deliveries), len(deliveries) - len(kept), pa.table(columns, SCHEMA))


def _payload(deliveries: Deliveries, values: pa.BinaryArray) -> tuple[Any, Any]:
    import orjson

    position, referrer = deliveries.events.position, deliveries.events.referrer
    changed = np.flatnonzero(deliveries.flaw == _CHANGED)
    if len(changed):
        position, referrer = position.copy(), referrer.copy()
        for row, value in zip(changed.tolist(), values.take(pa.array(changed)).to_pylist(), strict=True):
            event = orjson.loads(value)
            position[row] = event["position"]
            referrer[row] = vocabulary.REFERRERS.index(event["referrer"])
    return position, referrer


def _words(codes: Any, words: tuple[str, ...]) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(pa.array(codes.astype(np.int8)), pa.array(words))


@contextlib.contextmanager
def writing(path: Path) -> Iterator[FileWriter]:
    """Write a file that appears when it is whole.

    Raises:
        ClickreelError: The file cannot be written; nothing is left of it.
    """
    draft = path.with_name(f".{path.name}.part")
    try:
        with _writer(path.suffix, draft) as writer:
            yield writer
        draft.replace(path)
    except OSError as exc:
        reason = exc.strerror or str(exc)
        raise ClickreelError(
            f"cannot write {path}: {reason}", hint="choose a place with room that can be written"
        ) from exc
    finally:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)


@contextlib.contextmanager
def _writer(suffix: str, draft: Path) -> Iterator[FileWriter]:
    if suffix == ".parquet":
        import pyarrow.parquet as pq

        # Ids are random: a dictionary of them would be their second copy.
        words = [name for name in SCHEMA.names if name not in {"event_id", "event_ts"}]
        with pq.ParquetWriter(draft, SCHEMA, compression="zstd", use_dictionary=words) as parquet:
            yield parquet
    elif suffix == ".csv":
        import pyarrow.csv as pacsv

        plain = pa.schema([(f.name, pa.string() if pa.types.is_dictionary(f.type) else f.type) for f in SCHEMA])
        # No value holds a comma or a quote, so none is quoted; the library quotes its header in any case.
        options = pacsv.WriteOptions(include_header=False, quoting_style="none")
        with draft.open("wb") as file:
            file.write((",".join(SCHEMA.names) + "\n").encode())
            with pacsv.CSVWriter(file, plain, write_options=options) as written:
                yield _Cast(written, plain)
    else:
        with draft.open("wb") as file:
            yield file


class _Cast:
    """Writes tables in another schema."""

    def __init__(self, writer: Any, schema: pa.Schema) -> None:
        self._writer, self._schema = writer, schema

    def write(self, data: pa.Table, /) -> None:
        """Append a table."""
        self._writer.write(data.cast(self._schema))
