from pathlib import Path

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.csv as pcsv
import pyarrow.parquet as pq
import pytest

from clickreel.audit.realism.click_files import read_clicks
from clickreel.audit.realism.click_log import ClickLog, own_pace, successive_correlation
from clickreel.audit.realism.comparison import compare_logs
from clickreel.audit.realism.two_sample import classify
from clickreel.cli.app import run
from clickreel.errors import UsageError


def log(*, sessions: int = 4000, seed: int = 1, pace: float = 0.7, repeats: float = 0.2) -> ClickLog:
    """A made-up log: geometric lengths, log-normal gaps of 60 s, of which sessions have a pace of their own, ten items of 200 in each session."""
    rng = np.random.default_rng(seed)
    length = 2 + rng.geometric(0.4, sessions)
    session = np.repeat(np.arange(sessions), length)
    gap = np.exp(4.1 + pace * rng.standard_normal(sessions)[session] + 1.3 * rng.standard_normal(len(session)))
    start = 20_000 * 86_400_000 + np.sort(rng.integers(0, 14 * 86_400_000, sessions))
    ts_ms = start[session] + np.cumsum(gap * 1000).astype(np.int64)
    item = rng.integers(0, 20, sessions)[session] * 10 + rng.integers(0, 10, len(session))
    again = np.flatnonzero((rng.random(len(session)) < repeats) & (session == np.roll(session, 1)))
    item[again] = item[again - 1]
    return ClickLog.from_columns(session, item, ts_ms)


def test_two_samples_of_one_law_cannot_be_told_apart() -> None:
    """The AUC is that of a coin."""
    assert classify(log(seed=1).features(), log(seed=2).features(), tells=False).auc == pytest.approx(0.5, abs=0.02)


def test_what_differs_is_found_and_named() -> None:
    """Three times as many repeats: the machine says so, and by what."""
    found = compare_logs(log(seed=1, repeats=0.1), log(seed=2, repeats=0.4))
    assert found.test.auc > 0.6
    assert found.floor.auc == pytest.approx(0.5, abs=0.03)
    assert found.tells()[0][0] in {"repeats", "gap before repeat"}


def test_a_log_as_regular_as_a_clock_can_be_compared() -> None:
    """Where no session repeats an item, no session has a gap before a repeat."""
    count = np.arange(3000)
    made = ClickLog.from_columns(count // 5, count % 7, 1_735_689_600_000 + count * 1000)
    assert np.isnan(made.features()).all(axis=0).any()
    found = compare_logs(made, made)
    assert found.test.auc == pytest.approx(0.5, abs=0.05)
    assert np.isfinite(found.test.tells).all()


def test_pace_and_successive_gaps_are_recovered() -> None:
    """A pace of .7 over a spread of 1.3 is a correlation of .49 / (.49 + 1.69)."""
    made = log(sessions=20_000)
    assert own_pace(made) == pytest.approx(0.7, rel=0.05)
    assert successive_correlation(made) == pytest.approx(0.49 / 2.18, rel=0.1)


def test_features_of_a_session_by_hand() -> None:
    """Clicks a, b, a after 10 and 40 s, and a second session of two."""
    made = ClickLog.from_columns(
        np.array([7, 7, 7, 3, 3, 9]), np.array([1, 2, 1, 5, 5, 1]), np.array([0, 10, 50, 100, 101, 200]) * 1000
    )
    assert made.sessions == 2
    first = made.features()[0]
    assert first[:2].tolist() == [3.0, pytest.approx(1 / 3)]
    assert np.exp(first[[3, 4, 5, 8]]) == pytest.approx([10, 40, 10, 40])
    assert made.features()[1, 1] == 0.5


def _table(made: ClickLog) -> pa.Table:
    return pa.table({"SessionId": made.session, "ItemId": made.item, "Time": made.ts_ms})


@pytest.mark.parametrize("suffix", ["csv", "parquet", "jsonl"])
def test_a_log_of_any_form_is_read(tmp_path: Path, suffix: str) -> None:
    """Sessions, items and times are the same; names and units are recognised."""
    made, path = log(sessions=300), tmp_path / f"a.{suffix}"
    table = _table(made)
    if suffix == "csv":
        pcsv.write_csv(table, path)
    elif suffix == "parquet":
        pq.write_table(table, path)
    else:
        path.write_bytes(b"\n".join(orjson.dumps(row) for row in table.to_pylist()))
    read = read_clicks(path)
    assert (read.features() == made.features())[:, :7].sum() > 0
    assert read.session.tolist() == made.session.tolist()
    assert np.bincount(read.item).max() == np.bincount(made.item).max()
    assert read.ts_ms.tolist() == made.ts_ms.tolist()


def test_a_headless_dat_file_is_read(tmp_path: Path) -> None:
    """Session, ISO time, item, category."""
    path = tmp_path / "clicks.dat"
    path.write_text("1,2014-04-07T10:51:09.277Z,214536502,0\n1,2014-04-07T10:54:09.868Z,214536500,0\n")
    assert np.exp(read_clicks(path).log_gaps).tolist() == [pytest.approx(180.591)]


def test_a_log_without_an_item_is_refused(tmp_path: Path) -> None:
    """With the names that would do."""
    path = tmp_path / "a.csv"
    path.write_text("session_id,event_ts\n1,2\n")
    with pytest.raises(UsageError, match="no column for the item"):
        read_clicks(path)


def test_the_command_compares_two_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """AUC, tells, tau, and both drift curves."""
    for number in (1, 2):
        pq.write_table(_table(log(seed=number)), tmp_path / f"{number}.parquet")
    files = [str(tmp_path / f"{number}.parquet") for number in (1, 2)]
    assert run(["realism", "compare", *files, "--json"]) == 0
    answer = orjson.loads(capsys.readouterr().out)
    assert answer["auc"] == pytest.approx(0.5, abs=0.03)
    assert answer["tau"] > 0.4
    assert all(len(side["drift"]) == 6 and len(side["mrr20"]) == 6 for side in answer["logs"])
    assert run(["realism", "compare", files[0]]) == 2
    assert "1 logs to compare" in capsys.readouterr().err
