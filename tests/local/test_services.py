"""What the stack knows of its own parts before they run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from clickreel.errors import ContractError, MissingError, UnreachableError, UsageError
from clickreel.local import init_tasks
from clickreel.local.home import Home
from clickreel.local.service import NAMES
from clickreel.local.services import INIT_TASKS, SERVICES
from clickreel.local.stack import Stack
from clickreel.local.startup_diagnosis import explain_exit


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """An empty home."""
    home = Home(tmp_path / "home")
    home.make()
    return home


def test_the_parts_are_those_that_status_names() -> None:
    """Scripts rely on these names."""
    assert set(NAMES) == set(SERVICES)
    needs = [one.needs for one in SERVICES.values()] + [one.needs for one in INIT_TASKS.values()]
    assert {name for names in needs for name in names} <= {*SERVICES, *INIT_TASKS}


def test_a_part_brings_what_it_needs(home: Home) -> None:
    """In starting order."""
    assert Stack(home).closure(["producer"]) == ["kafka", "registry", "producer", "topic", "contract"]


def test_a_registered_contract_is_waited_for_once(home: Home) -> None:
    """Until it changes, or another registry is meant."""
    assert not init_tasks._contract_is_registered(home)
    home.write("contract.json", init_tasks._contract(home))
    assert init_tasks._contract_is_registered(home)
    home.write("contract.json", {**init_tasks._contract(home), "value": {"type": "object"}})
    assert not init_tasks._contract_is_registered(home)


@pytest.mark.parametrize(
    ("log", "code", "kind", "said"),
    [
        (
            '2026-11-28T02:30:00.123Z ERROR clickreel.cli --rate is 0 hint="allowed: above 0"\n',
            2,
            UsageError,
            ("--rate is 0", "allowed: above 0"),
        ),
        (
            json.dumps(
                {
                    "time": "2026-11-28T02:30:00.123Z",
                    "level": "ERROR",
                    "logger": "clickreel.cli",
                    "message": "incompatible",
                    "hint": "contract diff",
                }
            ),
            5,
            ContractError,
            ("incompatible", "contract diff"),
        ),
        (
            "java.net.BindException: Address already in use",
            1,
            MissingError,
            ("a port of part was taken", "clickreel up"),
        ),
        ("java.io.IOException: No space left on device", 1, MissingError, ("no disk space left", "free some space")),
        ("one\nthe reason\n\n", 1, UnreachableError, ("part ended with code 1: the reason", "clickreel logs part")),
        ("", 1, UnreachableError, ("it wrote nothing", "clickreel logs part")),
    ],
)
def test_the_reason_of_a_failed_start_is_read_from_the_log(
    tmp_path: Path, log: str, code: int, kind: type[Exception], said: tuple[str, str]
) -> None:
    """A part of our own has chosen message, hint and exit code itself."""
    path = tmp_path / "part.log"
    path.write_text(log)
    found = explain_exit("part", path, code, runs_in_java=False)
    assert type(found) is kind
    assert said[0] in found.message
    assert said[1] in found.hint
