import json
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from hypothesis import example, given, settings
from hypothesis import strategies as st

from clickreel.contract.check import check
from clickreel.contract.decode import _DTYPES, _columns
from clickreel.contract.encode import Decoded, decode, encode
from clickreel.contract.rules import Violation
from clickreel.contract.samples import block
from clickreel.contract.vocabulary import FIELDS, FLAWS, MALFORMED
from clickreel.events import Deliveries
from tests.contract.blocks import plain

GOOD_KEY, GOOD_VALUE = plain(block(1, seed=4), 0)
GOOD = json.loads(GOOD_VALUE)


def columns(values: Sequence[bytes | None], keys: Sequence[bytes | None]) -> Decoded:
    """Decode messages given as Python bytes."""
    return decode(pa.array(values, pa.binary()), pa.array(keys, pa.binary()))


def agrees(values: Sequence[bytes | None], keys: Sequence[bytes | None]) -> None:
    """Decode and check are of one mind on every message, whatever stands beside it."""
    decoded = columns(values, keys)
    for row, (key, value) in enumerate(zip(keys, values, strict=True)):
        assert check(key, value) == decoded.violations.get(row), (key, value)
        assert decoded.valid[row] == (row not in decoded.violations)
        event = json.loads(value) if decoded.valid[row] and value and value[:1] != b"\0" else None
        if event:
            assert {name: int(getattr(decoded, name)[row]) for name in _DTYPES} == _columns(event)


def same(decoded: Decoded, deliveries: Deliveries) -> None:
    """The columns hold the block's events, all valid."""
    events = deliveries.events
    assert decoded.valid.all()
    assert decoded.violations == {}
    assert np.array_equal(decoded.id_hi, deliveries.id_hi)
    assert np.array_equal(decoded.id_lo, deliveries.id_lo)
    for name in ("ts_ms", "user", "session", "film", "event_type", "page", "position", "device", "referrer"):
        assert np.array_equal(getattr(decoded, name), getattr(events, name)), name


@given(rows=st.integers(0, 80), seed=st.integers(0, 2**32))
def test_what_was_encoded_is_decoded(rows: int, seed: int) -> None:
    """decode(encode(block)) is the block."""
    deliveries = block(rows, seed)
    encoded = encode(deliveries)
    same(decode(encoded.values, encoded.keys), deliveries)


def test_a_long_block_is_decoded_in_any_arrow_form() -> None:
    """Slices, chunks, large offsets and text columns hold the same events."""
    deliveries = block(40_000, seed=1)
    encoded = encode(deliveries)
    keys, values = encoded.keys, encoded.values
    same(decode(values.cast(pa.large_binary()), keys.cast(pa.string())), deliveries)
    same(decode(values.slice(100, 33_000), keys.slice(100, 33_000)), deliveries.take(slice(100, 33_100)))
    chunked = pa.chunked_array([values.slice(0, 5), values.slice(5)])
    same(decode(chunked, pa.chunked_array([keys])), deliveries)


def test_the_other_spellings_are_decoded_too() -> None:
    """Blanks, another order of fields, escapes, 331.0 and the five-byte prefix change nothing about an event."""
    deliveries = block(6, seed=2)
    rows = [plain(deliveries, row) for row in range(6)]
    keys = [key for key, _ in rows]
    events = [json.loads(value) for _, value in rows]
    values = [
        json.dumps(events[0]).encode(),
        json.dumps(events[1], indent=2).encode(),
        json.dumps(dict(reversed(events[2].items()))).encode(),
        rows[3][1].replace(b'"s_', b'"\\u0073_'),
        b"\0\0\0\0\7" + rows[4][1],
        json.dumps(events[5] | {"film_id": float(events[5]["film_id"])}).encode(),
    ]
    keys[4] = b"\0\0\0\0\6" + keys[4]
    same(columns(list(values), list(keys)), deliveries)


def test_the_quick_way_reads_both_spellings() -> None:
    """A block in either spelling needs no scalar row; without this the decoder would still be right, and 10 times slower."""
    from clickreel.contract import decode as module

    deliveries = block(500, seed=9)
    rows = [plain(deliveries, row) for row in range(500)]
    keys = module._Bytes.from_arrow(pa.array([key for key, _ in rows], pa.binary()))
    compact = module._Bytes.from_arrow(pa.array([value for _, value in rows], pa.binary()))
    spaced = module._Bytes.from_arrow(
        pa.array([json.dumps(json.loads(value)).encode() for _, value in rows], pa.binary())
    )
    assert module._read(compact, keys, np.arange(500), module._COMPACT)[1].all()
    assert module._read(spaced, keys, np.arange(500), module._SPACED)[1].all()


def test_malformed_rows_among_good_ones() -> None:
    """Each malformed row has its violation, each other row its event."""
    deliveries = block(8_000, seed=6, flaw=None)
    encoded = encode(deliveries)
    decoded = decode(encoded.values, encoded.keys)
    malformed = deliveries.flaw >= FLAWS.index(MALFORMED[0])
    assert np.array_equal(decoded.valid, ~malformed)
    assert sorted(decoded.violations) == np.flatnonzero(malformed).tolist()
    agrees(encoded.values.to_pylist(), encoded.keys.to_pylist())


