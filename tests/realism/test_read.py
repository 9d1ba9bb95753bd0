from pathlib import Path

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.csv as pcsv
import pyarrow.parquet as pq
import pytest

from clickreel.audit.realism import Columns
from clickreel.audit.realism.file_columns import read
from clickreel.errors import ClickreelError, MissingError, UsageError
from tests.sample_event import SAMPLE_EVENT

GOOD = SAMPLE_EVENT | {"event_id": "53482d2c-0000-4000-8000-0000000000ff"}
BROKEN = (
    {"event_ts": "2025-02-31 12:18:51.766"},
    {"event_ts": "yesterday"},
    {"user_id": "10"},
    {"user_id": "u_99999999999"},
    {"session_id": "s_53482d2"},
    {"session_id": "s_53482D2C"},
    {"film_id": None},
    {"event_type": "click"},
    {"device": None},
    {"position": 0},
    {"event_id": "53482d2c-0000-4000-8000-0000000000f"},
    {"event_id": "53482d2c00000-4000-8000-0000000000ff"},
)


def _write(path: Path, rows: list[dict[str, object]]) -> Path:
    table = pa.Table.from_pylist(rows)
    if path.suffix == ".parquet":
        pq.write_table(table, path)
    elif path.suffix == ".csv":
        pcsv.write_csv(table, path)
    else:
        path.write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))
    return path


def _is_the_good_row(columns: Columns) -> bool:
    numbers = (int(columns.ts_ms[0]), columns.user[0], columns.session[0], columns.film[0], columns.position[0])
    codes = (columns.event_type[0], columns.page[0], columns.device[0], columns.referrer[0])
    assert columns.id_hi is not None
    assert columns.id_lo is not None
    ids = (columns.id_hi[0], columns.id_lo[0])
    return (numbers, codes, ids) == (
        (1_766_837_931_766, 10, 0x53482D2C, 331, 9),
        (0, 1, 2, 2),
        (0x53482D2C00004000, 0x80000000000000FF),
    )


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".jsonl"])
def test_an_event_reads_the_same_from_every_format(tmp_path: Path, suffix: str) -> None:
    """Words become codes, ids and times numbers."""
    columns = read(_write(tmp_path / f"events{suffix}", [GOOD]))
    assert (len(columns), columns.malformed) == (1, 0)
    assert _is_the_good_row(columns)


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".jsonl"])
@pytest.mark.parametrize("change", BROKEN, ids=str)
def test_a_row_that_breaks_the_contract_is_counted_and_left_out(
    tmp_path: Path, suffix: str, change: dict[str, object]
) -> None:
    """The good rows around it stay."""
    columns = read(_write(tmp_path / f"events{suffix}", [GOOD, GOOD | change, GOOD]))
    assert (len(columns), columns.malformed) == (2, 1)


def test_lines_that_are_not_json_are_counted(tmp_path: Path) -> None:
    """Truncated, of a wrong type, and no object."""
    path = tmp_path / "events.jsonl"
    good = orjson.dumps(GOOD)
    path.write_bytes(b"\n".join([good, good[:50], orjson.dumps(GOOD | {"film_id": "331"}), b"[1]", good]))
    columns = read(path)
    assert (len(columns), columns.malformed) == (2, 3)
    assert _is_the_good_row(columns)


def test_the_simulators_own_columns_are_read_as_they_are(tmp_path: Path) -> None:
    """Numbers and codes instead of words; no ids."""
    own: dict[str, object] = {
        "ts_ms": 5,
        "user": 7,
        "session": 9,
        "film": 3,
        "event_type": 1,
        "page": 4,
        "position": 2,
        "device": 0,
        "referrer": 1,
    }
    columns = read(_write(tmp_path / "events.parquet", [own]))
    assert (columns.ts_ms[0], columns.user[0], columns.event_type[0]) == (5, 7, 1)
    assert columns.id_hi is None


def test_parquet_keeps_dictionaries_and_timestamps(tmp_path: Path) -> None:
    """What other tools write."""
    table = pa.Table.from_pylist([GOOD])
    table = table.set_column(1, "event_ts", pa.array(np.array([1_766_837_931_766_000], "datetime64[us]")))
    table = table.set_column(2, "user_id", table["user_id"].dictionary_encode())
    pq.write_table(table, tmp_path / "events.parquet")
    assert _is_the_good_row(read(tmp_path / "events.parquet"))


def test_a_missing_file_is_named() -> None:
    """With the command that makes one."""
    with pytest.raises(MissingError, match=r"no file nowhere\.parquet"):
        read(Path("nowhere.parquet"))


def test_an_unknown_suffix_is_refused(tmp_path: Path) -> None:
    """The known ones are told."""
    (tmp_path / "events.xls").write_text("")
    with pytest.raises(UsageError) as caught:
        read(tmp_path / "events.xls")
    assert ".parquet, .csv, .jsonl" in caught.value.hint


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    """Without it nothing can be scored."""
    rows: list[dict[str, object]] = [{name: value for name, value in GOOD.items() if name != "page"}]
    with pytest.raises(UsageError, match="has no column page"):
        read(_write(tmp_path / "events.csv", rows))


def test_a_file_that_is_not_what_its_suffix_says_is_refused_in_words(tmp_path: Path) -> None:
    """No Arrow trace."""
    (tmp_path / "events.parquet").write_text("hello, I am no Parquet")
    with pytest.raises(ClickreelError, match="cannot be read as parquet"):
        read(tmp_path / "events.parquet")
