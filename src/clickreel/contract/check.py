"""One message against the contract: the field, the rule and the reason, or nothing.

A check never raises, whatever the bytes are: what cannot be read is a violation too.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from clickreel.contract import framing, schema
from clickreel.contract.rules import ANNOTATIONS, Violation, compile_schema, preview

__all__ = ["Contract", "Headers", "Violation", "check", "contract"]

Headers = Mapping[str, bytes] | Iterable[tuple[str, bytes]] | None
"""Headers of a message, as confluent-kafka takes and gives them."""


_LONG = re.compile(rb"[0-9]{19}")


class Contract:
    """A key schema and a value schema, compiled.

    Args:
        value: The value's schema; by default the current one.
        key: The key's schema; by default the current one.
    """

    def __init__(self, value: schema.Schema | None = None, key: schema.Schema | None = None) -> None:
        self.value_schema = value or schema.current("value")
        self.key_schema = key or schema.current("key")
        self._value = compile_schema(self.value_schema.rules, "value")
        self._key = compile_schema(self.key_schema.rules, "key")
        self._has_user = "user_id" in self.value_schema.fields
        self._quotes = _quotes(self.value_schema)
        user, key_rules = self.value_schema.fields.get("user_id", {}), self.key_schema.rules
        # Then a key that spells a valid user_id between quotes is valid, and names the same user.
        self._key_is_user = isinstance(key_rules, dict) and all(
            user.get(rule) == key_rules.get(rule) for rule in (user.keys() | key_rules.keys()) - ANNOTATIONS
        )

    def check(self, key: bytes | None, value: bytes | None, headers: Headers = None) -> Violation | None:
        """Check one message, key first.

        Args:
            key: Its key's bytes, with any framing.
            value: Its value's bytes, with any framing.
            headers: Its headers, which may hold schema ids.

        Returns:
            The first violation, with all others in :attr:`Violation.others`, or None when the message is good.
        """
        found = self.read(key, value, headers)
        return found if isinstance(found, Violation) else None

    def check_value(self, value: bytes | None, headers: Headers = None) -> Violation | None:
        """Check a value whose key is not known."""
        event, violations = self._read_value(value, framing.schema_headers(headers)[1] if headers else None)
        del event
        return Violation.first_of(violations)

    def read(self, key: bytes | None, value: bytes | None, headers: Headers = None) -> dict[str, Any] | Violation:
        """Check one message as :meth:`check` does, and return its event when it is good."""
        if not headers and value is not None:
            usual = self._read_usual(key, value)
            if usual is not None:
                return usual
        key_header, value_header = framing.schema_headers(headers) if headers else (None, None)
        user, _, violations = _parse("key", key, key_header)
        if not violations and not self._key.is_valid(user):
            violations = self._key.violations(user)
        event, more = self._read_value(value, value_header)
        # A key that is wrong by itself is not also the key of somebody else, nor is a user_id.
        wrong = violations or any(broken.field == "user_id" for broken in more)
        if not wrong and type(event) is dict and self._has_user and user != event.get("user_id", user):
            text = f"key is {preview(user)}, but user_id is {preview(event.get('user_id'))}"
            more = [*more, Violation("key", "same_user", text)]
        broken = Violation.first_of([*violations, *more])
        if broken is not None:
            return broken
        assert type(event) is dict, "a value without violations is an object"
        return event

    def _read_usual(self, key: bytes | None, value: bytes) -> dict[str, Any] | None:
        """The event of a good message that is spelt as most are; None says nothing about it."""
        if not self._key_is_user or value.count(b'"') != self._quotes or b"\\" in value:
            return None
        try:
            event = orjson.loads(value)
        except orjson.JSONDecodeError:
            return None
        if not self._value.is_valid(event) or key != b'"%b"' % event["user_id"].encode():
            return None
        found: dict[str, Any] = event
        return found

    def _read_value(self, value: bytes | None, header: bytes | None) -> tuple[Any, list[Violation]]:
        """The parsed value, None where it is not JSON; and all that is wrong with it."""
        event, payload, violations = _parse("value", value, header)
        if violations:
            return None, violations
        if not self._value.is_valid(event):
            violations = self._value.violations(_with_long_integers(event, payload)) or self._value.violations(event)
        if type(event) is not dict:
            return event, violations or [Violation("value", "type", f"value is {preview(event)}, not an object")]
        if _repeats(event, payload):
            violations = [*violations, Violation("value", "unique", "value holds a field twice")]
        return event, violations


@functools.cache
def contract() -> Contract:
    """The current contract, compiled once."""
    return Contract()


def check(key: bytes | None, value: bytes | None, headers: Headers = None) -> Violation | None:
    """Check one message against the current contract; see :meth:`Contract.check`."""
    return contract().check(key, value, headers)


def _parse(part: str, data: bytes | None, header: bytes | None) -> tuple[Any, bytes, list[Violation]]:
    """The parsed payload, its bytes, and why it cannot be parsed."""
    if data is None:
        return None, b"", [Violation(part, "type", f"{part} is null")]
    if header is not None or data[:1] == b"\0":
        unframed = framing.unframe(data, header)
        if unframed is None:
            where = "prefix" if header is None else "header"
            return None, data, [Violation(part, "framing", f"{part} has a damaged schema id in its {where}")]
        data = unframed.payload
    try:
        return orjson.loads(data), data, []
    except orjson.JSONDecodeError as exc:
        reason = str(exc)
    try:
        data.decode()
    except UnicodeDecodeError as exc:
        text = f"{part} is not UTF-8: byte 0x{data[exc.start]:02x} at {exc.start}"
        return None, data, [Violation(part, "encoding", text)]
    return None, data, [Violation(part, "json", f"{part} is not JSON: {reason}")]


def _quotes(of: schema.Schema) -> int:
    """How many quotes a valid object has when no field stands twice and no text holds an escape; -1 where that differs."""
    body = of.rules if isinstance(of.rules, dict) else {}
    kinds = [rules.get("type") for rules in of.fields.values()]
    is_flat = all(kind in {"string", "integer", "number"} for kind in kinds)
    is_closed = body.get("type") == "object" and body.get("additionalProperties") is False
    if not is_flat or not is_closed or set(body.get("required", ())) != of.fields.keys() or "user_id" not in of.fields:
        return -1
    return 2 * len(kinds) + 2 * kinds.count("string")


def _with_long_integers(event: Any, payload: bytes) -> Any:
    """The event with integers of more than 64 bits as they stand in it; orjson reads them as floats."""
    if not _LONG.search(payload):
        return event
    try:
        return json.loads(payload)
    except (ValueError, RecursionError):  # more digits than Python takes
        return event


def _repeats(event: dict[str, Any], payload: bytes) -> bool:
    """Whether a field stands twice: a parser keeps one of them in silence, and not every parser the same one."""
    # A flat object whose texts hold no quotes has two quotes for each name and for each text. Only another count, or an escape,
    # which could hide one, needs the slow parser.
    quotes = 2 * len(event) + 2 * sum(type(cell) is str for cell in event.values())
    if payload.count(b'"') == quotes and b"\\" not in payload:
        return False
    names: list[str] = []

    def collect(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        names[:] = [name for name, _ in pairs]  # the outermost object is closed last, so its names stay
        return dict(pairs)

    try:
        json.loads(payload, object_pairs_hook=collect)
    except (ValueError, RecursionError):
        return (
            True  # orjson has read the whole, so only what it dropped for a later field of the same name can fail here
        )
    return len(names) != len(event)
