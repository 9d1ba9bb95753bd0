"""Evolution: propose the next version of a schema, and say whether a registry would take it, and what it would take instead.

The verdict follows from :mod:`clickreel.contract.diff` alone, so it needs no registry; a test holds it to a real Apicurio's verdicts.
"""

from __future__ import annotations

import copy
import dataclasses
import json
from dataclasses import dataclass
from typing import Any

from clickreel.contract.diff import Change, compare
from clickreel.contract.rules import schema_fault
from clickreel.contract.schema import Schema
from clickreel.contract.schema_registry import breaking
from clickreel.errors import UsageError

_TYPES = ("string", "integer", "number", "boolean")
_HINT = "clickreel contract evolve --help"


@dataclass(frozen=True, slots=True)
class Edits:
    """What to change, in the words of the command line.

    Attributes:
        add: New fields: ``name:type``, or ``name:type:required``.
        remove: Names of fields to remove.
        word: New enum values: ``field=value``.
        drop_word: Enum values to remove: ``field=value``.
        set: Rules to set: ``field.rule=value``, the value in JSON or a bare text; ``field.required=true`` too.
        unset: Rules to remove: ``field.rule``.
        open: True to let further fields pass, False to refuse them, None to leave it.
    """

    add: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()
    word: tuple[str, ...] = ()
    drop_word: tuple[str, ...] = ()
    set: tuple[str, ...] = ()
    unset: tuple[str, ...] = ()
    open: bool | None = None


@dataclass(frozen=True, slots=True)
class CompatibilityVerdict:
    """Whether a new version may follow an old one.

    Attributes:
        old: The version that consumers have.
        new: The proposal.
        mode: The compatibility mode under which it is judged.
        changes: All differences.
        forbidden: Those that the mode forbids; none means accepted.
        notes: In plain words: what to do instead of each forbidden change, or what to mind of an accepted one.
    """

    old: Schema
    new: Schema
    mode: str
    changes: tuple[Change, ...]
    forbidden: tuple[Change, ...]
    notes: tuple[str, ...]

    @property
    def accepted(self) -> bool:
        """Whether a registry takes the new version."""
        return not self.forbidden


def propose(old: Schema, edits: Edits) -> Schema:
    """Apply edits to a schema; the result carries the next version number.

    Raises:
        UsageError: An edit names what is not there, or is not understood.
    """
    body = copy.deepcopy(old.body)
    if "properties" not in body:
        raise UsageError(f"{old.subject} v{old.version} has no fields to edit", hint="edit the value: --part value")
    for texts, apply in (
        (edits.add, _add),
        (edits.remove, _remove),
        (edits.word, _add_word),
        (edits.drop_word, _drop_word),
        (edits.set, _set),
        (edits.unset, _unset),
    ):
        for text in texts:
            apply(body, text)
    if edits.open is not None:
        body["additionalProperties"] = edits.open
    return dataclasses.replace(
        old, version=old.version + 1, text=json.dumps(body, ensure_ascii=False, indent=2), id=None
    )


def judge_evolution(old: Schema, new: Schema, mode: str) -> CompatibilityVerdict:
    """Say whether a version may follow another under a compatibility mode, and what would be accepted instead."""
    changes = compare(old, new)
    forbidden = breaking(changes, mode)
    notes = tuple(dict.fromkeys(_suggest_alternative(change, mode) for change in forbidden))
    return CompatibilityVerdict(old, new, mode, changes, forbidden, notes or _caveats(changes, mode))


def _caveats(changes: tuple[Change, ...], mode: str) -> tuple[str, ...]:
    """What to mind of an accepted version."""
    if any(change.widens for change in changes) and mode not in {"NONE", "FORWARD", "FULL"}:
        return ("upgrade the consumers first: those on the old version refuse what is new",)
    if any(change.narrows for change in changes) and mode.startswith("FORWARD"):
        return (
            "upgrade the producers first, and mind the messages that are retained: consumers on the new version refuse some",
        )
    if mode == "NONE" and any(change.narrows or change.widens for change in changes):
        return ("NONE checks nothing: old messages may break new consumers, and new messages old ones",)
    return ()


_NARROWING = {
    "additionalProperties": "leave it open and name the unknown fields in the check (clickreel contract validate), or begin a new topic "
    "with the closed schema",
    "required": "leave {field} optional until no retained message lacks it, and let the producer always write it",
    "type": "leave {field} as it is and add a new field of the new type; remove the old one when nobody reads it",
    "enum": "keep the words in the schema and stop writing them: a word that stays costs nothing",
    "pattern": "keep the old pattern and let the producer write the narrower form",
    "minimum": "keep the old bound and let the producer keep the tighter one",
    "maximum": "keep the old bound and let the producer keep the tighter one",
    "format": "say it in the description: a format counts as a rule for a registry, even where nothing enforces it",
}


