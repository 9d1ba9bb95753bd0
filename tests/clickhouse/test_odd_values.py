"""Values that no text or calendar of Python holds, on the way from the engine to a terminal."""

from __future__ import annotations

from pathlib import Path

import pytest

from clickreel.cli.app import run
from tests.clickhouse.process import ClickHouse


@pytest.mark.parametrize(
    ("expression", "shown"),
    [
        ("unhex('ff')", "\ufffd"),
        ("[unhex('ff'), 'a']", "\ufffd"),
        ("fromUnixTimestamp64Milli(253402300800000, 'UTC')", "10000-01-01"),
        ("[fromUnixTimestamp64Milli(253402300800000, 'UTC')]", "10000-01-01"),
        ("toDate32('2299-12-31')", "2299-12-31"),
        ("18446744073709551615", "18446744073709551615"),
        ("'a\\x1b[2Jb'", "a\\x1b[2Jb"),
        ("nan", "nan"),
    ],
)
def test_any_value_is_shown(
    clickhouse: ClickHouse, tmp_path: Path, capsys: pytest.CaptureFixture[str], expression: str, shown: str
) -> None:
    """In a table and as JSON, with exit code 0 and nothing that a terminal obeys."""
    profile = tmp_path / "client.properties"
    profile.write_text(f"bootstrap.servers=127.0.0.1:9\nclickhouse.url={clickhouse.url}\n", encoding="utf-8")
    for form in ("--table", "--json"):
        asked = ["sql", "--engine", "clickhouse", "-e", f"select {expression} as x", form, "--profile", str(profile)]
        assert run(asked) == 0
        out, err = capsys.readouterr()
        assert "\x1b" not in out + err
        assert form == "--json" or shown in out, out
