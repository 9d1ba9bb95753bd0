"""Messages in a file against the contract: one a line, or JSON that goes over several lines, or arrays of events."""

from __future__ import annotations

import codecs
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
from clickreel.contract.record_json import PrintedRecord, parse_record
from clickreel.contract.rules import Violation
from clickreel.contract.verdict import judge_record
from clickreel.errors import UsageError

_BASE64 = "base64:"
# A document of many lines is held as a whole; lines are not.
_DOCUMENT_BYTES_MAX = 256_000_000
# How compressed files begin, by the command that unpacks them.
_COMPRESSED = {"gzip": b"\x1f\x8b\x08", "zstd": b"\x28\xb5\x2f\xfd", "bzip2": b"BZh"}


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
        UsageError: The file cannot be read, is compressed, or holds a schema and no messages.
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
    numbered = enumerate(_as_utf8(lines), 1)
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


def _as_utf8(lines: Iterable[bytes]) -> Iterator[bytes]:
    """The lines without the mark at the beginning of a file that says how it is encoded; of UTF-16, as PowerShell writes it, all anew.

    Raises:
        UsageError: The file is compressed.
    """
    lines = iter(lines)
    first = next(lines, b"")
    for name, magic in _COMPRESSED.items():
        if first.startswith(magic):
            raise UsageError(
                f"this is a file compressed by {name}, not messages",
                hint=f"{name} -dc FILE | clickreel contract validate -",
            )
    if not first.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return itertools.chain([first.removeprefix(codecs.BOM_UTF8)], lines)
    text = b"".join(itertools.chain([first], lines)).decode("utf-16", errors="replace")
    return iter(text.encode(errors="replace").splitlines(keepends=True))


def _begins_document(line: bytes) -> bool:
    """Whether a first line begins JSON that goes on beyond it, or an array."""
    text = line.strip()
    return text[:1] == b"[" or (text[:1] == b"{" and text[-1:] in {b"{", b"[", b","})


def _documents(data: bytes, line: int) -> list[tuple[int, bytes]] | None:
    """The events of JSON documents, each with its line and its own bytes; None when the text is no such thing."""
    events: list[tuple[int, bytes]] = []
    place = 0
    try:
        text = data.decode()
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
        printed = parse_record(line) if b'"partition"' in line else None
        if printed is None:
            return _check_value(line, contract)
        # A tool between us may have dropped a field that stood twice; what was said of the record still counts.
        said = Violation.first_of([Violation(one["field"], one["rule"], one["text"]) for one in printed.errors])
        return (said if contract is None else None) or _check_message(printed, contract)
    key_text, tab, text = line.partition(b"\t")
    return _check_message(PrintedRecord(key_text, text), contract) if tab else _check_value(line, contract)


def _check_message(record: PrintedRecord, contract: Contract | None) -> Violation | None:
    if contract is None:
        return judge_record(record.key, record.value, record.headers).violation
    headers = [(name, data) for name, data in record.headers if data is not None]
    return contract.check(record.key, record.value, headers)


def _check_value(value: bytes, contract: Contract | None) -> Violation | None:
    return (contract or current_contract()).check_value(value)


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
