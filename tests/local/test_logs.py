"""Logs: lines of every service taken apart, and filtered by level and time."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from clickreel.errors import UsageError
from clickreel.local import logs
from clickreel.local.home import Home
from clickreel.local.log_lines import parse_line
from clickreel.local.logs import LogFilter

TIME = datetime(2026, 11, 28, 2, 30, 0, 123000, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("text", "level", "logger", "message", "fields"),
    [
        (
            '2026-11-28T02:30:00.123Z INFO clickreel.ingest.loop landed partition=3 why="two words"',
            "INFO",
            "clickreel.ingest.loop",
            "landed",
            {"partition": "3", "why": "two words"},
        ),
        (
            '{"partition": 3, "time": "2026-11-28T02:30:00.123Z", "level": "WARNING", "logger": "clickreel.x", "message": "slow"}',
            "WARNING",
            "clickreel.x",
            "slow",
            {"partition": "3"},
        ),
        (
            "2026-11-28T02:30:00.123Z WARN  KafkaServer: broker a=1 is slow",
            "WARNING",
            "KafkaServer",
            "broker a=1 is slow",
            {},
        ),
        (
            "2026-11-28 02:30:00,123 ERROR [io.quarkus.run] (main) cannot start",
            "ERROR",
            "io.quarkus.run",
            "(main) cannot start",
            {},
        ),
    ],
)
def test_a_line_of_each_service_is_taken_apart(
    text: str, level: str, logger: str, message: str, fields: dict[str, str]
) -> None:
    """Our own in both forms, log4j's and the registry's."""
    entry = parse_line(text)
    assert (entry.level, entry.logger, entry.message, dict(entry.fields)) == (level, logger, message, fields)
    assert entry.time == TIME
    assert entry.text == text


@pytest.mark.parametrize("text", ["", "  at java.lang.Thread.run", '{"a": 1}', "{", "2026-11-28 no level"])
def test_any_other_line_stays_as_it_is(text: str) -> None:
    """The rest of a traceback, output of a library."""
    entry = parse_line(text)
    assert (entry.text, entry.message, entry.level, entry.time) == (text, text, "", None)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A home with a log of Kafka."""
    home = Home(tmp_path / "home")
    home.make()
    home.log("kafka").write_text(
        "2026-11-28T02:00:00.000Z ERROR A: old\n"
        "\tat old.Trace\n"
        "2026-11-28T02:30:00.000Z INFO  B: fine\n"
        "2026-11-28T02:31:00.000Z WARN  C: slow\n"
        "2026-11-28T02:32:00.000Z ERROR D: broken\n"
        "\tat new.Trace\n"
    )
    return home


@pytest.mark.parametrize(
    ("keep", "wanted"),
    [
        (LogFilter(), ["A: old", "at old.Trace", "B: fine", "C: slow", "D: broken", "at new.Trace"]),
        (LogFilter(level="warning"), ["A: old", "at old.Trace", "C: slow", "D: broken", "at new.Trace"]),
        (LogFilter(level="ERROR", since=TIME), ["D: broken", "at new.Trace"]),
    ],
)
def test_what_belongs_to_a_record_goes_with_it(home: Home, keep: LogFilter, wanted: list[str]) -> None:
    """A trace without the error above it says nothing, and an error without its trace little."""
    found = [line.entry.text for line in logs.read(home, ["kafka"], 20, keep)]
    assert [text.split("  ")[-1].split("ERROR ")[-1].strip() for text in found] == wanted


def test_the_number_of_lines_counts_those_that_pass(home: Home) -> None:
    """`--lines 1 --level warning` is the last warning, however much was written after it."""
    home.log("kafka").write_text(
        "2026-11-28T02:31:00.000Z WARN  C: slow\n" + "2026-11-28T02:32:00.000Z INFO  B: fine\n" * 100
    )
    (line,) = logs.read(home, ["kafka"], 1, LogFilter(level="warning"))
    assert line.entry.message == "slow"


def test_an_unknown_level_is_refused() -> None:
    """With those that there are."""
    with pytest.raises(UsageError, match="--level is 'loud'") as caught:
        LogFilter(level="loud")
    assert caught.value.hint == "one of: debug, info, warning, error"
