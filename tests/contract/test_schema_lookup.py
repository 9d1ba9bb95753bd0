"""The schema lookup's policy: bounded questions, remembered answers, and no verdict out of a registry that does not answer."""

from __future__ import annotations

import threading
import time

import pytest

from clickreel.contract import framing
from clickreel.contract.schema import current
from clickreel.contract.schema_lookup import AGAIN_S, SchemaLookup, SchemaUnavailableError
from clickreel.contract.verdict import judge_record
from clickreel.errors import ClickreelError, UnreachableError

FRAMED = framing.prefix(b'{"event_id": "no event"}', 7)


class Clock:
    """Seconds that a test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        """Now."""
        return self.now


def test_forty_unknown_ids_cost_a_hung_registry_one_question() -> None:
    """It takes the bound of one answer, not of forty; every record is undecided and none is rejected for good."""
    hung = threading.Event()
    asked: list[int | str] = []

    def ask(named: int | str) -> str | None:
        asked.append(named)
        hung.wait(60)
        return None

    lookup = SchemaLookup(ask, "dvd_clicks", answer_s=0.1)
    began = time.monotonic()
    verdicts = [judge_record(b'"u_1"', framing.prefix(b"{}", number), lookup=lookup) for number in range(40)]
    hung.set()
    assert time.monotonic() - began < 10
    assert asked == [0]
    assert all(verdict.is_undecided and not verdict.is_valid for verdict in verdicts)


def test_a_registry_that_was_away_is_asked_again() -> None:
    """After half a minute, and what it says then is the verdict."""
    clock, away = Clock(), True

    def ask(_: int | str) -> str | None:
        if away:
            raise UnreachableError("the registry does not answer")
        return None

    lookup = SchemaLookup(ask, "dvd_clicks", clock=clock)
    assert judge_record(None, FRAMED, lookup=lookup).is_undecided
    away = False
    clock.now += AGAIN_S - 1
    assert judge_record(None, FRAMED, lookup=lookup).is_undecided
    clock.now += 2
    verdict = judge_record(None, FRAMED, lookup=lookup)
    assert not verdict.is_undecided
    assert not verdict.schema_known


@pytest.mark.parametrize("error", [UnreachableError("hung up"), ClickreelError("HTTP 500")])
def test_no_error_of_a_registry_is_a_verdict(error: ClickreelError) -> None:
    """Whatever the registry says instead of a schema, it says nothing of the record."""

    def ask(_: int | str) -> str | None:
        raise error

    with pytest.raises(SchemaUnavailableError, match=error.message):
        SchemaLookup(ask, "dvd_clicks")(1)


def test_a_registry_that_appears_later_is_found() -> None:
    """A process that starts before its registry looks for it again."""
    clock = Clock()
    found: list[object] = []

    def find() -> object:
        found.append(None)
        return None if len(found) == 1 else lambda _: current("value").text

    lookup = SchemaLookup(None, "dvd_clicks", find_registry=find, clock=clock)  # type: ignore[arg-type]
    with pytest.raises(SchemaUnavailableError):
        lookup(5)
    clock.now += AGAIN_S
    schema = lookup(5)
    assert schema is not None
    assert schema.canonical == current("value").canonical


@pytest.mark.parametrize(
    "text", ["true", "false", '{"properties": {"film_id": true}}', '{"type": 7}', '{"pattern": "("}', "[1]"]
)
def test_an_odd_schema_gives_a_verdict_and_no_error(text: str) -> None:
    """A boolean schema, a property that is one, and what is no schema at all."""
    lookup = SchemaLookup(lambda _: text, "dvd_clicks")
    for value in (b"{}", b'"text"', b'{"film_id": 123456789012345678901234567890}', b'{"a": "\\ud800"}'):
        assert not judge_record(b'"u_1"', framing.prefix(value, 7), lookup=lookup).is_valid
