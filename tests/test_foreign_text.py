"""Text of others on a terminal: never obeyed, never markup, never a traceback."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clickreel.cli import output
from clickreel.cli.app import run
from clickreel.foreign_text import printable, printable_json

HOSTILE = "a\x1b[2Jb\x9bc\x1b]0;title\x07d\u202ee\ud800f[/x][a-z]\r\n\x7f"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (HOSTILE, r"a\x1b[2Jb\x9bc\x1b]0;title\x07d\u202ee\ud800f[/x][a-z]\r\n\x7f"),
        (b"caf\xe9 \xff\xfe", r"caf\xe9 \xff\xfe"),
        ("Amélie 映画 🎬 👩‍💻", "Amélie 映画 🎬 👩‍💻"),
        (r"^s_[a-z0-9]{8}\.$", r"^s_[a-z0-9]{8}\.$"),
        ("", ""),
        (b"", ""),
    ],
)
def test_controls_are_escaped_and_letters_kept(text: str | bytes, expected: str) -> None:
    """Controls, bidirectional marks, halves of surrogates and bytes that are no text are shown as escapes."""
    assert printable(text) == expected


def test_a_limit_counts_what_is_shown() -> None:
    """A long text is cut, also where an escape makes it long."""
    assert printable("x" * 10, 10) == "x" * 10
    assert printable("x" * 11, 10) == "x" * 10 + "..."
    assert printable(b"\0" * 1_000_000, 8) == r"\x00\x00..."


def test_lines_keeps_line_feeds_and_tabs_alone() -> None:
    """For text of many lines."""
    assert printable("a\n\tb\rc\x0b", lines=True) == "a\n\tb\\rc\\x0b"


@given(st.one_of(st.text(), st.binary(), st.text(alphabet=st.characters(categories=["Cc", "Cf", "Cs", "Zl", "Zp"]))))
def test_nothing_that_a_terminal_obeys_is_left(text: str | bytes) -> None:
    """No control or surrogate passes, whatever the text."""
    assert not {c for c in printable(text) if unicodedata.category(c) in {"Cc", "Cs", "Zl", "Zp"}}


@given(
    st.recursive(
        st.none() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_json_stays_the_same_document(document: object) -> None:
    """Escaped for a terminal or for an output of ASCII alone, a parser reads the same."""
    text = json.dumps(document, ensure_ascii=False)
    assert json.loads(printable_json(text)) == document
    only = printable_json(text, ascii_only=True)
    assert only.isascii()
    assert json.loads(only) == document


def test_what_is_printed_is_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    """Brackets stand as they are in lines, tables, their headings, errors and hints."""
    output.print_err(("[/x]", "bold"), " [a-z] :smile:")
    output.print_table(["[/x]", "[b]n>"], [("[a-z]{8}", HOSTILE)], title="[/i]")
    output.print_error(f"no {HOSTILE}", "clickreel produce --run 'r[/b]'")
    output.print_out(HOSTILE)
    out, err = capsys.readouterr()
    assert err.startswith("[/x] [a-z] :smile:\n")
    assert "hint: clickreel produce --run 'r[/b]'\n" in err
    assert "[a-z]{8}" in out
    assert "[/i]" in out
    assert out.splitlines()[1].split() == ["[/x]", "[b]n"]
    assert not {"\x1b", "\x9b", "\x07", "\u202e", "\ud800", "\r"} & set(out + err)


def test_json_takes_long_integers_and_halves_of_surrogates(capsys: pytest.CaptureFixture[str]) -> None:
    """A number of 24 digits stays as it is, and no text is refused."""
    answer = {"n": 123456789012345678901234, "text": "\ud800\x9b", "path": Path("x")}
    output.print_json(answer)
    printed = capsys.readouterr().out
    assert printed == '{"n": 123456789012345678901234, "text": "\\ud800\\x9b", "path": "x"}\n'.replace("x9b", "u009b")


def test_json_for_an_output_of_ascii_is_json(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every letter beyond ASCII is escaped as JSON escapes it, not as a terminal would show it."""
    stdout = io.TextIOWrapper(io.BytesIO(), encoding="ascii", errors="backslashreplace")
    monkeypatch.setattr(sys, "stdout", stdout)
    output.print_json({"title": "Amélie 🎬"})
    stdout.flush()
    assert json.loads(stdout.buffer.getvalue()) == {"title": "Amélie 🎬"}


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_no_encoding_of_the_terminal_ends_a_command(encoding: str, tmp_path: Path) -> None:
    """Letters that it does not have are replaced; the exit code is that of the answer."""
    schema = tmp_path / "films.json"
    schema.write_text(
        json.dumps(
            {"type": "object", "description": "映画 \x1b[2J[/x]", "properties": {"é\x1b[2J": {"type": "string"}}}
        )
    )
    done = subprocess.run(
        [sys.executable, "-m", "clickreel", "contract", "diff", "4", str(schema)],
        env={**os.environ, "PYTHONIOENCODING": encoding},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert b"\x1b" not in done.stdout + done.stderr
    assert b"\\x1b[2J" in done.stdout


def test_what_was_typed_is_repeated_verbatim(capsys: pytest.CaptureFixture[str]) -> None:
    """A pattern in brackets, a run that looks like markup, an option that holds escapes."""
    assert run(["contract", "evolve", "--set", "session_id.pattern=^s_[a-z0-9]{8}$"]) == 5
    out, err = capsys.readouterr()
    assert "^s_[a-z0-9]{8}$" in out + err
    assert run(["produce", "--run", "r[/b]\x1b[2J", "--count", "1"]) != 0
    assert run(["contract", "show", "--field", "[/x]\x1b[2J"]) == 2
    out, err = capsys.readouterr()
    assert r"has no field [/x]\x1b[2J" in err
    assert "\x1b" not in out + err
