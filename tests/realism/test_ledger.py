from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from clickreel.audit.realism import timeline
from clickreel.audit.realism.ledger_reader import of_table, read_ledger
from clickreel.contract.vocabulary import FLAWS
from clickreel.errors import MissingError, UsageError
from clickreel.simulate.ledger import SCHEMA
from tests.realism.build import stream

ROWS: list[dict[str, Any]] = [
    {"kind": "run", "name": "r", "start_ms": 0, "end_ms": 9, "detail": '{"flaws": {"late": 0.02}}'},
    {"kind": "burst", "start_ms": 3, "end_ms": 7, "film_id": 12, "value": 10.0, "exponent": 0.9},
    {"kind": "launch", "start_ms": 4, "end_ms": 5, "film_id": 13},
    {"kind": "random_list", "start_ms": 1, "end_ms": 2, "user_id": "u_1", "session_id": "s_0000000a"},
    {"kind": "flaw", "name": "late", "start_ms": 5, "end_ms": 65, "event_id": "53482d2c-0000-4000-8000-0000000000ff"},
    {"kind": "something new"},
]


def _table(rows: list[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist([{name: row.get(name) for name in SCHEMA.names} for row in rows], SCHEMA)


def _write(path: Path) -> Path:
    if path.suffix == ".parquet":
        pq.write_table(_table(ROWS), path)
    else:
        path.write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in ROWS))
    return path


@pytest.mark.parametrize("suffix", [".parquet", ".jsonl"])
def test_a_ledger_reads_the_same_from_both_formats(tmp_path: Path, suffix: str) -> None:
    """Kinds that are not known are passed over."""
    ledger = read_ledger(_write(tmp_path / f"ledger{suffix}"))
    assert (ledger.bursts.film.tolist(), ledger.launches.film.tolist()) == ([12], [13])
    assert ledger.list_session.tolist() == [10]
    assert ledger.flaws is not None
    assert (ledger.flaws.name.tolist(), ledger.flaws.delay_ms.tolist()) == ([FLAWS.index("late")], [60])
    assert ledger.flaws.id_lo.tolist() == [0x80000000000000FF]
    assert ledger.configured == {"late": 0.02}


def test_an_empty_ledger() -> None:
    """A run without flaws, bursts or random lists."""
    ledger = of_table(_table(ROWS[:1]))
    assert ledger.flaws is not None
    assert (len(ledger.bursts), len(ledger.flaws), len(ledger.list_session)) == (0, 0, 0)


def test_rows_of_random_lists() -> None:
    """Both ends belong to the list; other sessions and unknown sessions do not."""
    lists = [
        {"kind": "random_list", "start_ms": 20, "end_ms": 30, "session_id": "s_00000005"},
        {"kind": "random_list", "start_ms": 0, "end_ms": 10, "session_id": "s_00000005"},
        {"kind": "random_list", "start_ms": 0, "end_ms": 99, "session_id": "s_000000ff"},
        {"kind": "random_list", "start_ms": -50, "end_ms": -5, "session_id": "s_00000004"},
    ]
    line = timeline(stream(ts_ms=[0, 10, 15, 30, 31, 0, 20], user=[1] * 5 + [2] * 2, session=[5] * 5 + [4] * 2))
    assert of_table(_table(lists)).random_rows(line).tolist() == [True, True, False, True, False, False, False]


def test_a_missing_ledger_is_named() -> None:
    """With the command that writes one."""
    with pytest.raises(MissingError, match=r"no ledger nowhere\.parquet"):
        read_ledger(Path("nowhere.parquet"))


def test_what_is_no_ledger_is_refused(tmp_path: Path) -> None:
    """Another table, another suffix."""
    pq.write_table(pa.table({"a": [1]}), tmp_path / "a.parquet")
    with pytest.raises(UsageError, match="is no ledger"):
        read_ledger(tmp_path / "a.parquet")
    (tmp_path / "a.txt").write_text("")
    with pytest.raises(UsageError, match="cannot tell the format"):
        read_ledger(tmp_path / "a.txt")
