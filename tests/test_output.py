"""What the command line prints, at 80 columns and from a folder that is not on the PATH."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from clickreel.cli.app import run
from clickreel.cli.output import as_typed, print_table


def test_a_table_never_breaks_a_number_or_an_address(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is folded between words first, and wider than the terminal when that is not enough."""
    monkeypatch.setenv("COLUMNS", "40")
    address = "http://127.0.0.1:29106/apis/ccompat/v7"
    print_table(("part", "events>", "address", "what it is"), [("registry", "1,234,567", address, "a few words " * 9)])
    printed = capsys.readouterr().out
    assert all(any(word in line for line in printed.splitlines()) for word in ("registry", "1,234,567", address))
    assert len(printed.splitlines()) > 5


def test_a_hint_can_be_typed_where_it_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Set-up leaves the program in .venv/bin; a program on the PATH is named shortly."""
    program = tmp_path / ".venv" / "bin" / "clickreel"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [".venv/bin/clickreel", "down"])
    monkeypatch.setenv("PATH", "/nowhere")
    assert as_typed("clickreel up --detach") == ".venv/bin/clickreel up --detach"
    assert as_typed("free some space") == "free some space"
    monkeypatch.chdir(program.parent.parent)
    monkeypatch.setattr(sys, "argv", [str(program), "down"])
    assert as_typed("clickreel up") == "bin/clickreel up"
    monkeypatch.setenv("PATH", str(program.parent))
    assert as_typed("clickreel up") == "clickreel up"


@pytest.mark.parametrize(
    ("typed", "hint"),
    [
        (["topic", "describe", "somebodys.topic"], "topic describe --topic somebodys.topic"),
        (["topic", "describe", "a", "b"], "topic describe --help"),
        (["status", "now"], "status --help"),
    ],
)
def test_a_stray_word_that_may_be_a_topic_is_answered_with_the_option(
    typed: list[str], hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Other tools for Kafka take the topic as a bare word."""
    assert run(typed) == 2
    assert capsys.readouterr().err.splitlines()[-1].endswith(hint)


@pytest.mark.parametrize(
    "command",
    [
        ["export", "superset", "--out"],
        ["export", "grafana", "--out"],
        ["contract", "evolve", "--set", "position.maximum=9", "--out"],
        ["ledger", "--until", "2026-01-06", "--out"],
    ],
)
@pytest.mark.parametrize("made", ["file", "folder"])
def test_a_path_that_cannot_be_written_is_named(
    command: list[str], made: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two lines, whichever command: a folder that is missing, and a folder where a file should be."""
    path = tmp_path / "none" / "out.jsonl"
    if made == "folder":
        path.mkdir(parents=True)
    assert run([*command, str(path)]) == 2
    error = capsys.readouterr().err.splitlines()
    assert len(error) == 2
    assert str(path) in error[0]
    assert error[1].startswith("hint: ")
