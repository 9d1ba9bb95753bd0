"""One message against the contract: the field, the rule and the reason, or nothing.

A check never raises, whatever the bytes are: what cannot be read is a violation too.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import orjson

from clickreel.contract import framing, schema
from clickreel.contract.rules import COMPILED as RULES
from clickreel.contract.rules import Violation, compile_schema, fast_path_pattern, preview

__all__ = ["Contract", "Headers", "Violation", "check", "contract"]

Headers = Mapping[str, bytes] | Iterable[tuple[str, bytes]] | None
"""Headers of a message, as confluent-kafka takes and gives them."""


class Contract:
    """A key schema and a value schema, compiled.

    Args:
        value: The value's schema; by default the current one.
        key: The key's schema; by default the current one.
    """

    def __init__(self, value: schema.Schema | None = None, key: schema.Schema | None = None) -> None:
        self.value_schema = value or schema.current("value")
        self.key_schema = key or schema.current("key")
        self._value = compile_schema(self.value_schema.body, "value")
        self._key = compile_schema(self.key_schema.body, "key")
        self._has_user = "user_id" in self.value_schema.fields
        self._matches_fast_path = self._fast_path()

    def _fast_path(self) -> Callable[[bytes], re.Match[bytes] | None] | None:
        """The quick way to know a message good, where key and user_id are under the same rules."""
        user, key, said = self.value_schema.fields.get("user_id", {}), self.key_schema.body, {"type", "pattern"}
        if not said <= user.keys() or any(user.get(rule) != key.get(rule) for rule in RULES):
            return None
        form = fast_path_pattern(self.value_schema.body)
        return form.fullmatch if form else None

    def check(self, key: bytes | None, value: bytes | None, headers: Headers = None) -> Violation | None:
        """Check one message, key first.

        Args:
            key: Its key's bytes, with any framing.
            value: Its value's bytes, with any framing.
            headers: Its headers, which may hold schema ids.

        Returns:
            The first violation, or None when the message is good.
        """
        if self._matches_fast_path is not None and value is not None and not headers:
            match = self._matches_fast_path(value)
            if match and key == b'"' + match["user_id"] + b'"':
                return None
        found = self.read(key, value, headers)
        return found if isinstance(found, Violation) else None

    def check_value(self, value: bytes | None, headers: Headers = None) -> Violation | None:
        """Check a value whose key is not known."""
        if self._matches_fast_path is not None and value is not None and not headers and self._matches_fast_path(value):
            return None
        found = self._read_value(value, framing.schema_headers(headers)[1] if headers else None)
        return found if isinstance(found, Violation) else None

    def read(self, key: bytes | None, value: bytes | None, headers: Headers = None) -> dict[str, Any] | Violation:
        """Check one message as :meth:`check` does, and return its event when it is good."""
        key_header, value_header = framing.schema_headers(headers) if headers else (None, None)
        user, _ = _parse("key", key, key_header)
        broken = user if isinstance(user, Violation) else self._key(user)
        if broken:
            return broken
        event = self._read_value(value, value_header)
        if isinstance(event, Violation):
            return event
        if self._has_user and user != event.get("user_id"):
            return Violation(
                "key", "same_user", f"key is {preview(user)}, but user_id is {preview(event.get('user_id'))}"
            )
        return event

    def _read_value(self, value: bytes | None, header: bytes | None) -> dict[str, Any] | Violation:
        event, payload = _parse("value", value, header)
        broken = event if isinstance(event, Violation) else self._value(event)
        if broken:
            return broken
        if type(event) is not dict:
            return Violation("value", "type", f"value is {preview(event)}, not an object")
        if _repeats(event, payload):
            return Violation("value", "unique", "value holds a field twice")
        return event


@functools.cache
def contract() -> Contract:
    """The current contract, compiled once."""
    return Contract()


def check(key: bytes | None, value: bytes | None, headers: Headers = None) -> Violation | None:
    """Check one message against the current contract; see :meth:`Contract.check`."""
    return contract().check(key, value, headers)


def _parse(part: str, data: bytes | None, header: bytes | None) -> tuple[Any, bytes]:
    """The parsed payload (or a violation), and the payload's bytes."""
    if data is None:
        return Violation(part, "type", f"{part} is null"), b""
    if header is not None or data[:1] == b"\0":
        unframed = framing.unframe(data, header)
        if unframed is None:
            where = "prefix" if header is None else "header"
            return Violation(part, "framing", f"{part} has a damaged schema id in its {where}"), data
        data = unframed.payload
    try:
        return orjson.loads(data), data
    except orjson.JSONDecodeError as exc:
        reason = str(exc)
    try:
        data.decode()
    except UnicodeDecodeError as exc:
        return Violation(part, "encoding", f"{part} is not UTF-8: byte 0x{data[exc.start]:02x} at {exc.start}"), data
    return Violation(part, "json", f"{part} is not JSON: {reason}"), data


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
