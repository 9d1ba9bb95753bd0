"""Commands and options that any page names exist."""

from __future__ import annotations

import functools
import re
import shlex
from typing import Any

import pytest

from clickreel.cli.reference import command_tree
from tests.docs.pages import ROOT, named_commands

PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for path in [
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/*.md"),
        *ROOT.glob("docs/adr/*.md"),
        *ROOT.glob("00-data-source/**/*.md"),
    ]
)


@functools.cache
def command_line() -> Any:
    """The command line as its parser knows it."""
    return command_tree()


def unknown(words: list[str]) -> list[str]:
    """What of a command line the command line does not know: a command, or options."""
    command = command_line()
    while hasattr(command, "commands") and words:
        name, *words = words
        if name.startswith("-"):
            break
        if name not in command.commands:
            return [name]
        command = command.commands[name]
    known = {"--help"}.union(*([*parameter.opts, *parameter.secondary_opts] for parameter in command.params))
    return [word for word in words if re.match(r"--?[a-z]", word) and word.split("=")[0] not in known]


@pytest.mark.parametrize("page", PAGES)
def test_the_commands_that_a_page_names_exist(page: str) -> None:
    """With their options; what runs through a pipe or after a semicolon is looked at alone."""
    wrong = {}
    for line in named_commands(ROOT / page):
        for part in re.split(r"\s[;|]\s", line.split(" # ")[0]):
            words = shlex.split(part.replace("…", ""))
            if not words or words[0] != "clickreel":
                continue
            listed = [word for word in words[1:] if word not in {"...", "&"}]
            if missing := unknown(listed):
                wrong[line] = missing
    assert wrong == {}


def test_an_option_that_does_not_exist_is_found() -> None:
    """The reader of pages notices a wrong command and a wrong option."""
    assert unknown(["produce", "--count", "5", "--jump"]) == ["--jump"]
    assert unknown(["topic", "invent"]) == ["invent"]
    assert unknown(["topic", "create", "--topic", "x"]) == []
