"""Funnel, activity and window against counts made by hand or by a slow twin."""

from __future__ import annotations

import numpy as np
import pytest

from clickreel.contract.vocabulary import DEVICES, EVENT_TYPES
from clickreel.errors import ClickreelError, UsageError
from clickreel.insight.activity import activity
from clickreel.insight.funnel import funnel
from clickreel.insight.queries import text
from clickreel.insight.window import window
from clickreel.warehouse.client import Client
from tests.insight.conftest import END_MS, Landed
from tests.insight.landing import DAY_MS, HOUR_MS, land, told

T = END_MS - HOUR_MS
STORY = told(
    # Session 1 goes all the way with film 7, sees film 8 only.
    (T, 1, 1, 7, "view"),
    (T, 1, 1, 8, "view"),
    (T + 10_000, 1, 1, 7, "detail_view"),
    (T + 40_000, 1, 1, 7, "watch_trailer"),
    (T + 60_000, 1, 1, 7, "add_to_watchlist"),
    # Session 2 of the same person: opened twice, saved without a trailer.
    (T + 100_000, 1, 2, 7, "view"),
    (T + 120_000, 1, 2, 7, "detail_view"),
    (T + 125_000, 1, 2, 7, "detail_view"),
    (T + 130_000, 1, 2, 7, "add_to_watchlist"),
    # Session 3: a film opened by its address, without having been seen in a list.
    (T + 200_000, 2, 3, 9, "detail_view"),
)


def test_funnel_counts_the_way_and_the_event(empty: Client) -> None:
    """``reached`` needs every step before; ``with_event`` does not."""
    land(empty, STORY)
    answer = funnel(empty, window(empty, DAY_MS, now_ms=END_MS))
    assert [
        (step.event_type, step.with_event, step.reached, step.sessions, step.people, step.after_s)
        for step in answer.steps
    ] == [
        ("view", 3, 3, 2, 1, 0.0),
        ("detail_view", 3, 2, 2, 1, 15.0),
        ("watch_trailer", 1, 1, 1, 1, 40.0),
        ("add_to_watchlist", 2, 1, 1, 1, 60.0),
    ]
    assert [step.from_previous for step in answer.steps] == [1.0, 2 / 3, 1 / 2, 1.0]
    short = funnel(empty, window(empty, DAY_MS, now_ms=END_MS), steps=("view", "detail_view", "add_to_watchlist"))
    assert [step.reached for step in short.steps] == [3, 2, 2]


def test_funnel_refuses_steps_and_splits_that_are_none(empty: Client) -> None:
    """An unknown step, a repeated one, a single one, an unknown split."""
    land(empty, STORY)
    span = window(empty, DAY_MS, now_ms=END_MS)
    for steps in (("view", "buy"), ("view", "view"), ("view",)):
        with pytest.raises(UsageError, match="the steps are"):
            funnel(empty, span, steps=steps)
    with pytest.raises(UsageError, match="split by 'colour'"):
        funnel(empty, span, by="colour")


@pytest.mark.parametrize("by", ["device", "referrer", "page", "category", "hour"])
def test_parts_of_a_funnel_add_up(landed: Landed, by: str) -> None:
    """Split by anything, the meetings of each step are those of the whole."""
    span = window(landed.client, 2 * DAY_MS, now_ms=END_MS)
    whole = {step.event_type: step.with_event for step in funnel(landed.client, span).steps}
    parts = funnel(landed.client, span, by=by).steps
    assert len({step.part for step in parts}) > 1
    for event_type, count in whole.items():
        assert sum(step.with_event for step in parts if step.event_type == event_type) == count


def test_activity_is_what_a_count_says(landed: Landed) -> None:
    """People, sessions, events and devices of a day, whole and by the hour."""
    events = landed.events
    answer = activity(landed.client, window(landed.client, DAY_MS, now_ms=END_MS, end_ms=END_MS), step_s=3600)
    day = events.take(events.ts_ms >= END_MS - DAY_MS)
    assert answer.total.users == len(set(day.user.tolist()))
    assert answer.total.sessions == len(set(day.session.tolist()))
    assert answer.total.events == len(day)
    kinds = np.bincount(day.event_type, minlength=4).tolist()
    assert [answer.total.views, answer.total.details, answer.total.trailers, answer.total.saved] == [
        kinds[EVENT_TYPES.index(kind)] for kind in ("view", "detail_view", "watch_trailer", "add_to_watchlist")
    ]
    mobile = day.user[day.device == DEVICES.index("mobile")]
    assert answer.total.mobile == len(set(mobile.tolist()))
    for bucket in answer.buckets:
        hour = day.take((day.ts_ms >= bucket.begin_ms) & (day.ts_ms < bucket.begin_ms + HOUR_MS))
        assert (bucket.events, bucket.users) == (len(hour), len(set(hour.user.tolist())))
    assert sum(bucket.events for bucket in answer.buckets) == len(day)
    last = day.take(day.ts_ms >= END_MS - 300_000)
    assert (answer.now.users, answer.now.events) == (len(set(last.user.tolist())), len(last))
    assert answer.sessions.ended + answer.sessions.under_way == answer.total.sessions
    assert answer.sessions.length_s_p50 is not None
    assert answer.sessions.length_s_p95 is not None
    assert 0 < answer.sessions.length_s_p50 < answer.sessions.length_s_p95


