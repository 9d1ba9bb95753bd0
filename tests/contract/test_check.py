import json
import re
import time
from datetime import datetime

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clickreel.contract import schema
from clickreel.contract.check import Contract, check, contract
from clickreel.contract.framing import prefix
from clickreel.contract.rules import Violation, compile_schema
from clickreel.contract.schema import Schema
from tests.contract.test_decode import JSON, edited
from tests.sample_event import SAMPLE_EVENT

KEY = b'"u_10"'
KEYWORDS = (
    "$ref", "additionalProperties", "anyOf", "enum", "items", "maximum", "minimum", "not", "pattern", "properties", "required", "type"
)  # fmt: skip


def value(**fields: object) -> bytes:
    """The example with some fields replaced; None removes one."""
    return json.dumps({name: cell for name, cell in (SAMPLE_EVENT | fields).items() if cell is not None}).encode()


@pytest.mark.parametrize(
    "text",
    [json.dumps(SAMPLE_EVENT), json.dumps(SAMPLE_EVENT, separators=(",", ":")), json.dumps(SAMPLE_EVENT, indent=2)],
)
def test_the_example_is_valid(text: str) -> None:
    """In any spelling, and in any frame."""
    data = text.encode()
    assert check(KEY, data) is None
    assert check(prefix(KEY, 1), prefix(data, 2)) is None
    guid = b"\1" + bytes(range(16))
    assert check(KEY, data, [("__key_schema_id", guid), ("__value_schema_id", b"\0\0\0\0\2"), ("other", b"")]) is None
    assert contract().read(KEY, data) == SAMPLE_EVENT


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
        (value(event_id=str(SAMPLE_EVENT["event_id"]).upper()), "event_id", "pattern", None),
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
    """Of any JSON object the compiled rules say what another validator says."""
    body = schema.current("value").body
    event = json.loads(data)
    compiled = compile_schema(body, "value")
    general = jsonschema.Draft7Validator(body).is_valid(event)
    # The other validator's `$` lets a line feed follow.
    assert general == compiled.is_valid(event) or "\\n" in json.dumps(event)
    assert compiled.is_valid(event) == (compiled.violations(event) == [])


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


def test_a_schema_with_other_rules_is_checked_in_full() -> None:
    """A rule that is not compiled is not skipped."""
    body = {"type": "object", "properties": {"tags": {"type": "array", "items": {"type": "string"}, "maxItems": 2}}}
    other = Contract(value=Schema("t-value", 1, json.dumps(body)), key=Schema("t-key", 1, '{"type":"string"}'))
    assert other.check(b'"k"', b'{"tags":["a"]}') is None
    found = other.check(b'"k"', b'{"tags":["a","b","c"]}')
    assert found is not None
    assert (found.field, found.rule) == ("tags", "maxItems")
    found = other.check(b'"k"', b'{"tags":["a",1]}')
    assert found is not None
    assert (found.field, found.rule) == ("tags.1", "type")


@pytest.mark.parametrize(
    "rules",
    [{"pattern": "(a"}, {"$ref": "#/nowhere"}, {"$ref": "http://127.0.0.1:9/x"}, {"type": "strin"}, {"enum": 5}],
)
def test_a_schema_that_cannot_be_applied_is_a_violation(rules: dict[str, object]) -> None:
    """A foreign schema with a pattern of another dialect, a broken reference or nonsense in it never raises."""
    body = {"type": "object", "properties": {"user_id": rules}}
    odd = Contract(value=Schema("t-value", 1, json.dumps(body)), key=Schema("t-key", 1, '{"type":"string"}'))
    found = odd.check(KEY, value())
    assert found is not None
    assert found.rule == "schema"


@given(
    body=st.fixed_dictionaries({}, optional=dict.fromkeys(KEYWORDS, JSON)),
    given_value=JSON,
)
@settings(max_examples=300)
def test_no_schema_and_no_value_make_a_check_raise(body: dict[str, object], given_value: object) -> None:
    """Any JSON at all as a schema, or as the schema of a field."""
    compile_schema(body, "value").violations(given_value)
    compile_schema({"type": "object", "properties": {"x": body}}, "value").violations({"x": given_value})


