"""Messages in a file against the contract: one a line, or JSON that goes over several lines, or arrays of events."""

from __future__ import annotations

import base64
import binascii
import collections
import itertools
import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import orjson

from clickreel.contract.check import Contract
from clickreel.contract.check import contract as current_contract
from clickreel.contract.rules import Violation
from clickreel.contract.verdict import judge_record
from clickreel.errors import UsageError

_BASE64 = "base64:"
# A document of many lines is held as a whole; lines are not.
_DOCUMENT_BYTES_MAX = 256_000_000


@dataclass(slots=True)
class ValidationReport:
    """What a check of many messages found.

    Attributes:
        checked: How many messages there were.
        invalid: How many of them break the contract.
        reasons: How many violations by field and rule; a message may have several.
        violations: The first ones, each with the number of its line, or of the line where its event begins, from 1.
    """

    checked: int = 0
    invalid: int = 0
    reasons: collections.Counter[tuple[str, str]] = field(default_factory=collections.Counter)
    violations: list[tuple[int, Violation]] = field(default_factory=list)

    def add(self, line: int, broken: Violation | None, limit: int) -> None:
        """Count a message."""
        self.checked += 1
        if broken is None:
            return
        self.invalid += 1
        for one in broken.all:
            self.reasons[one.field, one.rule] += 1
            if len(self.violations) < limit:
                self.violations.append((line, one))

    def as_dict(self) -> dict[str, Any]:
        """The findings as one JSON object."""
        return {
            "checked": self.checked,
            "valid": self.checked - self.invalid,
            "invalid": self.invalid,
            "reasons": [
                {"field": name, "rule": rule, "count": count} for (name, rule), count in self.reasons.most_common()
            ],
            "violations": [
                {"line": line, "field": broken.field, "rule": broken.rule, "text": broken.text}
                for line, broken in self.violations
            ],
        }


def validate_file(path: Path, contract: Contract | None, limit: int) -> ValidationReport:
    """Check the messages of a file (``-`` is stdin).

    Args:
        path: The file.
        contract: What to check against; None for the verdict that ingest gives.
        limit: How many violations to keep; all are counted.

    Raises:
        UsageError: The file cannot be read, or holds a schema and no messages.
    """
    with _opened(path) as file:
        return validate_lines(file, contract, limit)


def validate_lines(lines: Iterable[bytes], contract: Contract | None, limit: int) -> ValidationReport:
    """Check messages.

    A line is a value, or a key, a tab and a value, or an object as ``clickreel messages --json`` prints it; empty lines are passed over.
    Where the first line is no whole message, the text is read as JSON documents of many lines: events one after another, or arrays of
    them.
    """
    report = ValidationReport()
    numbered = enumerate(lines, 1)
    head = list(itertools.islice(((number, line) for number, line in numbered if line.strip()), 1))
    if head and _begins_document(head[0][1]):
        rest = itertools.chain([head[0][1]], (line for _, line in numbered))
        text = b"".join(rest)
        events = _documents(text, head[0][0]) if len(text) <= _DOCUMENT_BYTES_MAX else None
        if events is not None:
            _refuse_schema(events[0][1] if events else b"")
            for number, event in events:
                report.add(number, _check(event, contract), limit)
            return report
        head, numbered = [], enumerate(text.splitlines(keepends=True), head[0][0])
    for first, (number, line) in enumerate(itertools.chain(head, numbered)):
        message = line.rstrip(b"\r\n")
        if not message:
            continue
        if first == 0:
            _refuse_schema(message)
        report.add(number, _check(message, contract), limit)
    return report


def _begins_document(line: bytes) -> bool:
    """Whether a first line begins JSON that goes on beyond it, or an array."""
    text = line.strip().removeprefix(b"\xef\xbb\xbf")
    return text[:1] == b"[" or (text[:1] == b"{" and text[-1:] in {b"{", b"[", b","})


