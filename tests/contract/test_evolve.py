import json

import pytest

from clickreel.contract import schema
from clickreel.contract.evolve import Edits, judge_evolution, propose
from clickreel.contract.schema import Schema
from clickreel.contract.schema_registry import MODES, MemoryRegistry
from clickreel.errors import UsageError
from tests.contract.edits import EDITS, base, edited

CURRENT = schema.current("value")
OPEN = schema.version("value", 4)


@pytest.mark.parametrize(
    ("edits", "mode", "accepted"),
    [
        (Edits(add=("country:string",)), "BACKWARD", True),
        (Edits(add=("country:string",)), "FORWARD", False),
        (Edits(add=("country:string:required",)), "BACKWARD", False),
        (Edits(word=("page=checkout",)), "BACKWARD", True),
        (Edits(word=("page=checkout",)), "FULL", False),
        (Edits(drop_word=("page=home",)), "BACKWARD", False),
        (Edits(remove=("referrer",)), "BACKWARD", False),
        (Edits(set=("position.maximum=100",)), "BACKWARD", False),
        (Edits(set=("position.maximum=100",)), "FORWARD", True),
        (Edits(set=("position.maximum=40000",)), "BACKWARD", True),
        (Edits(set=("referrer.required=false",)), "BACKWARD", True),
        (Edits(unset=("event_ts.pattern",)), "BACKWARD", True),
        (Edits(unset=("referrer.required",)), "BACKWARD", True),
        (Edits(open=True), "BACKWARD", True),
        (Edits(remove=("page", "referrer"), open=False), "NONE", True),
        (Edits(set=("page.description=Where.",)), "FULL", True),
    ],
)
def test_proposals_are_judged(edits: Edits, mode: str, accepted: bool) -> None:
    """The verdict is the twin registry's, and a refusal says what would be accepted instead."""
    new = propose(CURRENT, edits)
    verdict = judge_evolution(CURRENT, new, mode)
    assert verdict.accepted == accepted
    assert new.version == CURRENT.version + 1
    registry = MemoryRegistry(mode)
    registry.register(CURRENT)
    assert (registry.check_compatibility(new) == []) == accepted
    if not accepted:
        assert verdict.notes
        assert all("{" not in note for note in verdict.notes)


def test_the_surprises_of_an_open_schema_are_explained() -> None:
    """Against version 4 a new optional field and closing are refused; both say why, and the way on."""
    field = judge_evolution(OPEN, propose(OPEN, Edits(add=("country:string",))), "BACKWARD")
    assert not field.accepted
    assert "the old version, being open, took any value under this name" in field.forbidden[0].text
    assert "--mode FORWARD" in field.notes[0]
    assert judge_evolution(OPEN, propose(OPEN, Edits(add=("country:string",))), "FORWARD").accepted
    closing = judge_evolution(OPEN, propose(OPEN, Edits(open=False)), "BACKWARD")
    assert not closing.accepted
    assert "leave it open" in closing.notes[0]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("open_", [False, True])
def test_every_refusal_has_a_way_on(mode: str, open_: bool) -> None:
    """No edit is refused without words."""
    old = Schema("t-value", 1, json.dumps(base(open_=open_)))
    for name in EDITS:
        verdict = judge_evolution(old, Schema("t-value", 2, json.dumps(edited(name, open_=open_))), mode)
        assert verdict.accepted or all(len(note) > 30 for note in verdict.notes), name


def test_the_note_on_an_accepted_word() -> None:
    """Accepted is not the same as safe in any order."""
    verdict = judge_evolution(CURRENT, propose(CURRENT, Edits(word=("device=tv",))), "BACKWARD")
    assert verdict.notes == ("upgrade the consumers first: those on the old version refuse what is new",)


@pytest.mark.parametrize(
    ("edits", "message"),
    [
        (Edits(add=("country",)), "--add country is not NAME:TYPE"),
        (Edits(add=("country:text",)), "--add country:text is not NAME:TYPE"),
        (Edits(add=("country:string:always",)), "is not NAME:TYPE"),
        (Edits(add=("page:string",)), "the field is there already"),
        (Edits(remove=("colour",)), "there is no field colour"),
        (Edits(word=("page",)), "page is not FIELD=WORD"),
        (Edits(word=("page=home",)), "the word is there already"),
        (Edits(word=("film_id=1",)), "film_id has no list of words"),
        (Edits(drop_word=("page=checkout",)), "there is no such word"),
        (Edits(set=("position",)), "is not FIELD.RULE=VALUE"),
        (Edits(set=("position.maximum=many",)), "gives no JSON Schema"),
        (Edits(unset=("position",)), "is not FIELD.RULE"),
        (Edits(unset=("position.pattern",)), "position has no rule pattern"),
    ],
)
def test_an_edit_that_cannot_be_made_is_refused(edits: Edits, message: str) -> None:
    """The edit is named, with what would be possible."""
    with pytest.raises(UsageError, match=message) as refusal:
        propose(CURRENT, edits)
    assert refusal.value.hint


