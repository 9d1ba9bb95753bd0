import json
import re
from datetime import datetime

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clickreel.contract import schema
from clickreel.contract.check import Contract, check, contract
from clickreel.contract.framing import prefix
from clickreel.contract.rules import COMPILED, Violation, compile_schema, fast_path_pattern
from clickreel.contract.schema import Schema
from tests.contract.test_decode import JSON, edited

KEY = b'"u_10"'
# The example of the dataset's first documentation, as json.dumps writes it.
SEED = {
    "event_id": "84e0e977-9ee7-4eec-9cd6-f7655e481cb3",
    "event_ts": "2025-12-27 12:18:51.766",
    "user_id": "u_10",
    "session_id": "s_53482d2c",
    "film_id": 331,
    "event_type": "view",
    "page": "browse",
    "position": 9,
    "device": "tablet",
    "referrer": "recommendation",
}


def value(**fields: object) -> bytes:
    """The example with some fields replaced; None removes one."""
    return json.dumps({name: cell for name, cell in (SEED | fields).items() if cell is not None}).encode()


@pytest.mark.parametrize(
    "text", [json.dumps(SEED), json.dumps(SEED, separators=(",", ":")), json.dumps(SEED, indent=2)]
)
def test_the_example_is_valid(text: str) -> None:
    """In any spelling, and in any frame."""
    data = text.encode()
    assert check(KEY, data) is None
    assert check(prefix(KEY, 1), prefix(data, 2)) is None
    guid = b"\1" + bytes(range(16))
    assert check(KEY, data, [("__key_schema_id", guid), ("__value_schema_id", b"\0\0\0\0\2"), ("other", b"")]) is None
    assert contract().read(KEY, data) == SEED


@pytest.mark.parametrize(
    ("data", "field", "rule", "text"),
    [
        (value(film_id=None), "film_id", "required", "film_id is missing"),
        (value(film_id="331"), "film_id", "type", 'film_id is "331", not an integer'),
        (value(film_id=331.5), "film_id", "type", "film_id is 331.5, not an integer"),
        (value(film_id=True), "film_id", "type", "film_id is true, not an integer"),
        (value(film_id=0), "film_id", "minimum", "film_id is 0, less than 1"),
        (value(position=40_000), "position", "maximum", "position is 40000, more than 32767"),
        (
            value(page="checkout"),
            "page",
            "enum",
            'page is "checkout", not one of home, browse, search, recommendations, film_detail',
        ),
        (value(user_id="u_010"), "user_id", "pattern", 'user_id is "u_010", which does not match ^u_[1-9][0-9]{0,9}$'),
        (
            value(user_id="u_10\n"),
            "user_id",
            "pattern",
            r'user_id is "u_10\n", which does not match ^u_[1-9][0-9]{0,9}$',
        ),
        (value(event_id=str(SEED["event_id"]).upper()), "event_id", "pattern", None),
        (value(event_ts="2025-12-27T12:18:51.766Z"), "event_ts", "pattern", None),
        (value(event_ts="2025-02-29 12:18:51.766"), "event_ts", "pattern", None),
        (value(event_ts="2025-12-27 24:00:00.000"), "event_ts", "pattern", None),
        (value(colour="red"), "colour", "additionalProperties", "colour is not a field of the contract"),
        (value(user_id="u_11"), "key", "same_user", 'key is "u_10", but user_id is "u_11"'),
        (value()[:-1], "value", "json", None),
        (value()[:-1] + b', "page": "home"}', "value", "unique", "value holds a field twice"),
        (value()[:-1] + b', "pa\\u0067e": "home"}', "value", "unique", "value holds a field twice"),
        (b"[]", "value", "type", "value is [], not an object"),
        (b'"text"', "value", "type", 'value is "text", not an object'),
        (b"", "value", "json", None),
        (b"\0\0\0", "value", "framing", "value has a damaged schema id in its prefix"),
        (value().replace(b"tablet", b"t\xe4blet"), "value", "encoding", "value is not UTF-8: byte 0xe4 at 222"),
        (None, "value", "type", "value is null"),
    ],
)
def test_a_violation_names_field_rule_and_reason(data: bytes | None, field: str, rule: str, text: str | None) -> None:
    """One line that says what is wrong, the value at fault, and what is allowed."""
    found = check(KEY, data)
    assert found is not None
    assert (found.field, found.rule) == (field, rule)
    assert text is None or found.text == text
    assert "\n" not in found.text
    assert len(found.text) < 600


@pytest.mark.parametrize(
    ("key", "rule"),
    [
        (b"u_10", "json"),
        (b"10", "type"),
        (b'"10"', "pattern"),
        (b'"u_11"', "same_user"),
        (None, "type"),
        (b"\xff", "encoding"),
    ],
)
def test_a_wrong_key_is_a_violation_of_the_key(key: bytes | None, rule: str) -> None:
    """The key is checked before the value."""
    found = check(key, value())
    assert found is not None
    assert (found.field, found.rule) == ("key", rule)


