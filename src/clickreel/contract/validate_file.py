"""Messages in a file, one a line, against the contract."""

from __future__ import annotations

import collections
import dataclasses
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import orjson

from clickreel.contract.check import Contract
from clickreel.contract.rules import Violation
from clickreel.errors import UsageError


@dataclass(slots=True)
class ValidationReport:
    """What a check of many messages found.

    Attributes:
        checked: How many messages there were.
        invalid: How many of them break the contract.
        reasons: How many by field and rule.
        violations: The first ones, each with the number of its line, from 1.
    """

    checked: int = 0
    invalid: int = 0
    reasons: collections.Counter[tuple[str, str]] = field(default_factory=collections.Counter)
    violations: list[tuple[int, Violation]] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """The findings as one JSON object."""
        return {
            "checked": self.checked,
            "valid": self.checked - self.invalid,
            "invalid": self.invalid,
            "reasons": [
                {"field": name, "rule": rule, "count": count} for (name, rule), count in self.reasons.most_common()
            ],
            "violations": [{"line": line, **dataclasses.asdict(broken)} for line, broken in self.violations],
        }


def validate_file(path: Path, contract: Contract, limit: int) -> ValidationReport:
    """Check each line of a file (``-`` is stdin); empty lines are passed over.

    Args:
        path: The file.
        contract: What to check against.
        limit: How many violations to keep; all are counted.

    Raises:
        UsageError: The file cannot be read.
    """
    with _opened(path) as file:
        return check_lines(file, contract, limit)


def check_lines(lines: Iterable[bytes], contract: Contract, limit: int) -> ValidationReport:
    """Check messages: each line a value, or a key, a tab and a value, or an object as ``clickreel messages --json`` prints it."""
    found = ValidationReport()
    for number, line in enumerate(lines, 1):
        text = line.rstrip(b"\r\n")
        if not text:
            continue
        found.checked += 1
        broken = _check(text, contract)
        if broken is None:
            continue
        found.invalid += 1
        found.reasons[broken.field, broken.rule] += 1
        if len(found.violations) < limit:
            found.violations.append((number, broken))
    return found


def _check(line: bytes, contract: Contract) -> Violation | None:
    if line[:1] != b"{":
        key, tab, value = line.partition(b"\t")
        return contract.check(key, value) if tab else contract.check_value(line)
    if line.startswith(b'{"partition"'):
        printed = _printed(line)
        if printed is not None:
            return contract.check(*printed)
    return contract.check_value(line)


def _printed(line: bytes) -> tuple[bytes | None, bytes | None] | None:
    """Key and value of a message as ``clickreel messages --json`` prints it, or None when it is no such line."""
    try:
        message = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    if not message.keys() >= {"partition", "offset", "key", "value"}:
        return None
    return _as_bytes(message["key"]), _as_bytes(message["value"])


def _as_bytes(shown: Any) -> bytes | None:
    return None if shown is None else shown.encode() if isinstance(shown, str) else orjson.dumps(shown)


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    if str(path) == "-":
        yield sys.stdin.buffer
        return
    try:
        with path.open("rb") as file:
            yield file
    except OSError as exc:
        raise UsageError(
            f"{path} cannot be read: {exc.strerror}", hint="name a file of messages, or - for stdin"
        ) from exc
