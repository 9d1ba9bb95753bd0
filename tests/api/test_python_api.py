"""The Python API: what it offers, and a user's program that is run and shown in the documentation."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import clickreel
from clickreel.local.home import Home
from clickreel.testing.fixtures import ClickStream, ClickTopic, click_stack, click_stream, click_topic

USER_CODE = Path(__file__).parent / "user_code.py"
PAGE = Path(__file__).parents[2] / "docs" / "python.md"
__all__ = ["click_stack", "click_stream", "click_topic"]


@pytest.fixture(scope="module", autouse=True)
def _leave_home_as_it_was(home: Home) -> Iterator[None]:
    """The stack of `click_stack` is named by CLICKREEL_HOME as long as it lasts, which is the whole run of tests."""
    yield
    os.environ["CLICKREEL_HOME"] = str(home.path)


def test_everything_that_is_offered_is_there_and_sorted() -> None:
    """Names in __all__ resolve, in order."""
    assert sorted(clickreel.__all__) == clickreel.__all__
    for name in clickreel.__all__:
        assert getattr(clickreel, name) is not None


def test_the_import_is_light() -> None:
    """Nothing heavy is loaded before it is used."""
    probe = "import sys, clickreel; print([m for m in ('pyarrow', 'confluent_kafka', 'chdb', 'nicegui') if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_a_name_that_is_not_offered_is_an_attribute_error() -> None:
    """As of any module."""
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = clickreel.nothing


def test_the_events_are_those_of_the_world() -> None:
    """A count cuts the same events off."""
    world = clickreel.make_world(seed=7, users=500)
    whole = clickreel.simulate_events(world, start="2026-01-01", until="2026-01-02")
    cut = clickreel.simulate_events(world, start="2026-01-01", count=100)
    assert whole.slice(0, 100).equals(cut)
    assert set(cut.column_names) >= {"event_id", "event_ts", "user_id", "film_id"}


def test_an_end_before_the_start_is_refused() -> None:
    """In words."""
    with pytest.raises(clickreel.UsageError, match="until is not after start"):
        clickreel.simulate_events(seed=1, start="2026-01-02", until="2026-01-01")


def sections() -> dict[str, str]:
    """The parts of the user's program by name."""
    parts = re.split(r"^ *# \[(\w+)\]\n", USER_CODE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_the_page_shows_the_program_that_is_run() -> None:
    """Every line of it stands in docs/python.md, in order."""
    page = PAGE.read_text(encoding="utf-8")
    shown = "\n".join(re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL))
    wanted = [line.strip() for text in sections().values() for line in text.splitlines() if line.strip()]
    lines = [line.strip() for line in shown.splitlines() if line.strip()]
    assert lines[: len(wanted)] == wanted


@pytest.mark.stack
def test_the_users_program_runs(tmp_path: Path) -> None:
    """Whole, in an empty home of its own, with what it prints."""
    env = {**os.environ, "CLICKREEL_HOME": str(tmp_path / "h")}
    found = subprocess.run(
        [sys.executable, str(USER_CODE)], env=env, capture_output=True, text=True, check=False, timeout=280
    )
    assert found.returncode == 0, found.stderr[-2_000:]
    lines = found.stdout.splitlines()
    assert re.fullmatch(r"[\d,]+ events of run \S+", lines[0])
    assert any(re.fullmatch(r"[\d,]+ records in dvd_clicks", line) for line in lines)
    assert any(re.fullmatch(r"[1-9][\d,]* break the contract", line) for line in lines)
    assert any(line.startswith("proven ") for line in lines)


@pytest.mark.stack
def test_a_strangers_test_gets_a_topic_of_its_own(click_topic: ClickTopic) -> None:
    """Empty, on a real Kafka."""
    assert list(clickreel.read_messages(profile=click_topic.profile, topic=click_topic.name)) == []


@pytest.mark.stack
def test_a_strangers_test_gets_a_stream_whose_truth_is_known(click_stream: ClickStream) -> None:
    """The topic holds the expected events, all of them good."""
    views = list(clickreel.read_messages(profile=click_stream.topic.profile, topic=click_stream.topic.name))
    assert all(view.verdict.is_valid for view in views)
    assert sorted(view.value["event_id"] for view in views) == sorted(click_stream.expected["event_id"].to_pylist())
