"""Broken on purpose: the malformed kinds of message, each a pure function of its ``variant``, and the reason a check must give."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from clickreel.contract import schema
from clickreel.contract.vocabulary import FIELDS, MALFORMED, REFERRERS
from clickreel.events import Events

_RULES = schema.current("value").fields
_ENUMS = tuple(field for field in FIELDS if "enum" in _RULES[field])
# Words that a next version of the producer might come up with; a test holds that none is in the schema.
_STRANGERS = ("hover", "kiosk", "newsletter", "VIEW", "", "smart_tv")
_POSITION_STEP_MAX = 8


class Reason(NamedTuple):
    """Where and why a message breaks the contract: a field (or ``key``, ``value``) and the rule's name."""

    field: str
    rule: str


def corrupt(flaw: str, variant: int, key: bytes, value: bytes) -> tuple[bytes, bytes]:
    """Break one good message.

    Args:
        flaw: One of :data:`~clickreel.contract.vocabulary.MALFORMED`.
        variant: Random bits, 0 to 2**32 - 1; equal bits break in the same way.
        key: The message's good key.
        value: The message's good value.

    Returns:
        The broken key and value; exactly one of them differs.
    """
    if flaw == "wrong_key":
        return _KEYS[variant % len(_KEYS)][0](key), value
    return key, _BREAK[flaw](value, variant)


def reason(flaw: str, variant: int) -> Reason:
    """What :func:`clickreel.contract.check.check` says of a message that was broken in this way."""
    field = FIELDS[variant % len(FIELDS)]
    match flaw:
        case "missing_field":
            return Reason(field, "required")
        case "wrong_type":
            return Reason(field, "type")
        case "unknown_enum":
            return Reason(_ENUMS[variant % len(_ENUMS)], "enum")
        case "wrong_key":
            return _KEYS[variant % len(_KEYS)][1]
        case "wrong_encoding":
            return Reason("value", "encoding")
    assert flaw in MALFORMED, f"{flaw} breaks no contract"
    return Reason("value", "json")


def reasons(flaw: str) -> tuple[Reason, ...]:
    """All reasons that a malformed kind can have, in a fixed order."""
    # A kind picks among at most as many ways as there are fields, so as many variants show all of them.
    return tuple(dict.fromkeys(reason(flaw, variant) for variant in range(len(FIELDS))))


def change(events: Events, rows: NDArray[np.intp], variant: NDArray[np.uint32]) -> Events:
    """The events with another payload in the given rows, still valid: another position, and for every second one another referrer.

    Id, time, user and session stay, as when a client sends an event again after its state has moved on.
    """
    position, referrer = events.position.copy(), events.referrer.copy()
    step = (1 + variant % _POSITION_STEP_MAX).astype(np.int16)
    top = _RULES["position"]["maximum"] - _POSITION_STEP_MAX
    position[rows] += np.where(position[rows] <= top, step, -step)
    other = (referrer[rows] + 1 + (variant >> 4) % (len(REFERRERS) - 1)) % len(REFERRERS)
    referrer[rows] = np.where(variant >> 3 & 1, other, referrer[rows])
    return replace(events, position=position, referrer=referrer)


def _compact(event: dict[str, Any]) -> bytes:
    return json.dumps(event, separators=(",", ":"), ensure_ascii=False).encode()


def _missing_field(value: bytes, variant: int) -> bytes:
    event = json.loads(value)
    del event[FIELDS[variant % len(FIELDS)]]
    return _compact(event)


def _wrong_type(value: bytes, variant: int) -> bytes:
    event = json.loads(value)
    field = FIELDS[variant % len(FIELDS)]
    good = event[field]
    other: tuple[Any, ...] = (None, [good], {"value": good}, True)
    other += (str(good), good + 0.5) if isinstance(good, int) else (1, 0.5)
    event[field] = other[variant // len(FIELDS) % len(other)]
    return _compact(event)


def _unknown_enum(value: bytes, variant: int) -> bytes:
    event = json.loads(value)
    event[_ENUMS[variant % len(_ENUMS)]] = _STRANGERS[variant // len(_ENUMS) % len(_STRANGERS)]
    return _compact(event)


def _not_json(value: bytes, variant: int) -> bytes:
    event = json.loads(value)
    forms: tuple[Callable[[], bytes], ...] = (
        lambda: repr(event).encode(),
        lambda: ",".join(str(cell) for cell in event.values()).encode(),
        lambda: b"",
        lambda: b"<event>" + value + b"</event>",
        lambda: value + b"}",
        lambda: value.replace(b'":"', b'"="', 1),
        lambda: value.replace(str(event["film_id"]).encode() + b",", b"NaN,", 1),
    )
    return forms[variant % len(forms)]()


def _truncated(value: bytes, variant: int) -> bytes:
    return value[: 1 + variant % (len(value) - 1)]


def _wrong_encoding(value: bytes, variant: int) -> bytes:
    forms: tuple[Callable[[], bytes], ...] = (
        lambda: b"\xff\xfe" + value.decode().encode("utf-16-le"),
        lambda: value.replace(b'"}', 'é"}'.encode("latin-1")),
        lambda: value.replace(b'"', "“".encode("cp1252")),
        lambda: value[:20] + b"\xc3" + value[20:],
    )
    return forms[variant % len(forms)]()


_BREAK: dict[str, Callable[[bytes, int], bytes]] = {
    "missing_field": _missing_field,
    "wrong_type": _wrong_type,
    "unknown_enum": _unknown_enum,
    "not_json": _not_json,
    "truncated": _truncated,
    "wrong_encoding": _wrong_encoding,
}

_KEYS: tuple[tuple[Callable[[bytes], bytes], Reason], ...] = (
    (lambda key: key.strip(b'"'), Reason("key", "json")),
    (lambda key: key[:-1] + b'0"' if len(key) < 12 else b'"u_1"', Reason("key", "same_user")),
    (lambda key: key.strip(b'"u_'), Reason("key", "type")),
    (lambda key: key.replace(b"u_", b"user_"), Reason("key", "pattern")),
    (lambda _key: b"", Reason("key", "json")),
    (lambda _key: b"null", Reason("key", "type")),
)
