"""The commands as they are typed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from clickreel.cli.app import run
from tests.insight.conftest import Landed


@pytest.fixture
def ask(landed: Landed, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    """Run a command against the landed world; its exit code, JSON and words."""
    profile = tmp_path / "client.properties"
    profile.write_text(
        f"bootstrap.servers=127.0.0.1:9\nclickhouse.url={landed.profile.clickhouse_url}\n"
        f"clickhouse.database={landed.profile.clickhouse_database}\n"
    )

    def ask(*arguments: str) -> tuple[int, Any, str]:
        code = run([*arguments, "--profile", str(profile)])
        out, err = capsys.readouterr()
        return code, json.loads(out) if "--json" in arguments and out else out, err

    return ask


def test_json_of_every_answer(ask: Any) -> None:
    """Each command gives one object with its window."""
    for arguments, key in (
        (("trending",), "films"),
        (("funnel", "--since", "7d", "--by", "device"), "steps"),
        (("activity", "--since", "24h", "--step", "1h"), "buckets"),
        (("recommend", "u_1"), "films"),
        (("recommend", "--film", "1"), "films"),
        (("recommend", "--session", "1,2"), "films"),
        (("recommend", "--new-user"), "films"),
    ):
        code, answer, _ = ask(*arguments, "--json")
        assert code == 0
        assert answer["window"]["from"] < answer["window"]["until"]
        assert answer[key], arguments
    code, answer, _ = ask("recommend", "--evaluate", "--json")
    assert code == 0
    assert 0 < answer["next_hit_rate_10"] <= 1
    assert {one["name"] for one in answer["comparison"]["methods"]} >= {
        "POP",
        "S-POP",
        "rules",
        "VSTAN",
        "EASE",
        "iALS",
    }


def test_tables_for_people(ask: Any) -> None:
    """Answers are tables; where they come from is said beside them."""
    for arguments, word in (
        (("trending",), "expected"),
        (("funnel",), "add_to_watchlist"),
        (("activity",), "people"),
        (("recommend", "u_1"), "title"),
        (("recommend", "--film", "1"), "title"),
        (("recommend", "--evaluate"), "popular"),
    ):
        code, out, err = ask(*arguments)
        assert code == 0
        assert word in out
        assert "UTC" in err


def test_what_cannot_be_answered_is_a_usage_error(ask: Any) -> None:
    """Exit code 2, what is wrong, and a hint."""
    for arguments in (
        ("recommend",),
        ("recommend", "u_1", "--film", "2"),
        ("recommend", "u_1", "--users", "100"),
        ("recommend", "--session", "1,999999"),
        ("trending", "--since", "soon"),
        ("funnel", "--by", "colour"),
        ("funnel", "--steps", "view,buy"),
        ("recommend", "--film", "999999"),
        ("recommend", "u_٣"),
        ("activity", "--until", "2199-01-01"),
    ):
        code, _, err = ask(*arguments)
        assert code == 2, arguments
        assert err.startswith("error: ")
        assert "hint: " in err


def test_charts_are_listed_asked_and_shown(ask: Any) -> None:
    """A list, a table, JSON, the statement; an unknown one is a usage error."""
    code, out, _ = ask("chart")
    assert code == 0
    assert "popular_categories" in out
    code, answer, _ = ask("chart", "popular-films", "--limit", "3", "--json")
    assert code == 0
    assert len(answer["rows"]) == 3
    code, out, err = ask("chart", "session_lengths")
    assert code == 0
    assert "bounce_ratio" in out
    assert "UTC" in err
    code, out, _ = ask("chart", "retention", "--sql")
    assert code == 0
    assert "FROM dvd_clicks_landing" in out
    code, _, err = ask("chart", "pie")
    assert code == 2
    assert "hint: clickreel chart" in err
