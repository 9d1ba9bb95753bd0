"""The commands: simulate, ledger, id explain, scenarios, bench."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest

from clickreel.cli.app import run
from clickreel.contract.check import check
from clickreel.contract.vocabulary import FIELDS


def answer(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    """What a command prints with --json."""
    assert run([*arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("suffix", ["parquet", "csv", "jsonl"])
def test_simulate_writes_so_many_events_and_the_same_each_time(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], suffix: str
) -> None:
    """Any of the three forms; the same command gives the same bytes."""
    files = [tmp_path / f"{name}.{suffix}" for name in "ab"]
    for file in files:
        told = answer(capsys, "simulate", "--out", str(file), "--count", "2500", "--seed", "7", "--users", "3000")
        assert told["events"] == 2500
        assert told["bytes"] == file.stat().st_size
    assert files[0].read_bytes() == files[1].read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"a.{suffix}", f"b.{suffix}"]


def test_the_three_forms_hold_the_same_events(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Row by row and field by field; each line of JSON keeps the contract."""
    for suffix in ("parquet", "csv", "jsonl"):
        answer(capsys, "simulate", "--out", str(tmp_path / f"e.{suffix}"), "--count", "1000", "--users", "3000")
    lines = (tmp_path / "e.jsonl").read_bytes().splitlines()
    events = [json.loads(line) for line in lines]
    assert [list(event) for event in events] == [list(FIELDS)] * 1000
    assert all(check(f'"{e["user_id"]}"'.encode(), line) is None for e, line in zip(events, lines, strict=True))
    for table in (pq.read_table(tmp_path / "e.parquet"), pacsv.read_csv(tmp_path / "e.csv")):
        for row, event in zip(table.to_pylist(), events, strict=True):
            moment = row["event_ts"].strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
            assert {**row, "event_ts": moment} == event


def test_the_file_is_the_same_for_several_workers(tmp_path: Path) -> None:
    """With a count that ends inside the second block (a day of 18,000 events is one), and flaws."""
    sums = set()
    for workers in ("1", "2"):
        out = tmp_path / f"w{workers}.jsonl"
        subprocess.run(
            [sys.executable, "-m", "clickreel", "simulate", "--out", str(out), "--users", "2000", "--count", "30000",
             "--flaws", "late=1%,malformed=1%", "--workers", workers],
            check=True, capture_output=True, env=os.environ,
        )  # fmt: skip
        sums.add(hashlib.sha256(out.read_bytes()).hexdigest())
    assert len(sums) == 1


def test_malformed_messages_are_left_out_where_they_cannot_stand(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A typed file counts them, lines hold them."""
    common = ("--count", "3000", "--users", "3000", "--flaws", "malformed=10%")
    typed = answer(capsys, "simulate", "--out", str(tmp_path / "e.parquet"), *common)
    lines = answer(capsys, "simulate", "--out", str(tmp_path / "e.jsonl"), *common)
    assert typed["left_out"] == pytest.approx(300, abs=80)
    assert typed["events"] + typed["left_out"] == lines["events"] == 3000


def test_an_id_of_a_file_tells_its_event(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Time and user of the row that has it."""
    out = tmp_path / "e.jsonl"
    made = answer(capsys, "simulate", "--out", str(out), "--count", "10", "--users", "3000")
    event = json.loads(out.read_bytes().splitlines()[3])
    told = answer(capsys, "id", "explain", event["event_id"], "--run", made["run"])
    assert (told["event_ts"], told["user_id"]) == (event["event_ts"], event["user_id"])


@pytest.mark.parametrize("run_name", [None, "another"])
def test_an_id_of_nobodys_run_is_not_believed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, run_name: str | None
) -> None:
    """Any UUID can be read back to some user; without a known run it is nobody's."""
    monkeypatch.setenv("CLICKREEL_HOME", str(tmp_path))
    named = ("--run", run_name) if run_name else ()
    assert run(["id", "explain", "84e0e977-9ee7-4eec-9cd6-f7655e481cb3", *named]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "is no event of the" in printed.err
    assert "hint: clickreel id explain UUID --run NAME" in printed.err


def test_the_ledger_is_written_in_both_forms(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same entries as lines on stdout and as Parquet."""
    common = ("ledger", "--users", "1000", "--days", "1", "--flaws", "late=1%")
    assert run([*common]) == 0
    lines = capsys.readouterr().out.splitlines()
    out = tmp_path / "ledger.parquet"
    told = answer(capsys, *common, "--format", "parquet", "--out", str(out))
    assert told["entries"] == len(lines) == pq.read_table(out).num_rows > 50
    assert json.loads(lines[0])["kind"] == "run"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--out", "events.txt"], "events.txt"),
        (["--out", "no/such/folder/e.csv"], "no folder"),
        (["--out", "e.csv", "--count", "0"], "--count is 0"),
        (["--out", "e.csv", "--workers", "0"], "--workers is 0"),
        (["--out", "e.csv", "--scenario", "storm"], "no scenario 'storm'"),
        (["--out", "e.csv", "--flaws", "late=101%"], "late=101%"),
        (["--out", "e.csv", "--rate", "0"], "--rate is 0"),
        (["--out", "e.csv", "--films", "absent.csv"], "no file absent.csv"),
        (["--out", "e.csv", "--until", "2026-01-01"], "--until is not after"),
        (["--out", "e.csv", "--days", "2", "--until", "2026-02-01"], "both --until and --days"),
    ],
)
def test_bad_input_is_refused_in_two_lines_and_leaves_no_file(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    told: str,
) -> None:
    """Exit code 2, what was wrong, and a hint."""
    monkeypatch.chdir(tmp_path)
    assert run(["simulate", *arguments]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert told in lines[0]
    assert lines[1].startswith("hint: ")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_written_is_an_error_and_leaves_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A folder stands where the file should."""
    (tmp_path / "e.csv").mkdir()
    assert run(["simulate", "--out", str(tmp_path / "e.csv"), "--count", "10", "--users", "3000"]) == 1
    assert "cannot write" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["e.csv"]


def test_scenarios_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    """With what each is."""
    listed = answer(capsys, "scenarios")["scenarios"]
    assert {"tiny", "calm"} <= {entry["name"] for entry in listed}


def test_benchmarks_are_listed_and_run_with_options(capsys: pytest.CaptureFixture[str]) -> None:
    """The shape of the answer is the one that scripts rely on."""
    assert "simulate" in {entry["name"] for entry in answer(capsys, "bench")["benchmarks"]}
    told = answer(capsys, "bench", "simulate", "-s", "events=30000", "-s", "repeats=1", "-s", "users=3000")
    assert told["name"] == "simulate"
    assert {"median", "min", "max"} <= set(told["ratios"]["a loop of random.choice"])
    assert told["figures"]["events_per_s"] > 0
    assert "processor" in told["machine"]


@pytest.mark.parametrize("arguments", [["storm"], ["simulate", "-s", "speed=3"], ["simulate", "-s", "events=many"]])
def test_an_unknown_benchmark_or_option_is_refused(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    """With those there are."""
    assert run(["bench", *arguments]) == 2
    assert "hint: " in capsys.readouterr().err
