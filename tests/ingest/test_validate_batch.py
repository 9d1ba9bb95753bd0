"""Framings, schema versions and everything the simulator can break: what is good, and why the rest is not."""

from __future__ import annotations

from typing import Any

import numpy as np
import orjson
import pytest

from clickreel.contract import corrupt, framing, schema
from clickreel.contract.check import check
from clickreel.contract.encode import encode
from clickreel.contract.samples import block
from clickreel.contract.schema import Schema
from clickreel.contract.schema_lookup import SchemaLookup
from clickreel.contract.verdict import Lookup
from clickreel.contract.vocabulary import FLAWS, MALFORMED
from clickreel.ingest.validate_batch import OTHER_WORD, ValidatedBatch, validate_batch
from clickreel.stream.record_batch import Headers, RecordBatch
from tests.ingest.messages import event, message, nobody

OLD, CURRENT, NEW = 4, 5, 6


def newer() -> Schema:
    """A next version: one more field, one more device."""
    body: dict[str, Any] = orjson.loads(schema.current("value").text)
    body["properties"]["campaign"] = {"type": "string"}
    body["properties"]["device"]["enum"].append("smart_tv")
    return Schema("dvd_clicks-value", 6, orjson.dumps(body).decode(), NEW)


def registry(named: int | str) -> Schema | None:
    """Knows three versions by their numbers."""
    known: dict[int | str, Schema] = {OLD: schema.version("value", 4), CURRENT: schema.current("value"), NEW: newer()}
    return known.get(named)


def one(
    value: bytes | None, key: bytes | None = None, headers: Headers = (), lookup: Lookup = registry
) -> ValidatedBatch:
    """One message, validated."""
    key = message(1)[0] if key is None else key
    found = {0: headers} if headers else {}
    return validate_batch(RecordBatch.from_values(0, np.array([7]), np.array([0]), [key], [value], found), lookup)


def why(validated: ValidatedBatch) -> tuple[str, str, str] | None:
    """Why it is dead."""
    dead = validated.dead.get(0)
    return None if dead is None else (dead.error, dead.field, dead.rule)


def framed(value: bytes, version: int, how: str) -> tuple[bytes, Headers]:
    """A value that names its schema."""
    if how == "prefix":
        return framing.prefix(value, version), ()
    return value, [("__value_schema_id", b"\0" + version.to_bytes(4, "big"))]


@pytest.mark.parametrize("flaw", MALFORMED)
def test_every_malformed_kind_is_dead_for_its_reason(flaw: str) -> None:
    """Field and rule are those that the ledger's `reason` gives, and those of the check of a single message."""
    deliveries = block(300, seed=3, flaw=flaw)
    encoded = encode(deliveries)
    keys, values = encoded.keys.to_pylist(), encoded.values.to_pylist()
    validated = validate_batch(
        RecordBatch.from_values(0, np.arange(300), np.zeros(300, np.int64), keys, values), nobody
    )
    expected = {row: corrupt.reason(flaw, int(deliveries.variant[row])) for row in range(300)}
    assert {row: (dead.field, dead.rule) for row, dead in validated.dead.items()} == expected
    for row in range(0, 300, 29):
        violation = check(keys[row], values[row])
        assert violation is not None
        assert (violation.field, violation.rule, violation.text) == (
            validated.dead[row].field,
            validated.dead[row].rule,
            validated.dead[row].reason,
        )


@pytest.mark.parametrize("flaw", [flaw for flaw in FLAWS if flaw not in MALFORMED])
def test_every_other_flaw_is_good(flaw: str) -> None:
    """Late, out of order and duplicate events keep the contract."""
    encoded = encode(block(200, seed=4, flaw=flaw))
    batch = RecordBatch.from_values(
        0, np.arange(200), np.zeros(200, np.int64), encoded.keys.to_pylist(), encoded.values.to_pylist()
    )
    assert validate_batch(batch, nobody).dead == {}


@pytest.mark.parametrize("how", ["prefix", "header"])
@pytest.mark.parametrize("version", [OLD, CURRENT, NEW])
def test_a_message_that_names_its_schema_is_good(how: str, version: int) -> None:
    """In front or in a header, old or new."""
    validated = one(*_framed_args(orjson.dumps(event(1)), version, how))
    assert why(validated) is None
    assert validated.decoded.film[0] == event(1)["film_id"]


def _framed_args(value: bytes, version: int, how: str) -> tuple[bytes, None, Headers]:
    data, headers = framed(value, version, how)
    return data, None, headers


def test_a_new_schemas_field_and_word_are_kept() -> None:
    """They have no column and no code, and are not lost."""
    validated = one(*_framed_args(orjson.dumps(event(1, campaign="xmas", device="smart_tv")), NEW, "prefix"))
    assert why(validated) is None
    assert validated.extra == {0: b'{"campaign":"xmas"}'}
    assert validated.words == {0: {"device": "smart_tv"}}
    assert validated.decoded.device[0] == OTHER_WORD


def test_an_old_schemas_numbers_may_be_written_as_fractions() -> None:
    """331.0 is an integer in JSON Schema."""
    validated = one(*_framed_args(orjson.dumps(event(1, film_id=331.0)), OLD, "header"))
    assert (why(validated), validated.decoded.film[0]) == (None, 331)


def test_what_an_old_schema_allows_and_no_column_holds_is_dead() -> None:
    """The old schema requires nothing."""
    broken = event(1)
    del broken["session_id"]
    assert why(one(*_framed_args(orjson.dumps(broken), OLD, "prefix"))) == ("contract", "session_id", "required")
    assert why(one(*_framed_args(orjson.dumps(event(1, position=2.5)), OLD, "prefix"))) == (
        "contract",
        "position",
        "type",
    )


def test_a_message_must_keep_the_schema_that_it_names() -> None:
    """A word of the new schema is not one of the current."""
    value = orjson.dumps(event(1, device="smart_tv"))
    assert why(one(*_framed_args(value, CURRENT, "prefix"))) == ("contract", "device", "enum")
    assert why(one(value)) == ("contract", "device", "enum")


def test_an_unknown_schema_is_told_apart() -> None:
    """A replay after its registration can bring such a message to life; a good message needs no registry."""
    assert why(one(framing.prefix(orjson.dumps(event(1, campaign="x")), 99))) == (
        "schema",
        "campaign",
        "additionalProperties",
    )
    assert why(one(framing.prefix(orjson.dumps(event(1)), 99))) is None


def test_damaged_frames_are_dead() -> None:
    """A prefix shorter than itself, a header of no known form."""
    assert why(one(b"\0\0\1")) == ("contract", "value", "framing")
    assert why(one(message(1)[1], headers=[("__value_schema_id", b"\7oops")])) == ("contract", "value", "framing")


def test_other_headers_say_nothing() -> None:
    """A trace id does not matter, nor does a null header."""
    assert why(one(message(1)[1], headers=[("trace", b"\0"), ("empty", None)])) is None


def test_a_registry_is_asked_once_for_what_it_does_not_know() -> None:
    """Not once for every message."""
    asked: list[int | str] = []

    def ask(named: int | str) -> str | None:
        asked.append(named)
        return None

    lookup = SchemaLookup(ask, "dvd_clicks")
    assert [lookup(8), lookup(8), lookup(9)] == [None, None, None]
    assert asked == [8, 9]
