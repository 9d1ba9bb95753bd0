"""What changed between two versions of a schema, in words, and in which direction.

A change **narrows** when the new version refuses a message that the old one took, and **widens** when it takes one that the old one
refused. That is all there is to compatibility: a reader of the new version can read old messages (BACKWARD) unless something narrows,
a reader of the old version can read new messages (FORWARD) unless something widens.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import jsonschema_rs

from clickreel.contract.ecma_pattern import OPTIONS
from clickreel.contract.rules import ANNOTATIONS, draft, strict_patterns
from clickreel.contract.schema import Schema, as_object


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

    A difference in a rule that is not understood here narrows and widens, unless the canonical forms of both versions prove that one
    takes all that the other takes: so another spelling of the same schema (``$ref`` or ``oneOf`` for ``type``) changes nothing, and
    nothing that is not understood is ever accepted.
    """
    whole = new.subject.rsplit("-", 1)[-1]
    before, after = old.body, new.body
    changes = (
        *_draft(before, after, whole),
        *_model(before, after, whole),
        *_rules(before, after, whole),
        *_fields(before, after),
    )
    if not any(change.narrows or change.widens for change in changes):
        return changes
    narrows, widens = not covers(after, before), not covers(before, after)
    # A field that came or went stays what registries see in it, even where no message tells the versions apart.
    return tuple(
        change
        if change.rule == "properties"
        else dataclasses.replace(change, narrows=change.narrows and narrows, widens=change.widens and widens)
        for change in changes
    )


def covers(taker: Any, other: Any) -> bool:
    """Whether it is proven that one schema takes every value that another takes; formats count as enforced."""
    try:
        canonical = [
            jsonschema_rs.canonicalize(
                strict_patterns(body),
                draft=_DRAFTS[draft(body)],
                validate_formats=True,
                pattern_options=OPTIONS,
                offline=True,
            )
            for body in (taker, other)
        ]
        return bool(canonical[0].covers(canonical[1]) == jsonschema_rs.canonical.Containment.YES)
    except Exception:  # noqa: BLE001 - nothing is proven of a schema that does not work
        return False


_DRAFTS = {
    jsonschema_rs.Draft4Validator: jsonschema_rs.Draft4,
    jsonschema_rs.Draft6Validator: jsonschema_rs.Draft6,
    jsonschema_rs.Draft7Validator: jsonschema_rs.Draft7,
    jsonschema_rs.Draft201909Validator: jsonschema_rs.Draft201909,
    jsonschema_rs.Draft202012Validator: jsonschema_rs.Draft202012,
}


def is_open(body: dict[str, Any]) -> bool:
    """Whether an object may hold fields that its schema does not name."""
    return body.get("additionalProperties", True) is not False


def _draft(old: dict[str, Any], new: dict[str, Any], whole: str) -> Iterator[Change]:
    if draft(old) is not draft(new):
        text = (
            f"$schema {old.get('$schema')} -> {new.get('$schema')}: another draft reads the same rules in another way"
        )
        yield Change(whole, "$schema", text, narrows=True, widens=True)


def _model(old: dict[str, Any], new: dict[str, Any], whole: str) -> Iterator[Change]:
    before, after = old.get("additionalProperties", True), new.get("additionalProperties", True)
    if is_open(old) and is_open(new) and _differ(before, after):
        text = f"further fields: {json.dumps(before)} -> {json.dumps(after)}"
        yield Change(whole, "additionalProperties", text, narrows=after is not True, widens=before is not True)
    if is_open(old) and not is_open(new):
        yield Change(
            whole, "additionalProperties", "closed: fields that the schema does not name are refused", narrows=True
        )
    if is_open(new) and not is_open(old):
        yield Change(whole, "additionalProperties", "opened: any further field is taken", widens=True)


def _fields(old: dict[str, Any], new: dict[str, Any]) -> Iterator[Change]:
    before, after = _properties(old), _properties(new)
    was_required, is_required = _required(old), _required(new)
    for name, rules in after.items():
        if name not in before:
            yield _added(name, rules, old, required=name in is_required)
            continue
        if name in is_required - was_required:
            yield Change(name, "required", "optional -> required", narrows=True)
        if name in was_required - is_required:
            yield Change(name, "required", "required -> optional", widens=True)
        yield from _rules(before[name], rules, name)
        yield from _unknown(before[name], rules, name, _STRUCTURE)
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
    yield from _unknown(old, new, name, frozenset(old.keys() | new.keys()) - _COMPARED - _STRUCTURE - ANNOTATIONS)


def _unknown(old: dict[str, Any], new: dict[str, Any], name: str, rules: frozenset[str]) -> Iterator[Change]:
    """Differences of rules that are not understood; what a field holds in it (a nested object) is one of these."""
    for rule in sorted(rules):
        before, after = old.get(rule), new.get(rule)
        if _differ(before, after) or (rule in old) != (rule in new):
            text = f"{rule} {json.dumps(before)} -> {json.dumps(after)}"
            yield Change(name, rule, text, narrows=True, widens=True)


def _differ(one: Any, other: Any) -> bool:
    """Whether two JSON values differ; 1 is not true, as it is for Python."""
    return json.dumps(one, sort_keys=True) != json.dumps(other, sort_keys=True)


def _properties(body: dict[str, Any]) -> dict[str, dict[str, Any]]:
    held = body.get("properties")
    return {name: as_object(rules) or {} for name, rules in held.items()} if isinstance(held, dict) else {}


def _required(body: dict[str, Any]) -> set[str]:
    held = body.get("required")
    return {str(name) for name in held} if isinstance(held, list) else set()


_COMPARED = frozenset(
    {
        "type",
        "enum",
        "pattern",
        "minimum",
        "maximum",
        "minLength",
        "maxLength",
    }
)
_STRUCTURE = frozenset({"properties", "required", "additionalProperties"})


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
    if not _differ(before, after):
        return
    if before is None or after is None:
        words = ", ".join(json.dumps(word) for word in after or before or ())
        text = f"only {words}" if before is None else f"no longer only {words}"
        yield Change(name, "enum", text, narrows=before is None, widens=after is None)
        return
    was, now = (
        [json.dumps(word, sort_keys=True) for word in before],
        [json.dumps(word, sort_keys=True) for word in after],
    )
    gone, come = [word for word in was if word not in now], [word for word in now if word not in was]
    texts = [f"without {', '.join(gone)}"] * bool(gone) + [f"with {', '.join(come)}"] * bool(come)
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
