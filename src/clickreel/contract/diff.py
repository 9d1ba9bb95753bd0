"""What changed between two versions of a schema, in words, and in which direction.

A change **narrows** when the new version refuses a message that the old one took, and **widens** when it takes one that the old one
refused. That is all there is to compatibility: a reader of the new version can read old messages (BACKWARD) unless something narrows,
a reader of the old version can read new messages (FORWARD) unless something widens.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from clickreel.contract.rules import ANNOTATIONS
from clickreel.contract.schema import Schema


@dataclass(frozen=True, slots=True)
class Change:
    """One difference.

    Attributes:
        field: The field, or ``key`` or ``value`` for the whole.
        rule: The keyword of JSON Schema that changed, or ``properties`` for a field that came or went.
        text: What changed, readable after ``field: ``.
        narrows: The new version refuses something that the old one took.
        widens: The new version takes something that the old one refused.
    """

    field: str
    rule: str
    text: str
    narrows: bool = False
    widens: bool = False


def compare(old: Schema, new: Schema) -> tuple[Change, ...]:
    """All differences, the whole first, then field by field in the new version's order.

    Rules that are neither compiled here nor annotations are taken as narrowing and widening when they differ, because nothing is known
    of them.
    """
    whole = new.subject.rsplit("-", 1)[-1]
    return (*_model(old.body, new.body, whole), *_rules(old.body, new.body, whole), *_fields(old.body, new.body))


def is_open(body: dict[str, Any]) -> bool:
    """Whether an object may hold fields that its schema does not name."""
    return body.get("additionalProperties", True) is not False


def _model(old: dict[str, Any], new: dict[str, Any], whole: str) -> Iterator[Change]:
    if is_open(old) and not is_open(new):
        yield Change(
            whole, "additionalProperties", "closed: fields that the schema does not name are refused", narrows=True
        )
    if is_open(new) and not is_open(old):
        yield Change(whole, "additionalProperties", "opened: any further field is taken", widens=True)


def _fields(old: dict[str, Any], new: dict[str, Any]) -> Iterator[Change]:
    before, after = old.get("properties", {}), new.get("properties", {})
    was_required, is_required = set(old.get("required", ())), set(new.get("required", ()))
    for name, rules in after.items():
        if name not in before:
            yield _added(name, rules, old, required=name in is_required)
            continue
        if name in is_required - was_required:
            yield Change(name, "required", "optional -> required", narrows=True)
        if name in was_required - is_required:
            yield Change(name, "required", "required -> optional", widens=True)
        yield from _rules(before[name], rules, name)
    for name in before:
        if name not in after:
            yield _removed(name, new, required=name in was_required)
    for name in sorted((was_required ^ is_required) - before.keys() - after.keys()):
        came = name in is_required
        yield Change(
            name, "required", "required, without rules" if came else "no longer required", narrows=came, widens=not came
        )


def _added(name: str, rules: dict[str, Any], old: dict[str, Any], *, required: bool) -> Change:
    kind = f"new {'required' if required else 'optional'} field, {described(rules)}"
    if not is_open(old):
        return Change(name, "properties", kind, narrows=required, widens=True)
    # Narrowing even without rules, as registries see it.
    return Change(
        name, "properties", f"{kind}; the old version, being open, took any value under this name", narrows=True
    )


def _removed(name: str, new: dict[str, Any], *, required: bool) -> Change:
    if is_open(new):
        return Change(name, "properties", "field removed; under this name any value is taken now", widens=True)
    return Change(name, "properties", "field removed; messages that hold it are refused", narrows=True, widens=required)


def described(rules: dict[str, Any]) -> str:
    """A field's rules in a few words: ``integer from 1 to 32767``."""
    words = [_kind(rules) or "anything"]
    if "enum" in rules:
        words.append("out of " + ", ".join(json.dumps(word) for word in rules["enum"]))
    if "minimum" in rules or "maximum" in rules:
        words += [f"{word} {rules[rule]}" for word, rule in (("from", "minimum"), ("to", "maximum")) if rule in rules]
    if "pattern" in rules:
        words.append(f"matching {rules['pattern']}")
    return " ".join(words)


def _kind(rules: dict[str, Any]) -> str:
    kind = rules.get("type", "")
    return kind if isinstance(kind, str) else " or ".join(kind)


