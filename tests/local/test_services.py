"""What the stack knows of its own parts before they run."""

from __future__ import annotations

from pathlib import Path

import pytest

from clickreel.errors import ContractError, MissingError, UnreachableError, UsageError
from clickreel.local import stream_services
from clickreel.local.home import Home
from clickreel.local.services import INIT_TASKS, NAMES, SERVICES
from clickreel.local.stack import Stack
from clickreel.local.startup_diagnosis import explained


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """An empty home."""
    home = Home(tmp_path / "home")
    home.make()
    return home


def test_the_parts_are_those_that_status_names() -> None:
    """Scripts rely on these names; a part may be absent until somebody starts it."""
    assert set(SERVICES) == set(NAMES)
    needs = [one.needs for one in SERVICES.values()] + [one.needs for one in INIT_TASKS.values()]
    assert {name for names in needs for name in names} <= {*SERVICES, *INIT_TASKS}


def test_a_part_brings_what_it_needs(home: Home) -> None:
    """In starting order."""
    assert Stack(home).closure(["producer"]) == ["kafka", "registry", "producer", "topic", "contract"]


def test_a_registered_contract_is_waited_for_once(home: Home) -> None:
    """Until it changes, or another registry is meant."""
    assert not stream_services._contract_is_registered(home)
    home.write("contract.json", stream_services._contract(home))
    assert stream_services._contract_is_registered(home)
    home.write("contract.json", {**stream_services._contract(home), "value": {"type": "object"}})
    assert not stream_services._contract_is_registered(home)


@pytest.mark.parametrize(
    ("log", "code", "kind", "said"),
    [
        ("error: --rate is 0\nhint: allowed: above 0\n", 2, UsageError, ("--rate is 0", "allowed: above 0")),
        ("error: no\nerror: incompatible\nhint: contract diff", 5, ContractError, ("incompatible", "contract diff")),
        (
            "java.net.BindException: Address already in use",
            1,
            MissingError,
            ("a port of part was taken", "clickreel up"),
        ),
        ("java.io.IOException: No space left on device", 1, MissingError, ("no disk space left", "free some space")),
        ("one\nthe reason\n\n", 1, UnreachableError, ("code 1 while it started: the reason", "read its log")),
        ("", 1, UnreachableError, ("it wrote nothing", "read its log")),
    ],
)
def test_the_reason_of_a_failed_start_is_read_from_the_log(
    tmp_path: Path, log: str, code: int, kind: type[Exception], said: tuple[str, str]
) -> None:
    """A part of our own has chosen message, hint and exit code itself."""
    path = tmp_path / "part.log"
    path.write_text(log)
    found = explained("part", path, code, runs_in_java=False)
    assert type(found) is kind
    assert said[0] in found.message
    assert said[1] in found.hint