def verdict_of(old: object, new: object, mode: str = "BACKWARD") -> bool:
    """Whether the new schema may follow the old one; the twin registry must say the same."""
    schemas = [Schema("t-value", number, json.dumps(body)) for number, body in ((1, old), (2, new))]
    accepted = judge_evolution(schemas[0], schemas[1], mode).accepted
    registry = MemoryRegistry(mode)
    registry.register(schemas[0])
    assert (registry.check_compatibility(schemas[1]) == []) == accepted
    return accepted


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"enum": [1, 2]}, {"enum": [True, 2]}),
        ({"additionalProperties": {"type": "string"}}, {"additionalProperties": {"type": "integer"}}),
        ({"additionalProperties": True}, {"additionalProperties": {"type": "string"}}),
        (
            {"properties": {"a": {"type": "object", "properties": {"b": {"type": "string"}}}}},
            {"properties": {"a": {"type": "object", "properties": {"b": {"type": "integer"}}}}},
        ),
        ({"properties": {"a": {"type": "object"}}}, {"properties": {"a": {"type": "object", "required": ["b"]}}}),
        ({"properties": {"a": True}}, {"properties": {"a": False}}),
        ({"items": {"type": "string"}}, {"items": {"type": "integer"}}),
        ({"const": 1}, {"const": True}),
        ({"x-rule": 1, "not": {"type": "null"}}, {"x-rule": 1, "not": {"type": ["null", "string"]}}),
        ({"patternProperties": {"^a": {"type": "string"}}}, {"patternProperties": {"^a": {"type": "integer"}}}),
        (
            {"$ref": "#/definitions/a", "definitions": {"a": {"type": "string"}}},
            {"$ref": "#/definitions/a", "definitions": {"a": {"type": "integer"}}},
        ),
        ({"type": "string", "pattern": "^a"}, {"type": "string", "pattern": "^ab"}),
        (
            {"$ref": "#/$defs/a", "maximum": 1, "$defs": {"a": {}}},
            {
                "$schema": "https://json-schema.org/draft/2020-12/schema",
                "$ref": "#/$defs/a",
                "maximum": 1,
                "$defs": {"a": {}},
            },
        ),
    ],
)
@pytest.mark.parametrize("mode", ["BACKWARD", "FULL"])
def test_a_difference_that_is_not_understood_is_refused(old: object, new: object, mode: str) -> None:
    """Whatever the rule is, and however deep it lies."""
    assert not verdict_of(old, new, mode)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"type": "integer"}, {"type": "integer", "definitions": {"unused": {"type": "string"}}}),
        (
            {"properties": {"a": {"type": "string"}}},
            {"properties": {"a": {"$ref": "#/definitions/a"}}, "definitions": {"a": {"type": "string"}}},
        ),
        ({"type": ["string", "integer"]}, {"oneOf": [{"type": "string"}, {"type": "integer"}]}),
        ({"anyOf": [{"type": "null"}, {"type": "string"}]}, {"type": ["string", "null"]}),
        ({"enum": ["a"]}, {"const": "a"}),
        ({"type": "object", "properties": {"a": True}}, {"type": "object", "properties": {"a": {}}}),
        ({"type": "string", "x-owner": "films"}, {"type": "string", "x-owner": "people"}),
    ],
)
def test_another_spelling_of_the_same_schema_is_accepted(old: object, new: object) -> None:
    """In both directions, in every mode."""
    for mode in ("BACKWARD", "FORWARD", "FULL"):
        assert verdict_of(old, new, mode)
        assert verdict_of(new, old, mode)


def test_a_key_has_no_fields_to_edit() -> None:
    """The key is a text."""
    with pytest.raises(UsageError, match="has no fields"):
        propose(schema.current("key"), Edits(add=("a:string",)))