def _rules(old: dict[str, Any], new: dict[str, Any], name: str) -> Iterator[Change]:
    yield from _type(old, new, name)
    yield from _enum(old, new, name)
    for rule in ("pattern", "format", "title", "description"):
        yield from _text_rule(old, new, name, rule)
    for rule, sign in (("minimum", 1), ("maximum", -1), ("minLength", 1), ("maxLength", -1)):
        yield from _bound(old, new, name, rule, sign)
    for rule in sorted((old.keys() | new.keys()) - _COMPARED - ANNOTATIONS):
        if old.get(rule) != new.get(rule):
            text = f"{json.dumps(old.get(rule))} -> {json.dumps(new.get(rule))}"
            yield Change(name, rule, f"{rule} {text}", narrows=True, widens=True)


_COMPARED = frozenset(
    {
        "type",
        "enum",
        "pattern",
        "minimum",
        "maximum",
        "minLength",
        "maxLength",
        "properties",
        "required",
        "additionalProperties",
    }
)


def _type(old: dict[str, Any], new: dict[str, Any], name: str) -> Iterator[Change]:
    before, after = _types(old), _types(new)
    if before != after:
        text = f"{_kind(old) or 'any type'} -> {_kind(new) or 'any type'}"
        yield Change(name, "type", text, narrows=not _within(before, after), widens=not _within(after, before))


_ALL_TYPES = frozenset({"string", "integer", "number", "boolean", "null", "object", "array"})


def _types(rules: dict[str, Any]) -> frozenset[str]:
    kind = rules.get("type", _ALL_TYPES)
    return frozenset({kind} if isinstance(kind, str) else kind)


def _within(inner: frozenset[str], outer: frozenset[str]) -> bool:
    """Whether every value of the inner types is one of the outer: an integer is a number."""
    return inner <= (outer | {"integer"} if "number" in outer else outer)


def _enum(old: dict[str, Any], new: dict[str, Any], name: str) -> Iterator[Change]:
    before, after = old.get("enum"), new.get("enum")
    if before == after:
        return
    if before is None or after is None:
        words = ", ".join(json.dumps(word) for word in after or before or ())
        text = f"only {words}" if before is None else f"no longer only {words}"
        yield Change(name, "enum", text, narrows=before is None, widens=after is None)
        return
    gone, come = [word for word in before if word not in after], [word for word in after if word not in before]
    texts = [f"without {', '.join(map(json.dumps, gone))}"] * bool(gone) + [
        f"with {', '.join(map(json.dumps, come))}"
    ] * bool(come)
    yield Change(name, "enum", " and ".join(texts) or "words in another order", narrows=bool(gone), widens=bool(come))


def _text_rule(old: dict[str, Any], new: dict[str, Any], name: str, rule: str) -> Iterator[Change]:
    before, after = old.get(rule), new.get(rule)
    if before == after:
        return
    # Draft-07 leaves it open whether a format is enforced; a registry must think of those who do.
    decides = rule in {"pattern", "format"}
    if before is None:
        yield Change(name, rule, f"{rule} {after}", narrows=decides)
    elif after is None:
        yield Change(name, rule, f"no {rule} any more (was {before})", widens=decides)
    else:
        yield Change(name, rule, f"{rule} {before} -> {after}", narrows=decides, widens=decides)


def _bound(old: dict[str, Any], new: dict[str, Any], name: str, rule: str, sign: int) -> Iterator[Change]:
    before, after = old.get(rule), new.get(rule)
    if before == after:
        return
    if before is None or after is None:
        text = f"{rule} {after}" if before is None else f"no {rule} any more (was {before})"
        yield Change(name, rule, text, narrows=before is None, widens=after is None)
        return
    tighter = sign * after > sign * before
    yield Change(name, rule, f"{rule} {before} -> {after}", narrows=tighter, widens=not tighter)


_WHY = {
    "additionalProperties": "a misspelt or forgotten field is found where it is written, not missed by a reader",
    "required": "a reader must not invent what is missing: ClickHouse and ClickPipes would store 0 or an empty text",
    "enum": "a new word is a decision to announce, not a typing error that a chart shows weeks later",
    "pattern": "one value has one spelling, so that it can be joined, sorted and parsed as it is",
    "format": "the texts that are written, 2025-12-27 12:18:51.766, never were a date-time of RFC 3339; the pattern says what they are",
    "type": "half a film or half a rank means nothing",
    "minimum": "numbers begin at 1; 0 is what a lost value looks like",
    "maximum": "the value fits the column it lands in, with no overflow in silence",
}


def why(change: Change) -> str:
    """Why the strict version makes such a change, for the rules that it brought; empty for others."""
    return _WHY.get(change.rule, "")
