"""Logs: every line can be read by a person and by a machine."""

from __future__ import annotations

import io
import json
import logging
import re
from collections.abc import Iterator

import pytest

from clickreel import log_setup
from clickreel.log_setup import LogSettings, configure

LOG = logging.getLogger("clickreel.tests.log_setup")


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    root = logging.getLogger("clickreel")
    before = root.handlers[:], root.propagate, root.level
    yield
    root.handlers[:], root.propagate = before[:2]
    root.setLevel(before[2])


def _written(settings: LogSettings, message: str, **fields: object) -> str:
    out = io.StringIO()
    configure(settings, out)
    LOG.warning(message, extra=fields)
    return out.getvalue()


def test_a_line_has_time_level_logger_message_and_fields() -> None:
    """A value with blanks is quoted, so that fields can be taken apart again."""
    line = _written(LogSettings(), "landed", topic="dvd_clicks", partition=3, why="two words", share=0.25)
    time, rest = line.split(" ", 1)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", time)
    assert rest == 'WARNING clickreel.tests.log_setup landed topic=dvd_clicks partition=3 why="two words" share=0.25\n'


def test_a_message_of_several_lines_stays_one_line() -> None:
    """Else a line of foreign text could pass for a record of ours."""
    line = _written(LogSettings(), "one\n2026-01-01T00:00:00.000Z ERROR clickreel faked")
    assert line.count("\n") == 1


def test_json_is_one_object_a_line() -> None:
    """With the same names, and fields beside them; a field cannot replace the time."""
    entry = json.loads(_written(LogSettings(format="json"), "landed", rows=2000, time="never"))
    assert entry["time"] != "never"
    assert (entry["level"], entry["logger"], entry["message"], entry["rows"]) == (
        "WARNING",
        "clickreel.tests.log_setup",
        "landed",
        2000,
    )


@pytest.mark.parametrize(("service", "level"), [("", logging.WARNING), ("ingest", logging.INFO)])
def test_a_terminal_is_spared_what_a_log_keeps(service: str, level: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unless a level is given."""
    monkeypatch.setenv(log_setup.SERVICE_VARIABLE, service)
    configure(LogSettings())
    assert logging.getLogger("clickreel").level == level
    configure(LogSettings(level="error"))
    assert logging.getLogger("clickreel").level == logging.ERROR