def _suggest_alternative(change: Change, mode: str) -> str:
    """What a registry would accept instead of a forbidden change."""
    if change.narrows and not mode.startswith("FORWARD"):
        if change.rule != "properties":
            known = _NARROWING.get(change.rule, "keep the old {rule} and let the producer keep the tighter one")
            return known.format(field=change.field, rule=change.rule)
        if change.text.startswith("field removed"):
            return f"keep {change.field} in the schema, make it optional, and stop writing it"
        if "being open" in change.text:
            return (
                f"the old version is open, so {change.field} may be written already without a change of schema, only unchecked; to "
                "name it, register under --mode FORWARD (the old version takes it), or under NONE once no retained message "
                f"holds another {change.field}"
            )
        return f"add {change.field} as optional (--add {change.field}:TYPE): old messages do not have it"
    if change.rule == "properties" and not change.text.startswith("field removed"):
        return f"readers of the old version refuse {change.field}, which they do not know: upgrade them first, under --mode BACKWARD"
    return f"readers of the old version refuse what is new in {change.field}: upgrade them first, and register under --mode BACKWARD"


def _field(body: dict[str, Any], name: str) -> dict[str, Any]:
    if name not in body["properties"]:
        raise UsageError(f"there is no field {name}", hint=f"the fields: {', '.join(body['properties'])}")
    rules: dict[str, Any] = body["properties"][name]
    return rules


def _add(body: dict[str, Any], text: str) -> None:
    name, _, rest = text.partition(":")
    kind, _, required = rest.partition(":")
    if not name or kind not in _TYPES or required not in {"", "required"}:
        raise UsageError(
            f"--add {text} is not NAME:TYPE or NAME:TYPE:required", hint=f"TYPE is one of: {', '.join(_TYPES)}"
        )
    if name in body["properties"]:
        raise UsageError(f"--add {text}: the field is there already", hint=f"clickreel contract show --field {name}")
    body["properties"][name] = {"type": kind}
    _require(body, name, wanted=bool(required))


def _remove(body: dict[str, Any], name: str) -> None:
    _field(body, name)
    del body["properties"][name]
    _require(body, name, wanted=False)


def _require(body: dict[str, Any], name: str, *, wanted: bool) -> None:
    required = [field for field in body.get("required", ()) if field != name] + [name] * wanted
    if required or "required" in body:
        body["required"] = required


def _words(body: dict[str, Any], text: str) -> tuple[list[str], str]:
    name, equals, word = text.partition("=")
    if not equals:
        raise UsageError(f"{text} is not FIELD=WORD", hint=_HINT)
    rules = _field(body, name)
    if "enum" not in rules:
        raise UsageError(f"{name} has no list of words", hint=f"clickreel contract show --field {name}")
    words: list[str] = rules["enum"]
    return words, word


def _add_word(body: dict[str, Any], text: str) -> None:
    words, word = _words(body, text)
    if word in words:
        raise UsageError(f"{text}: the word is there already", hint=f"its words: {', '.join(words)}")
    words.append(word)


def _drop_word(body: dict[str, Any], text: str) -> None:
    words, word = _words(body, text)
    if word not in words:
        raise UsageError(f"{text}: there is no such word", hint=f"its words: {', '.join(words)}")
    words.remove(word)


def _set(body: dict[str, Any], text: str) -> None:
    place, equals, raw = text.partition("=")
    name, dot, rule = place.rpartition(".")
    if not equals or not dot:
        raise UsageError(f"--set {text} is not FIELD.RULE=VALUE", hint=_HINT)
    rules = _field(body, name)
    try:
        value = json.loads(raw)
    except ValueError:
        value = raw
    if rule == "required":
        _require(body, name, wanted=value is True)
    else:
        rules[rule] = value
    _valid(body, f"--set {text}")


def _unset(body: dict[str, Any], text: str) -> None:
    name, dot, rule = text.rpartition(".")
    if not dot:
        raise UsageError(f"--unset {text} is not FIELD.RULE", hint=_HINT)
    rules = _field(body, name)
    if rule == "required":
        _require(body, name, wanted=False)
    elif rule not in rules:
        raise UsageError(f"{name} has no rule {rule}", hint=f"its rules: {', '.join(rules)}")
    else:
        del rules[rule]


def _valid(body: dict[str, Any], edit: str) -> None:
    fault = schema_fault(body)
    if fault:
        raise UsageError(f"{edit} gives no JSON Schema: {fault}", hint=_HINT)
