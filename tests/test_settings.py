"""Settings come from flag, environment, project file and default, in this order, and are checked in one place."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from clickreel.errors import UsageError
from clickreel.settings import load, project, setting


@dataclass(frozen=True)
class Reels:
    """An example stage."""

    rate: float = setting(20.0, "Events a second.", minimum=0.1, maximum=1e6)
    partitions: int = setting(6, "Partitions.", minimum=1)
    name: str = setting("calm", "Name.", choices=("calm", "wild"))
    raw: bool = setting(False, "Keep raw bytes.")
    folder: Path | None = setting(None, "Where.", env="CLICKREEL_FOLDER")


@pytest.mark.parametrize(
    ("flags", "environ", "table", "expected"),
    [
        ({"rate": 1.0}, {"CLICKREEL_REELS_RATE": "2"}, {"rate": 3}, 1.0),
        ({"rate": None}, {"CLICKREEL_REELS_RATE": "2"}, {"rate": 3}, 2.0),
        ({}, {}, {"rate": 3}, 3.0),
        ({}, {}, {}, 20.0),
    ],
)
def test_first_source_that_speaks_wins(
    flags: dict[str, float | None], environ: dict[str, str], table: dict[str, int], expected: float
) -> None:
    """A flag beats the environment, which beats the project file, which beats the default."""
    assert load(Reels, "reels", flags=flags, environ=environ, tables={"reels": table}).rate == expected


def test_booleans_are_parsed() -> None:
    """The text `false` is false, not a true non-empty string."""
    assert load(Reels, "reels", environ={"CLICKREEL_REELS_RAW": "false"}, tables={}).raw is False
    assert load(Reels, "reels", environ={"CLICKREEL_REELS_RAW": "on"}, tables={}).raw is True


def test_optional_path_with_its_own_variable() -> None:
    """A field may name its environment variable; an optional type is read as its type."""
    assert load(Reels, "reels", environ={"CLICKREEL_FOLDER": "here"}, tables={}).folder == Path("here")


@pytest.mark.parametrize(
    ("flags", "message", "hint"),
    [
        ({"rate": 0.0}, "--rate is 0", "allowed: from 0.1 to 1e+06"),
        ({"rate": float("nan")}, "--rate is nan", "allowed: from 0.1 to 1e+06"),
        (
            {"partitions": "many"},
            "--partitions is 'many', which is not a whole number",
            "give --partitions a whole number",
        ),
        ({"partitions": 0}, "--partitions is 0", "allowed: at least 1"),
        ({"name": "loud"}, "--name is 'loud'", "one of: calm, wild"),
        ({"raw": "maybe"}, "--raw is 'maybe', which is neither yes nor no", "set --raw to true or false"),
    ],
)
def test_refused_values_say_what_is_allowed(flags: dict[str, object], message: str, hint: str) -> None:
    """An error names the place, the value and what is allowed."""
    with pytest.raises(UsageError) as caught:
        load(Reels, "reels", flags=flags, environ={}, tables={})
    assert (caught.value.message, caught.value.hint) == (message, hint)


def test_unknown_key_of_the_project_file_is_refused() -> None:
    """A misspelt key is an error, not silence."""
    with pytest.raises(UsageError, match=r"clickreel.toml \[reels\] has an unknown key 'rat'"):
        load(Reels, "reels", environ={}, tables={"reels": {"rat": 3}})


def test_broken_project_file_is_named(tmp_path: Path) -> None:
    """A file that is not TOML is refused by name; an absent default file is no error."""
    broken = tmp_path / "clickreel.toml"
    broken.write_text("rate = = 3")
    with pytest.raises(UsageError, match="is not TOML"):
        project(broken)
