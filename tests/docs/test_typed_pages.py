"""Every command of the README and of the streaming guide, typed in order on a fresh home, in a copy of the tree.

The guide is typed by ``make test``, behind a shorter past; both pages as a reader types them by ``make type-pages``.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from clickreel.local.home import Home
from clickreel.local.stack import Stack
from tests.docs.pages import ROOT, Step, missing_lines, steps
from tests.docs.terminal import Running, Terminal

# How far back the stack's stream begins; empty stands for what a reader gets.
_ASKED = os.environ.get("CLICKREEL_TYPE_PAGES", "1h")
PAST = "" if _ASKED == "1" else _ASKED
_LONG = pytest.mark.skipif(
    "CLICKREEL_TYPE_PAGES" not in os.environ, reason="minutes of starts and stops: make type-pages"
)
PAGES = (pytest.param("README.md", marks=_LONG), "00-data-source/streaming/README.md")
# `make test` would type itself.
_NOT_TYPED = {"make test"}

pytestmark = [
    pytest.mark.stack,
    pytest.mark.timeout(2400),
    pytest.mark.skipif(
        not (ROOT / ".venv" / "bin" / "python").exists(), reason="the environment of make is not in .venv"
    ),
]


@pytest.fixture
def home() -> Iterator[Home]:
    """A home in which nothing was done yet; what runs in it is ended afterwards."""
    with tempfile.TemporaryDirectory(prefix="clickreel-docs-") as folder:
        home = Home(Path(folder))
        yield home
        Stack(home).down()


@pytest.fixture
def terminal(home: Home, tmp_path: Path) -> Terminal:
    """A terminal in a clone's root, with a Python on its path that does not know clickreel."""
    clone = tmp_path / "clone"
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in listed.stdout.split("\0"):
        if name and (ROOT / name).exists():
            (clone / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, clone / name)
    # `make` must not install the clone into the environment that it shares with the tree.
    for name in ("pyproject.toml", "requirements.txt", "requirements-dev.txt"):
        os.utime(clone / name, (0, 0))
    (clone / ".venv").symlink_to(ROOT / ".venv")
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in ("python", "python3"):
        (programs / name).write_text(f'#!/bin/sh\nexec "{os.path.realpath(sys.executable)}" "$@"\n')
        (programs / name).chmod(0o755)
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in {"CLICKREEL_CACHE", "CLICKREEL_JARS", "CLICKREEL_JAVA_HOME"}
        or not name.startswith(("CLICKREEL_", "VIRTUAL_ENV", "PYTHONPATH", "MAKE", "MFLAGS", "ARGS"))
    }
    path = os.pathsep.join([str(programs), *(part for part in kept["PATH"].split(os.pathsep) if ".venv" not in part)])
    past = {"CLICKREEL_LOCAL_PAST": PAST} if PAST else {}
    return Terminal(clone, {**kept, **past, "PATH": path, "CLICKREEL_HOME": str(home.path), "COLUMNS": "120"})


def fill_in(properties: Path, kafka: str) -> None:
    """Fill in a copy of the template as a reader would, for a Kafka that asks for no login."""
    text = properties.read_text(encoding="utf-8")
    for key, value in (("bootstrap.servers", kafka), ("security.protocol", "PLAINTEXT")):
        text, found = re.subn(rf"^{re.escape(key)}=.*$", f"{key}={value}", text, flags=re.MULTILINE)
        assert found == 1, f"{properties.name} has no line of {key}"
    text = re.sub(r"^sasl\..*\n", "", text, flags=re.MULTILINE)
    assert not re.search(r"^[^#\n]*<[A-Z]", text, re.MULTILINE), f"something is left to fill in:\n{text}"
    properties.write_text(text, encoding="utf-8")


class Reader:
    """Somebody who types a page from its top to its end."""

    def __init__(self, terminal: Terminal, home: Home) -> None:
        self._terminal, self._home = terminal, home
        self._stack: tuple[Step, Running] | None = None

    def type(self, step: Step) -> None:
        """Type a command; it must end well and print what the page shows."""
        if re.search(r"\b(up|down)\b", step.command):
            self.end_stack()
        if not step.runs_until_interrupted:
            code, printed = self._terminal.type(step.command)
            assert code == 0, f"line {step.line}: {step.command} ended with {code}:\n{printed[-3000:]}"
            self._check(step, printed)
            self._fill_in_templates(step)
            return
        running = self._terminal.start(step.command)
        running.wait_for(lambda printed: bool(printed.strip()) and not missing_lines(step.promised, printed))
        if step.starts_a_stack_here:
            self._stack = step, running
            return
        self._interrupt(step, running)

    def end_stack(self) -> None:
        """Press Ctrl-C in the first terminal, where a stack runs in it."""
        if self._stack is not None:
            step, running = self._stack
            self._stack = None
            self._interrupt(step, running)

    def _interrupt(self, step: Step, running: Running) -> None:
        code = running.interrupt()
        assert code in {0, 2, 130}, f"line {step.line}: {step.command} ended with {code} on Ctrl-C:\n{running.printed}"
        assert "Traceback" not in running.printed, running.printed
        self._check(step, running.latest)

    def _check(self, step: Step, printed: str) -> None:
        assert "Traceback" not in printed, printed
        missing = missing_lines(step.promised, printed)
        assert not missing, f"line {step.line}: {step.command} did not print {missing}, but:\n{printed[-3000:]}"

    def _fill_in_templates(self, step: Step) -> None:
        properties = self._terminal.folder / "client.properties"
        if "client.properties.template" in step.command:
            fill_in(properties, Stack(self._home).address("kafka"))


@pytest.mark.parametrize("page", PAGES)
def test_all_commands_of_the_page_do_what_it_says(page: str, terminal: Terminal, home: Home) -> None:
    """Each ends with 0 (or as Ctrl-C ends it), without a traceback, and prints what the page shows below it."""
    reader = Reader(terminal, home)
    typed = [step for step in steps(ROOT / page) if step.command.split("#")[0].strip() not in _NOT_TYPED]
    assert len(typed) >= 10
    try:
        for step in typed:
            begun = time.monotonic()
            reader.type(step)
            sys.stderr.write(f"{time.monotonic() - begun:6.1f} s  {step.command}\n")
    finally:
        reader.end_stack()