def test_nulls_are_violations() -> None:
    """A tombstone or a message without a key is a violation at its place."""
    agrees([None, GOOD_VALUE, GOOD_VALUE, None, GOOD_VALUE], [GOOD_KEY, None, GOOD_KEY, None, GOOD_KEY])
    assert columns([None], [GOOD_KEY]).violations == {0: Violation("value", "type", "value is null")}
    agrees([], [])


def test_a_message_cut_in_two_is_not_read_across_the_cut() -> None:
    """What stands behind a row in the buffer, be it the very rest of its message, is not part of it."""
    whole = [GOOD_VALUE, json.dumps(GOOD).encode()]
    cut = [(good[:at], good[at:]) for good in whole for at in range(len(good) + 1)]
    for first, rest in cut:
        agrees([first, rest], [GOOD_KEY, GOOD_KEY])
        values = pa.array([first, rest], pa.binary()).slice(0, 1)
        assert decode(values, pa.array([GOOD_KEY], pa.binary())).valid.tolist() == [rest == b""]
    agrees([part for parts in cut for part in parts] + [GOOD_VALUE], [GOOD_KEY] * (2 * len(cut) + 1))
    keys = pa.array([GOOD_KEY[:3], GOOD_KEY[3:]], pa.binary()).slice(0, 1)
    assert not decode(pa.array([GOOD_VALUE], pa.binary()), keys).valid[0]


def test_every_message_one_byte_away_from_a_good_one() -> None:
    """Each byte replaced by each kind of byte, left out, or doubled, in both spellings: decode and check agree on all."""
    values: list[bytes | None] = []
    for good in (GOOD_VALUE, json.dumps(GOOD).encode()):
        for at in range(len(good)):
            values += [good[:at] + bytes([other]) + good[at + 1 :] for other in b'\0 ",-.09:\\afg{}\xff']
            values += [good[:at] + good[at + 1 :], good[: at + 1] + good[at:]]
    agrees(values, [GOOD_KEY] * len(values))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS) | st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=8,
)


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A good value with a few bytes cut out, put in, doubled or replaced."""
    data = bytearray(draw(st.sampled_from([GOOD_VALUE, json.dumps(GOOD).encode(), b"\0\0\0\0\1" + GOOD_VALUE])))
    for _ in range(draw(st.integers(1, 3))):
        at, length = draw(st.integers(0, len(data))), draw(st.integers(0, 6))
        data[at : at + length] = draw(
            st.binary(max_size=6)
            | st.sampled_from(
                [b'"', b"\\", b"0", b"9" * 9, b"{", b"}", b",", b'","', b"\xc3\xa9", b"e5", b".0", b"-", b"\n"]
            )
        )
    return bytes(data)


@st.composite
def edited(draw: st.DrawFn) -> bytes:
    """A good event with some fields replaced by any JSON, dropped, added or repeated."""
    event = dict(GOOD)
    for field in draw(st.lists(st.sampled_from(FIELDS), max_size=2)):
        event[field] = draw(JSON)
    for field in draw(st.lists(st.sampled_from((*FIELDS, "colour", "")), max_size=1)):
        if field in event:
            del event[field]
        else:
            event[field] = draw(JSON)
    text = json.dumps(event, separators=draw(st.sampled_from([(",", ":"), (", ", ": "), (" ,", " :")])))
    if draw(st.booleans()):
        text = text[:-1] + f',"{draw(st.sampled_from(FIELDS))}":{json.dumps(draw(JSON))}}}'
    return text.encode(errors="surrogatepass")


@settings(max_examples=400)
@given(
    values=st.lists(
        mutated() | edited() | st.binary(max_size=40) | JSON.map(lambda x: json.dumps(x).encode()), max_size=6
    ),
    key=st.sampled_from([GOOD_KEY, b'"u_1"', b'"u_01"', b"\0\0\0\0\1" + GOOD_KEY, b"\0\0"]) | st.binary(max_size=12),
)
@example(
    values=[b"[" * 5000, b'{"a":' * 5000, GOOD_VALUE[:-1] + b',"page":' + b"[" * 900 + b"]" * 900 + b"}"], key=GOOD_KEY
)
@example(values=[GOOD_VALUE.replace(b'"film_id":', b'"film_id":' + b"9" * 5000 + b',"film_id":')], key=GOOD_KEY)
@example(values=[b"\xef\xbb\xbf" + GOOD_VALUE, b"\xff\xfe", b"\0", b"\0\0\0\0\1", b"", b'"\\ud800"'], key=GOOD_KEY)
def test_hostile_bytes_never_raise_and_both_ways_agree(values: list[bytes], key: bytes) -> None:
    """Whatever the bytes are: no exception, and decode and check say the same."""
    agrees([GOOD_VALUE, *values, GOOD_VALUE], [GOOD_KEY, *[key] * len(values), GOOD_KEY])
    agrees(list(values), [GOOD_KEY] * len(values))
