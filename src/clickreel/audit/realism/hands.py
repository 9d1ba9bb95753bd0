"""R16 and R17: what hands can do, and what lists look like."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from clickreel.audit.realism.bands import Band, Evidence, Measurement, RealismTest, ratio
from clickreel.audit.realism.columns import DAY_MS, HOUR_MS, EventTable
from clickreel.contract.vocabulary import EVENT_TYPES, PAGES

VIEW, DETAIL = EVENT_TYPES.index("view"), EVENT_TYPES.index("detail_view")
HOME = PAGES.index("home")
REACTION_MS = 250
_SHOWN_MIN = 1000  # views at a rank, for the next one's share to say something
_FIRST_FILMS = 5
_HOUR_SHOWN_MIN = 30  # views of an hour, for its films to be compared with the next hour's


def _within(timeline: EventTable) -> NDArray[np.intp]:
    """Rows that are followed by another row of the same session."""
    return np.flatnonzero(timeline.session[1:] == timeline.session[:-1])


def hands(evidence: Evidence) -> Measurement:
    """R16: reaction times, screens, and the way through a list."""
    timeline = evidence.timeline
    rows = _within(timeline)
    gap, kind = np.diff(timeline.ts_ms)[rows], timeline.event_type
    clicks = kind[rows + 1] == DETAIL
    views = kind[rows + 1] == VIEW
    both = views & (kind[rows] == VIEW) & (timeline.page[rows] == timeline.page[rows + 1])
    step = timeline.position[rows + 1].astype(np.int64) - timeline.position[rows]
    after = kind[rows] != VIEW
    back = after & (clicks | views) & (timeline.page[rows + 1] != timeline.page[rows]) | (after & clicks)
    values = {
        "clicks under 250 ms": ratio((gap[clicks] < REACTION_MS).sum(), clicks.sum()),
        "views with others": ratio((gap[both] < REACTION_MS).sum(), views.sum()),
        "next rank": ratio((step[both] == 1).sum(), both.sum()),
    }
    return Measurement(
        values, f"back to a list or on to another film after a page: {ratio(back.sum(), after.sum()):.2f}"
    )


def rank_edge(timeline: EventTable) -> float:
    """The largest rise of the number of views from one rank to the next, from rank 3 on: a list that ends heaps them."""
    counts = np.bincount(timeline.position[timeline.event_type == VIEW].astype(np.int64))
    rises = [ratio(counts[rank + 1], counts[rank]) for rank in range(3, len(counts) - 1) if counts[rank] >= _SHOWN_MIN]
    return max(rises, default=float("nan"))


def distinct_lists(timeline: EventTable) -> tuple[float, float]:
    """Of the home lists that were seen down to rank 5: the share of lists that nobody else was shown, and the share one's last visit had as well."""
    views = np.flatnonzero((timeline.event_type == VIEW) & (timeline.page == HOME))
    if len(views) < _FIRST_FILMS:
        return float("nan"), float("nan")
    position, session = timeline.position[views], timeline.session[views]
    first = np.flatnonzero(position[: 1 - _FIRST_FILMS] == 1)
    for place in range(1, _FIRST_FILMS):
        at = first + place
        first = first[(position[at] == place + 1) & (session[at] == session[first])]
    if len(first) == 0:
        return float("nan"), float("nan")
    code = np.zeros(len(first), np.int64)
    for place in range(_FIRST_FILMS):
        code = code * 100_003 + timeline.film[views[first + place]]
    user = timeline.user[views[first]]
    order = np.lexsort((user, code))
    ordered, whose = code[order], user[order]
    begins = np.concatenate([[0], np.flatnonzero(ordered[1:] != ordered[:-1]) + 1])
    alone = np.minimum.reduceat(whose, begins) == np.maximum.reduceat(whose, begins)
    times = np.diff(np.append(begins, len(order)))
    before = (user[1:] == user[:-1]) & (session[first[1:]] != session[first[:-1]])
    same = ratio((code[1:] == code[:-1])[before].sum(), before.sum())
    return ratio(times[alone].sum(), times.sum()), same


def midnight_step(timeline: EventTable) -> float:
    """How much the films of home lists change over 00 UTC, over how much they change over another hour: chance alone gives 1."""
    views = np.flatnonzero((timeline.event_type == VIEW) & (timeline.page == HOME))
    hour = (timeline.ts_ms[views] - timeline.first_ms // DAY_MS * DAY_MS) // HOUR_MS
    films, days = len(timeline.films), int(hour.max()) // 24 + 1 if len(hour) else 0
    top = np.argsort(-np.bincount(timeline.film[views], minlength=films), kind="stable")[:100]
    place = np.full(films, -1)
    place[top] = np.arange(len(top))
    kept = place[timeline.film[views]] >= 0
    cells = hour[kept] * len(top) + place[timeline.film[views][kept]]
    counts = np.bincount(cells, minlength=days * 24 * len(top)).reshape(days * 24, len(top)).astype(np.float64)
    before, after = counts[:-1], counts[1:]
    both = np.minimum(before.sum(axis=1), after.sum(axis=1)) >= _HOUR_SHOWN_MIN
    total = before.sum(axis=1, keepdims=True) + after.sum(axis=1, keepdims=True)
    expected = (before + after) * before.sum(axis=1, keepdims=True) / np.maximum(total, 1)
    other = (before + after) - expected
    change = ((before - expected) ** 2 / np.maximum(expected, 1e-9)).sum(axis=1)
    change += ((after - other) ** 2 / np.maximum(other, 1e-9)).sum(axis=1)
    at = (np.arange(len(before)) + 1) % 24 == 0
    if not (both & at).any() or not (both & ~at).any():
        return float("nan")
    return ratio(float(change[both & at].mean()), float(change[both & ~at].mean()))


def lists(evidence: Evidence) -> Measurement:
    """R17: no edge, hardly two alike, renewed at any hour."""
    unique, same = distinct_lists(evidence.timeline)
    values = {
        "rise at a rank": rank_edge(evidence.timeline),
        "unique home lists": unique,
        "as at the last visit": same,
        "change at midnight": midnight_step(evidence.timeline),
    }
    return Measurement(values, "home lists by their first five films; the hundred films shown most, hour by hour")


TESTS = (
    RealismTest(
        "R16",
        "hands",
        (
            Band("clicks under 250 ms", None, 0.005),
            Band("views with others", 0.3, assumed=True),
            Band("next rank", 0.8, 0.995, assumed=True),
        ),
        "simple reaction time about 250 ms (Woods et al. 2015); screens and skips: cascade of Craswell et al., WSDM 2008 [A]",
        hands,
    ),
    RealismTest(
        "R17",
        "lists",
        (
            Band("rise at a rank", None, 1.25, assumed=True),
            Band("unique home lists", 0.8, assumed=True),
            Band("as at the last visit", None, 0.5, assumed=True),
            Band("change at midnight", None, 1.5, assumed=True),
        ),
        "personal lists (Gomez-Uribe, Hunt 2015); chance gives 1 at midnight [A]",
        lists,
    ),
)
