"""From seeing a film to saving it: how many meetings of a session with a film go how far."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from clickreel.contract.vocabulary import EVENT_TYPES
from clickreel.errors import UsageError
from clickreel.insight.queries import text
from clickreel.insight.window import Window
from clickreel.warehouse.client import Client

# A session lasts at most so long; a step counts when it is taken within this time of the first.
WITHIN_MS = 6 * 3_600_000

# By what a funnel can be split: the value that a meeting of a session with a film has.
PARTS = {
    "device": "any(device)::String",
    "referrer": "anyIf(referrer, event_type = 'view')::String",
    "page": "anyIf(page, event_type = 'view')::String",
    "category": "dictGetOrDefault('dvd_films', 'category', toUInt64(film_id), '')",
    "hour": "formatDateTime(min(event_ts), '%H', 'UTC')",
}


@dataclass(frozen=True)
class FunnelStep:
    """One step of one part.

    Attributes:
        part: The part; empty when the funnel is not split.
        event_type: The step.
        with_event: Meetings that have the event at all.
        reached: Meetings that took every step up to this one, in order.
        sessions: Sessions with such a meeting.
        people: People with such a meeting.
        from_previous: ``reached`` over that of the step before; 1 for the first.
        from_first: ``reached`` over that of the first step.
        after_s: Median time since the first step, seconds.
    """

    part: str
    event_type: str
    with_event: int
    reached: int
    sessions: int
    people: int
    from_previous: float
    from_first: float
    after_s: float


@dataclass(frozen=True)
class Funnel:
    """The steps of a window, part by part."""

    window: Window
    steps: tuple[FunnelStep, ...]

    def as_json(self) -> dict[str, Any]:
        """All of it, for ``--json``."""
        return {"window": self.window.as_json(), "steps": [dataclasses.asdict(step) for step in self.steps]}


def funnel(client: Client, window: Window, *, steps: Sequence[str] = EVENT_TYPES, by: str | None = None) -> Funnel:
    """Count who goes how far.

    Args:
        client: The warehouse.
        window: The window.
        steps: The event types, in the order in which they must come.
        by: A key of :data:`PARTS` to split by.

    Raises:
        UsageError: A step is no event type or comes twice, or ``by`` is unknown.
    """
    unknown = [step for step in steps if step not in EVENT_TYPES]
    if unknown or len(set(steps)) != len(steps) or len(steps) < 2:
        raise UsageError(
            f"the steps are {', '.join(steps) or 'none'}", hint=f"two or more of {', '.join(EVENT_TYPES)}, each once"
        )
    if by is not None and by not in PARTS:
        raise UsageError(f"split by {by!r}", hint=f"one of: {', '.join(PARTS)}")
    conditions = [f"event_type = '{step}'" for step in steps]
    sql = text(
        "funnel",
        group=PARTS[by] if by else "''",
        conditions=", ".join(conditions),
        has=", ".join(f"countIf({condition}) > 0" for condition in conditions),
        first=", ".join(f"toUnixTimestamp64Milli(minIf(event_ts, {condition}))" for condition in conditions),
    )
    rows = client.rows(sql, {**window.parameters, "within_ms": WITHIN_MS})
    found = {(str(part), place): figures for part, place, *figures in rows}
    return Funnel(
        window,
        tuple(
            _step(part, steps[place - 1], [found.get((part, at), _NOBODY) for at in (1, max(place - 1, 1), place)])
            for part in sorted({part for part, _ in found})
            for place in range(1, len(steps) + 1)
        ),
    )


# Meetings with the step, meetings that reached it, sessions, people, seconds.
_NOBODY = (0, 0, 0, 0, 0.0)


def _step(part: str, event_type: str, figures: list[Sequence[Any]]) -> FunnelStep:
    """From the figures of the first step, of the one before, and its own."""
    first, previous, (with_event, reached, sessions, people, after_s) = figures
    return FunnelStep(
        part,
        event_type,
        int(with_event),
        int(reached),
        int(sessions),
        int(people),
        _ratio(reached, previous[1]),
        _ratio(reached, first[1]),
        float(after_s),
    )


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
