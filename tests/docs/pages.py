"""The commands of a page: what it tells its readers to type, and what it says will be printed.

In our pages a block marked ``sh`` holds commands, one a line, and a block marked ``text`` what the command before it prints. All other
blocks are pictures. So a command is tested by being written, and a page that promises what is not printed fails.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from clickreel.contract.vocabulary import DEVICES, EVENT_TYPES, PAGES, REFERRERS

ROOT = Path(__file__).parents[2]

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_CODE_SPAN = re.compile(r"`([^`\n]+)`")

# What differs from run to run, and what stands for it. Order matters: an id holds digits, a number may stand in a time.
_VOLATILE = (
    (re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b"), "UUID"),
    (re.compile(r"\b([us])_[0-9a-f]+\b"), r"\1_ID"),
    (re.compile(rf"\b(?:{'|'.join((*EVENT_TYPES, *PAGES, *DEVICES, *REFERRERS))})\b"), "WORD"),
    (re.compile(r"\bhttps?://\S+"), "ADDRESS"),
    (re.compile(r"(?<![\w])[+-]?\d[\d,.:]*"), "0"),
    (re.compile(r"\s+"), " "),
)


@dataclass(frozen=True)
class Step:
    """A command of a page."""

    command: str
    promised: tuple[str, ...]
    """Lines that it prints, as the page shows them; ``...`` stands for what is left out."""
    line: int

    @property
    def runs_until_interrupted(self) -> bool:
        """Whether a reader has to press Ctrl-C to end it."""
        words = self.command.split("#")[0].split()
        if "--follow" in words:
            return True
        ends = {
            "up": ("--detach", "-d", "ARGS=--detach"),
            "monitor": ("--seconds",),
            "produce": ("--count", "--until"),
            "dvd_clicks_cloud_producer.py": ("--count", "--until"),
            "console": ("--help",),
        }
        return any(name in words[:3] and not set(words) & set(enough) for name, enough in ends.items())

    @property
    def starts_a_stack_here(self) -> bool:
        """Whether it is the ``up`` of the first terminal, beside which the rest is typed."""
        return self.runs_until_interrupted and "up" in self.command.split()[:3]


def steps(page: Path) -> list[Step]:
    """The commands of a page, in order."""
    text = page.read_text(encoding="utf-8")
    found: list[Step] = []
    for match in _FENCE.finditer(text):
        language, body = match.groups()
        first = text[: match.start()].count("\n") + 2
        if language == "sh":
            lines = enumerate(body.splitlines(), first)
            found += [Step(line, (), number) for number, line in lines if line.strip() and not line.startswith("#")]
        elif language == "text":
            last = found.pop()
            found.append(Step(last.command, tuple(body.splitlines()), last.line))
    return found


def named_commands(page: Path) -> Iterator[str]:
    """All command lines of ``clickreel`` that a page names, in blocks or in running text."""
    text = page.read_text(encoding="utf-8")
    for step in steps(page):
        yield step.command.removeprefix(".venv/bin/")
    for span in _CODE_SPAN.findall(_FENCE.sub("", text)):
        if span.startswith("clickreel "):
            yield span


def masked(line: str) -> str:
    """A line without what differs from run to run."""
    for pattern, instead in _VOLATILE:
        line = pattern.sub(instead, line)
    return line.strip()


def missing_lines(promised: tuple[str, ...], printed: str) -> list[str]:
    """Which of the promised lines do not stand in the output, in their order."""
    lines = iter([masked(line) for line in printed.splitlines()])
    missing = []
    for line in promised:
        if line.strip() in {"", "..."}:
            continue
        wanted = re.compile(re.escape(masked(line)).replace(r"\.\.\.", ".*"))
        rest = list(lines)
        place = next((place for place, shown in enumerate(rest) if wanted.fullmatch(shown)), None)
        if place is None:
            missing.append(line)
        lines = iter(rest if place is None else rest[place + 1 :])
    return missing
