"""The filter's language: small, safe, and clear about what it does not take."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clickreel.contract.vocabulary import FIELDS
from clickreel.errors import UsageError
from clickreel.stream.filter_expression import compile_filter
from tests.sample_event import SAMPLE_EVENT

# Without two fields, which are null then.
EVENT: dict[str, Any] = {
    **{name: cell for name, cell in SAMPLE_EVENT.items() if name not in {"session_id", "referrer"}},
    "partition": 3,
    "offset": 17,
    "valid": True,
    "key": "u_10",
}


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("event_type == 'view'", True),
        ("event_type == 'view' and position <= 3", False),
        ("event_type == 'view' and (position <= 3 or device == 'tablet')", True),
        ("not event_type == 'view'", False),
        ("user_id in ('u_1', 'u_10')", True),
        ("user_id not in ['u_1', 'u_10']", False),
        ("3 < position < 10", True),
        ("position % 2 == 1 and partition + 1 == 4", True),
        ("position == -9", False),
        ("startswith(event_ts, '2025-12') and contains(page, 'row') and length(user_id) == 4", True),
        ("event_ts >= '2025-12-27 12:00' and event_ts < '2025-12-27 13'", True),
        ("valid", True),
        ("valid == false", False),
        ("referrer is null", True),
        ("referrer == 'search'", False),
        ("offset == 17", True),
    ],
)
def test_it_says_which_messages_are_wanted(text: str, wanted: bool) -> None:
    """Comparisons, logic, membership, a little arithmetic, a few functions of texts."""
    assert compile_filter(text, tuple(FIELDS))(EVENT) is wanted


@pytest.mark.parametrize(
    "text", ["position < 'x'", "referrer < 5", "startswith(position, 'x')", "position % 0 == 1", "lower(valid) == 'x'"]
)
def test_a_comparison_without_sense_is_false_for_that_message(text: str) -> None:
    """As in SQL: one odd message does not end the search, and does not spoil the other side of an or."""
    assert compile_filter(text, tuple(FIELDS))(EVENT) is False
    assert compile_filter(f"{text} or position == 9", tuple(FIELDS))(EVENT) is True


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("evnt_type == 'view'", "there is no field 'evnt_type', did you mean 'event_type'?"),
        ("event_type = 'view'", "is no expression"),
        ("", "is no expression"),
        ("event_type == view", "there is no field 'view'"),
        ("__import__('os').system('true')", "is not allowed"),
        ("event_id.upper() == 'X'", "is not allowed"),
        ("open('/etc/passwd')", "is not allowed"),
        ("[x for x in key]", "is not allowed"),
        ("position ** 9999999", "is not allowed"),
        ("'a' * 99", "is not allowed"),
        ("lambda: 1", "is not allowed"),
        ("startswith(page)", "startswith() takes 2 values, not 1"),
        ("f'{key}' == 'x'", "is not allowed"),
        ("key[0] == 'u'", "is not allowed"),
        ("not " * 60 + "valid", "nested too deeply"),
        ("1 + " * 700 + "1", "characters long"),
    ],
)
def test_what_it_does_not_take_is_said(text: str, says: str) -> None:
    """With the part at fault, and what is allowed."""
    with pytest.raises(UsageError) as caught:
        compile_filter(text, tuple(FIELDS))
    assert says in caught.value.message
    assert caught.value.hint


@given(st.text(max_size=60))
def test_any_text_is_either_a_filter_or_a_clear_refusal(text: str) -> None:
    """Never another exception, neither when it is compiled nor when it is asked."""
    try:
        wanted = compile_filter(text, tuple(FIELDS))
    except UsageError:
        return
    assert wanted(EVENT) in {True, False}