def test_the_open_version_takes_what_the_strict_one_refuses() -> None:
    """Version 4 of the value has no required fields, no words and no bounds."""
    loose = Contract(value=schema.version("value", 4), key=schema.version("key", 6))
    for data in (value(), value(film_id=0.5), value(page="checkout"), value(film_id=None), value(colour="red")):
        assert loose.check(KEY, data) is None
    found = loose.check(KEY, value(film_id="331"))
    assert found is not None
    assert (found.field, found.rule) == ("film_id", "type")


def foreign(**rules: object) -> Contract:
    """A contract of somebody else: an object with one field x."""
    body = json.dumps({"type": "object", "properties": {"x": rules}})
    return Contract(value=Schema("t-value", 1, body), key=Schema("t-key", 1, "true"))


@pytest.mark.parametrize(
    ("pattern", "text", "matches"),
    [
        (r"^[^\s$]+$", "abc", True),
        (r"^[^\s$]+$", "a$c", False),
        (r"^x{,3}$", "xx", False),
        (r"^x{,3}$", "x{,3}", True),
        (r"^a{$", "a{", True),
        (r"^[\d-x]$", "-", True),
        (r"^[\d-x]$", "5", True),
        (r"^[\d-x]$", "w", False),
        (r"^\d$", "\u0663", False),
        (r"^\w$", "\u00e9", False),
        (r"^\s$", "\ufeff", True),
        (r"a$", "a\n", False),
        (r"^.$", "\r", False),
        (r"^.$", "\U0001f3ac", True),
        (r"^[^]$", "\n", True),
        (r"^[]$", "", False),
        (r"^]$", "]", True),
        (r"^\Z$", "Z", True),
        (r"^\_\07$", "_\x07", True),
        (r"^\cJ$", "\n", True),
        (r"^(?<year>[0-9]{4})$", "2025", True),
        (r"^(?=a)\p{L}+$", "a\u00e9", True),
        (r"^(a)\1$", "aa", True),
        (r"^[a&&b]$", "&", True),
        (r"^[[]$", "[", True),
        (r"^[\b]$", "\b", True),
        (r"^[\b]$", "b", False),
        (r"^\0$", "\0", True),
        (r"^[^\0]*$", "a\0", False),
        (r"^(?<word>a|b)-\k<word>1$", "b-b1", True),
        (r"^(?<word>a|b)-\k<word>1$", "a-b1", False),
        (r"^[(](?<word>a)\\\k<word>$", "(a\\a", True),
        (r"^\k<word>$", "k<word>", True),
        (r"^[]*a$", "a", True),
        (r"\bfilm\b", "a film", True),
        (r"\bfilm\b", "films", False),
        (r"^\b", "\u00e9", False),
        (r"^\B", "\u00e9", True),
        (r"^(?!x)\d$", "\u0663", False),
        (r"^(?!x)[\d]$", "\u0663", False),
        (r"^(?!x)[^\d]$", "\u0663", True),
        (r"^(?!x)\D$", "\u0663", True),
        (r"^(?!x)[\D\w]$", "\u0663", True),
        (r"^(\w)\1$", "\u00e9\u00e9", False),
        (r"^(?!x)\W[^\w]$", "\u00e9\u00e9", True),
        (r"^(?!.*\s)\S+$", "a\u0085b", True),
        (r"^(?=a).+$", "a\r", False),
        (r"^\uD83D\uDE00$", "\U0001f600", True),
        (r"^[\uD83D\uDE00]$", "\U0001f600", True),
    ],
)
def test_patterns_are_those_of_ecma_262(pattern: str, text: str, matches: bool) -> None:
    """In its strict form and in the lenient one that browsers know."""
    assert (foreign(pattern=pattern).check(b"1", json.dumps({"x": text}).encode()) is None) == matches


