from pathlib import Path

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from clickreel.cli.app import run
from tests.realism.naive import naive


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A naive stream of 30,000 events in a Parquet file."""
    columns = naive(30_000)
    names = ("ts_ms", "user", "session", "film", "event_type", "page", "position", "device", "referrer")
    path = tmp_path_factory.mktemp("realism") / "small.parquet"
    pq.write_table(pa.table({name: np.asarray(getattr(columns, name)) for name in names}), path)
    return path


def test_a_small_stream_is_refused_in_words(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With what would be enough."""
    assert run(["realism", str(small)]) == 2
    err = capsys.readouterr().err
    assert "too few to judge: 30,000 events (at least 1,000,000 events over 13.9 days and 900 films)" in err


def test_a_figure_out_of_its_band_exits_with_six(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The table stands on stdout, what fell out on stderr."""
    assert run(["realism", str(small), "--anyway"]) == 6
    out, err = capsys.readouterr()
    assert "user skew" in out
    assert "! out" in out
    assert "outside the band: R" in err


def test_json_is_one_object_with_all_tests(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing else is on stdout; a test without a verdict says null."""
    assert run(["realism", str(small), "--anyway", "--json"]) == 6
    answer = orjson.loads(capsys.readouterr().out)
    assert answer["ok"] is False
    assert [row["id"] for row in answer["tests"]] == [f"R{n}" for n in range(1, 25)]
    r8, r13 = answer["tests"][7], answer["tests"][12]
    assert r8["band"]["peak hour"] == [19, 22]
    assert r8["assumed"] == ["peak/trough", "weekday max/min"]
    assert r13["ok"] is None
    assert r13["value"]["recall"] is None


def test_a_picture_is_drawn(small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where one asks for it."""
    assert run(["realism", str(small), "--anyway", "--json", "--picture", str(tmp_path / "a.svg")]) == 6
    assert (tmp_path / "a.svg").stat().st_size > 10_000
    assert "picture: " in capsys.readouterr().err


def test_a_wrong_picture_is_refused_before_the_work(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Even before the file is looked for."""
    assert run(["realism", "nowhere.parquet", "--picture", str(tmp_path / "a.gif")]) == 2
    assert "cannot draw a picture as a.gif" in capsys.readouterr().err


def test_a_missing_file_exits_with_three(capsys: pytest.CaptureFixture[str]) -> None:
    """And names the command that makes one."""
    assert run(["realism", "nowhere.parquet"]) == 3
    assert "hint: clickreel simulate --out nowhere.parquet" in capsys.readouterr().err


def test_worlds_are_made_and_scored(capsys: pytest.CaptureFixture[str]) -> None:
    """Several seeds give medians; small ones need --anyway."""
    arguments = ["realism", "world", "--seeds", "1,2", "--days", "2", "--users", "300", "--anyway", "--json"]
    assert run(arguments) in {0, 6}
    answer = orjson.loads(capsys.readouterr().out)
    assert answer["seeds"] == [1, 2]
    assert len(answer["tests"][0]["seeds"]["mean"]) == 2