def test_the_window_ends_with_the_newest_event_that_is_not_from_the_future(empty: Client) -> None:
    """A stream that stopped is asked about its own last hours; an event from tomorrow moves nothing; no event is told."""
    with pytest.raises(ClickreelError, match="no good event"):
        window(empty, HOUR_MS, now_ms=END_MS)
    land(empty, told((T, 1, 1, 7, "view"), (END_MS + DAY_MS, 1, 1, 7, "view")))
    span = window(empty, HOUR_MS, now_ms=END_MS)
    assert (span.begin_ms, span.end_ms, span.first_ms) == (T + 1 - HOUR_MS, T + 1, T)
    assert window(empty, HOUR_MS, now_ms=END_MS, end_ms=END_MS).end_ms == END_MS


def test_the_span_is_exact_to_the_millisecond_wherever_it_ends(empty: Client) -> None:
    """The end cuts hours with and without events, the hour of the first event included; three inserts, some of them out of order."""
    draws = np.random.default_rng(5)
    at = T - draws.integers(0, 9 * HOUR_MS, 60)
    at = at[(at // HOUR_MS) % 3 != 1]  # hours without an event
    for part in np.array_split(at, 3):
        land(empty, told(*((int(one), 1, 1, 7, "view") for one in part)))
    ends = [*(at + 1).tolist(), *(at - at % HOUR_MS).tolist(), *(at - at % HOUR_MS + HOUR_MS).tolist(), END_MS]
    for end in ends:
        before = at[at < end]
        found = empty.rows(text("span"), {"before_ms": end})
        assert found == [(int(before.min()), int(before.max())) if len(before) else (0, 0)], end


def test_dead_letters_are_not_counted(empty: Client) -> None:
    """A row that broke the contract is in no answer."""
    land(empty, STORY)
    before = activity(empty, window(empty, DAY_MS, now_ms=END_MS)).total
    empty.command(
        "INSERT INTO dvd_clicks_landing (_topic_id, _offset, event_ts, user, event_type, error) "
        f"VALUES ('id', 100, fromUnixTimestamp64Milli({T + 1}), 77, 'view', 'contract')"
    )
    assert activity(empty, window(empty, DAY_MS, now_ms=END_MS)).total == before


def test_sessions_that_have_not_ended_have_no_length(empty: Client) -> None:
    """There is no median of nothing."""
    land(empty, told((T, 1, 1, 7, "view"), (T + 1000, 1, 1, 7, "detail_view")))
    sessions = activity(empty, window(empty, HOUR_MS, now_ms=END_MS)).sessions
    assert (sessions.ended, sessions.under_way) == (0, 1)
    assert (sessions.length_s_p50, sessions.length_s_p95, sessions.events_mean) == (None, None, None)


def test_a_session_that_began_before_the_window_is_counted_and_not_measured(empty: Client) -> None:
    """Its length would be that of the part that the window shows."""
    land(
        empty,
        told(
            (T - 2 * HOUR_MS - 60_000, 1, 1, 7, "view"),
            (T - 2 * HOUR_MS + 60_000, 1, 1, 7, "view"),
            (T - HOUR_MS, 2, 2, 7, "view"),
            (T - HOUR_MS + 30_000, 2, 2, 7, "detail_view"),
            (T - 2 * HOUR_MS - 60_000, 3, 3, 7, "view"),
            (T - 1, 3, 3, 7, "view"),
        ),
    )
    answer = activity(empty, window(empty, 2 * HOUR_MS, now_ms=END_MS, end_ms=T))
    assert (answer.total.sessions, answer.sessions.ended, answer.sessions.under_way) == (3, 2, 1)
    assert (answer.sessions.length_s_p50, answer.sessions.events_mean) == (30.0, 2.0)


def test_a_window_without_events_or_in_the_future_is_refused(empty: Client) -> None:
    """What happened then is not known, which is not the same as nothing."""
    land(empty, STORY)
    with pytest.raises(UsageError, match="begins in the future"):
        window(empty, HOUR_MS, now_ms=END_MS, end_ms=END_MS + 2 * HOUR_MS)
    with pytest.raises(ClickreelError, match="no good event from") as caught:
        window(empty, 1000, now_ms=END_MS, end_ms=END_MS)
    assert "--until" in caught.value.hint