def test_a_damaged_header_is_a_violation() -> None:
    """A schema-id header of an unknown form is not read over."""
    found = check(KEY, value(), {"__value_schema_id": b"\7"})
    assert found == Violation("value", "framing", "value has a damaged schema id in its header")


@given(edited())
@settings(max_examples=300)
def test_the_compiled_rules_are_those_of_jsonschema(data: bytes) -> None:
    """Of any JSON object the closures say what a general validator says."""
    body = schema.current("value").body
    event = json.loads(data)
    general = jsonschema.Draft7Validator(body).is_valid(event)
    ours = compile_schema(body, "value")(event)
    # The general validator's `$` lets a line feed follow.
    assert general == (ours is None) or "\\n" in json.dumps(event)


@given(
    st.text(alphabet="0123456789-: .", min_size=20, max_size=25)
    | st.from_regex(
        r"\A(19[67][0-9]|20[0-9][0-9]|2100)-[01][0-9]-[0-3][0-9] [0-2][0-9]:[0-6][0-9]:[0-6][0-9]\.[0-9]{3}\Z"
    )
)
def test_the_pattern_of_event_ts_knows_the_calendar(text: str) -> None:
    """Exactly the instants of 1970 to 2099, as the calendar has them."""
    pattern = schema.current("value").fields["event_ts"]["pattern"]
    try:
        moment = datetime.strptime(text, "%Y-%m-%d %H:%M:%S.%f")  # noqa: DTZ007 - the contract's texts carry no offset
    except ValueError:
        expected = False
    else:
        # strptime is lenient about missing zeros and digits; a text that comes out as it went in is exact.
        expected = 1970 <= moment.year <= 2099 and moment.strftime("%Y-%m-%d %H:%M:%S.%f")[:-3] == text
    assert (re.fullmatch(pattern, text) is not None) == expected


def test_the_usual_form_is_known_without_parsing() -> None:
    """Both spellings match; a number of as many digits as its maximum is left to the slow way, which knows the maximum."""
    form = fast_path_pattern(schema.current("value").body)
    assert form is not None
    assert form.fullmatch(value()) is not None
    assert form.fullmatch(json.dumps(SEED, separators=(",", ":")).encode()) is not None
    assert form.fullmatch(value(position=9_999, film_id=999_999_999)) is not None
    assert form.fullmatch(value(position=10_000)) is None
    assert check(KEY, value(position=10_000)) is None


def test_a_schema_with_other_rules_is_checked_in_full() -> None:
    """A rule that is not compiled is not skipped."""
    body = {"type": "object", "properties": {"tags": {"type": "array", "items": {"type": "string"}, "maxItems": 2}}}
    assert "maxItems" not in COMPILED
    other = Contract(value=Schema("t-value", 1, json.dumps(body)), key=Schema("t-key", 1, '{"type":"string"}'))
    assert other.check(b'"k"', b'{"tags":["a"]}') is None
    found = other.check(b'"k"', b'{"tags":["a","b","c"]}')
    assert found is not None
    assert (found.field, found.rule) == ("tags", "maxItems")
    found = other.check(b'"k"', b'{"tags":["a",1]}')
    assert found is not None
    assert (found.field, found.rule) == ("tags", "type")


@pytest.mark.parametrize(
    "rules",
    [{"pattern": r"\p{L}+"}, {"$ref": "#/nowhere"}, {"$ref": "http://127.0.0.1:9/x"}, {"type": "strin"}, {"enum": 5}],
)
def test_a_schema_that_cannot_be_applied_is_a_violation(rules: dict[str, object]) -> None:
    """A foreign schema with a pattern of another dialect, a broken reference or nonsense in it never raises."""
    body = {"type": "object", "properties": {"user_id": rules}}
    odd = Contract(value=Schema("t-value", 1, json.dumps(body)), key=Schema("t-key", 1, '{"type":"string"}'))
    found = odd.check(KEY, value())
    assert found is not None
    assert found.rule == "schema"


@given(
    body=st.fixed_dictionaries({}, optional=dict.fromkeys(sorted(COMPILED | {"items", "anyOf", "$ref", "not"}), JSON)),
    given_value=JSON,
)
@settings(max_examples=300)
def test_no_schema_and_no_value_make_a_check_raise(body: dict[str, object], given_value: object) -> None:
    """Any JSON at all as a schema, or as the schema of a field."""
    compile_schema(body, "value")(given_value)
    compile_schema({"type": "object", "properties": {"x": body}}, "value")({"x": given_value})


def test_the_open_version_takes_what_the_strict_one_refuses() -> None:
    """Version 4 of the value has no required fields, no words and no bounds."""
    loose = Contract(value=schema.version("value", 4), key=schema.version("key", 6))
    for data in (value(), value(film_id=0.5), value(page="checkout"), value(film_id=None), value(colour="red")):
        assert loose.check(KEY, data) is None
    found = loose.check(KEY, value(film_id="331"))
    assert found is not None
    assert (found.field, found.rule) == ("film_id", "type")