def _documents(data: bytes, line: int) -> list[tuple[int, bytes]] | None:
    """The events of JSON documents, each with its line and its own bytes; None when the text is no such thing."""
    events: list[tuple[int, bytes]] = []
    place = 0
    try:
        text = data.decode("utf-8-sig")
        for start, end in _events(text):
            line += text.count("\n", place, start)
            place = start
            events.append((line, text[start:end].encode()))
    except (ValueError, IndexError, RecursionError):
        return None
    return events


def _events(text: str) -> Iterator[tuple[int, int]]:
    """Where each document, or each element of an array, begins and ends.

    Raises:
        ValueError: It is no JSON.
        IndexError: An array does not end.
    """
    scan = json.JSONDecoder().raw_decode
    at = _skip_blanks(text, 0)
    while at < len(text):
        if text[at] != "[":
            end = scan(text, at)[1]
            yield at, end
            at = _skip_blanks(text, end)
            continue
        at = _skip_blanks(text, at + 1)
        while text[at] != "]":
            end = scan(text, at)[1]
            yield at, end
            at = _skip_blanks(text, end)
            if text[at] not in ",]":
                raise ValueError("elements without a comma")
            at = _skip_blanks(text, at + (text[at] == ","))
        at = _skip_blanks(text, at + 1)


def _skip_blanks(text: str, at: int) -> int:
    while at < len(text) and text[at] in " \t\r\n":
        at += 1
    return at


def _refuse_schema(first: bytes) -> None:
    """Refuse a file of a schema by name.

    Raises:
        UsageError: The first document is a JSON Schema, or an export of one.
    """
    try:
        held = orjson.loads(first)
    except orjson.JSONDecodeError:
        return
    if not isinstance(held, dict):
        return
    is_export = "schema" in held and ("schemaType" in held or "subject" in held)
    if (
        is_export
        or "$schema" in held
        or (isinstance(held.get("properties"), dict) and isinstance(held.get("type"), str))
    ):
        raise UsageError(
            "this is a schema, not messages",
            hint="clickreel contract diff FILE compares it with ours; contract validate MESSAGES --version FILE checks messages by it",
        )


def _check(line: bytes, contract: Contract | None) -> Violation | None:
    if line[:1] == b"{":
        printed = _printed(line) if b'"partition"' in line else None
        if printed is None:
            return _check_value(line, contract)
        key, value, said = printed
        return (said if contract is None else None) or _check_message(key, value, contract)
    key_text, tab, text = line.partition(b"\t")
    return _check_message(key_text, text, contract) if tab else _check_value(line, contract)


def _check_message(key: bytes | None, value: bytes | None, contract: Contract | None) -> Violation | None:
    return judge_record(key, value).violation if contract is None else contract.check(key, value)


def _check_value(value: bytes, contract: Contract | None) -> Violation | None:
    return (contract or current_contract()).check_value(value)


def _printed(line: bytes) -> tuple[bytes | None, bytes | None, Violation | None] | None:
    """Key and value of a message as ``clickreel messages --json`` prints it, and what it was said to break; None for any other line.

    Such a line holds what was parsed: a field that stood twice, or bytes that are no JSON, cannot be seen in it any more. So what was
    said of the message counts too.
    """
    try:
        message = json.loads(line)
    except ValueError:
        return None
    if not isinstance(message, dict) or not message.keys() >= {"partition", "offset", "key", "value"}:
        return None
    errors = message.get("errors") or ()
    said = Violation.first_of([Violation(str(one["field"]), str(one["rule"]), str(one["text"])) for one in errors])
    return _as_bytes(message["key"]), _as_bytes(message["value"]), said


def _as_bytes(parsed: Any) -> bytes | None:
    """The bytes that were parsed: JSON, text, or base64 where they were neither."""
    if parsed is None:
        return None
    if isinstance(parsed, str):
        if parsed.startswith(_BASE64):
            try:
                return base64.b64decode(parsed.removeprefix(_BASE64), validate=True)
            except binascii.Error:
                pass
        if parsed[:1] == "{" or (len(parsed) > 1 and parsed[0] == parsed[-1] == '"'):  # the JSON itself, as a text
            return parsed.encode("utf-8", "surrogatepass")
    return json.dumps(parsed, ensure_ascii=False).encode("utf-8", "surrogatepass")


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
