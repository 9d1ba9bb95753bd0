"""A record as a line of JSON: the line says so much that the record's own bytes come back."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clickreel.contract import framing
from clickreel.contract.record_json import format_record, parse_record, payload_json
from clickreel.contract.verdict import judge_record

PLACE = {"partition": 0, "offset": 7, "timestamp": None}
PAYLOADS = st.one_of(
    st.none(),
    st.binary(max_size=20),
    st.text(max_size=20).map(lambda text: text.encode("utf-8", "replace")),
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(2**63), 2**64 - 1)
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(max_size=8),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    ).map(lambda value: orjson.dumps(_encodable(value))),
)


def _encodable(value: object) -> object:
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value


@pytest.mark.parametrize(
    "value",
    [
        b'{"film_id":123456789012345678901234,"position":331.0}',
        b'{"a":1,"a":2}',
        b'{"offset":1,"partition":2,"key":3,"value":{"}":"\\""}}',
        b"null",
        b'"base64:/w=="',
        b'"{\\"a\\":1}"',
        b"",
        b"plain text",
        b'"text"',
        b"\xff\xfe",
        framing.prefix(b'{"a":1}', 100_024),
        framing.prefix(b"no json", 1),
        b"\0\0",
        None,
    ],
)
def test_what_is_printed_is_read_back_as_it_was(value: bytes | None) -> None:
    """Integers of any length, repeated fields, framing, texts, bytes that are no text, and nothing at all."""
    headers = [("t", b"a"), ("t", b"b"), ("raw", b"\xff"), ("none", None), ("__key_schema_id", b"\0\0\0\0\5")]
    line = format_record(PLACE, value, value, headers, [])
    assert b"\n" not in line
    assert orjson.loads(line)["valid"]
    assert parse_record(line) == (value, value, headers, [])


def test_a_pretty_printed_value_stands_on_one_line() -> None:
    """Line feeds between its tokens become blanks, which say the same; the other bytes stay."""
    line = format_record(PLACE, None, b'{\r\n\t"a": "x\\ny"\n}\n', [], [])
    found = parse_record(line)
    assert found is not None
    assert found.value == b'{   "a": "x\\ny" }'


@given(
    PAYLOADS,
    PAYLOADS,
    st.lists(
        st.tuples(
            st.text(max_size=5).map(lambda t: t.encode("utf-8", "replace").decode()), st.none() | st.binary(max_size=5)
        ),
        max_size=3,
    ),
)
def test_any_record_gets_the_same_verdict_from_its_line(
    key: bytes | None, value: bytes | None, headers: list[tuple[str, bytes | None]]
) -> None:
    """Also when the parts are nested, odd or no JSON."""
    found = parse_record(format_record(PLACE, key, value, headers, []))
    assert found is not None
    assert judge_record(found.key, found.value, found.headers).errors == judge_record(key, value, headers).errors


def test_a_line_that_was_reformatted_is_still_read() -> None:
    """By jq, say: blanks after colons, other members in front, headers as an object."""
    line = b' {"note": [1, {"key": 2}], "offset" : 1, "partition":0, "key": "u_1", "value": {"a": 1.50}, "headers": {"t": "x"} } '
    assert parse_record(line) == (b'"u_1"', b'{"a": 1.50}', [("t", b"x")], [])


@pytest.mark.parametrize(
    "line", [b"", b"[]", b"{}", b'{"partition":0}', b'{"partition":0,"offset":1,"key":1', b"\xff", b"{" * 9_000]
)
def test_what_is_no_such_line_is_none(line: bytes) -> None:
    """Never an exception."""
    assert parse_record(line) is None


def test_long_integers_stay_integers() -> None:
    """A parser of 64 bits would make a float of them."""
    assert payload_json(b'{"n":123456789012345678901234}') == {"n": 123456789012345678901234}
    assert payload_json(framing.prefix(b'{"n":1}', 5)) == {"n": 1}
    assert payload_json(b"\xff") == "base64:/w=="