def test_a_pattern_is_shown_as_it_was_written() -> None:
    """Whatever it became for the library, in a field that is called like a keyword too."""
    body = {"type": "object", "properties": {"default": {"pattern": r"^x{,3}$"}, "pattern": {"pattern": r"^(?!a)\d$"}}}
    found = compile_schema(body, "value").violations({"default": "xx", "pattern": "\u0663"})
    assert [broken.text for broken in found] == [
        r'default is "xx", which does not match ^x{,3}$',
        r'pattern is "\u0663", which does not match ^(?!a)\d$',
    ]


@pytest.mark.parametrize(
    "pattern", [r"^(a+)+$", r"^(?=(a|aa)+$)(a|aa)+b$", r"^(?=((a|aa)+)+$)(a+)+b\1$", r"^((a?){30}){30}$"]
)
def test_no_pattern_takes_long(pattern: str) -> None:
    """What another engine would search for years is decided at once, as no match."""
    begun = time.monotonic()
    found = foreign(pattern=pattern).check(b"1", json.dumps({"x": "a" * 40 + "b" * 2}).encode())
    assert found is not None
    assert (found.field, found.rule) == ("x", "pattern")
    assert time.monotonic() - begun < 5


def test_the_draft_that_a_schema_names_decides() -> None:
    """Beside a reference draft-07 reads nothing, later drafts everything."""
    defs = {"number": {"type": "integer"}}
    newer = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$defs": defs,
        "$ref": "#/$defs/number",
        "maximum": 10,
    }
    older = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "definitions": defs,
        "$ref": "#/definitions/number",
        "maximum": 10,
    }
    assert [broken.rule for broken in compile_schema(newer, "value").violations(500)] == ["maximum"]
    assert compile_schema(older, "value").violations(500) == []


def test_boolean_schemas_are_judged() -> None:
    """True takes everything, false nothing, as a whole and as a field's schema."""
    assert Contract(value=Schema("t-value", 1, "true"), key=Schema("t-key", 1, "true")).check(b"1", b'{"x":1}') is None
    never = Contract(value=Schema("t-value", 1, "false"), key=Schema("t-key", 1, "true")).check(b"1", b"{}")
    assert never is not None
    assert (never.field, never.rule) == ("value", "schema")
    body = {"type": "object", "properties": {"yes": True, "no": False}}
    odd = Contract(value=Schema("t-value", 1, json.dumps(body)), key=Schema("t-key", 1, "true"))
    assert odd.check(b"1", b'{"yes":[1]}') is None
    found = odd.check(b"1", b'{"no":1}')
    assert found is not None
    assert found.text == "no is 1, where the schema allows nothing"


@pytest.mark.parametrize("text", ["null", "[]", "5", '"x"', "{", ""])
def test_what_is_no_schema_breaks_every_message(text: str) -> None:
    """It never raises: the message is not at fault, and the reason says so."""
    found = Contract(value=Schema("t-value", 1, text), key=Schema("t-key", 1, "true")).check(b"1", b"{}")
    assert found is not None
    assert found.rule == "schema"


def test_every_fault_of_a_message_is_named() -> None:
    """Once each, in the order of the schema's fields, then what has no field."""
    broken = value(
        event_id="x",
        event_ts="2025-12-27T12:18:51Z",
        film_id="331",
        event_type="VIEW",
        page=None,
        position=0,
        colour="red",
    )
    found = check(b'"u_11"', broken)
    assert found is not None
    assert [(one.field, one.rule) for one in found.all] == [
        ("event_id", "pattern"),
        ("event_ts", "pattern"),
        ("film_id", "type"),
        ("event_type", "enum"),
        ("page", "required"),
        ("position", "minimum"),
        ("colour", "additionalProperties"),
        ("key", "same_user"),
    ]
    assert 'event_ts is "2025-12-27T12:18:51Z": write YYYY-MM-DD HH:MM:SS.mmm in UTC' in found.texts


@pytest.mark.parametrize("text", ["2025-02-29 00:00:00.000", "2025-01-01 24:00:00.000", "1969-12-31 23:59:59.999"])
def test_a_time_that_there_is_not_is_not_called_badly_written(text: str) -> None:
    """Whoever wrote the right form needs no words about the form."""
    found = check(KEY, value(event_ts=text))
    assert found is not None
    assert found.texts == f'event_ts is "{text}": there is no such time, or it is out of the contract\'s range'
