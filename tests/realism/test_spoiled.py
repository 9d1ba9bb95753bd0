"""A world of 1.3 M events is spoiled in one respect at a time: the test for it must fall out, having held before."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from clickreel.audit.realism import TESTS, Columns, Evidence, RealismResult, timeline
from clickreel.audit.realism.columns import DAY_MS, HOUR_MS
from clickreel.audit.realism.world_columns import columns_of_world, ledger_of_world, weeks
from clickreel.contract.vocabulary import EVENT_TYPES, PAGES
from clickreel.simulate.settings import WorldSettings
from clickreel.simulate.world import World

VIEW, DETAIL = EVENT_TYPES.index("view"), EVENT_TYPES.index("detail_view")
Spoil = Callable[[Columns, np.random.Generator], dict[str, Any]]


class JudgedWorld:
    """5,000 people, 28 days, with their ledger.

    Attributes:
        evidence: The world as it is.
    """

    def __init__(self) -> None:
        made = World(WorldSettings(users=5_000))
        span = weeks(28)
        columns = columns_of_world(made, *span)
        self.evidence = Evidence(columns, timeline(columns), ledger_of_world(made, *span))
        self._spoiled: tuple[Spoil, Evidence] | None = None

    def spoiled(self, spoil: Spoil) -> Evidence:
        """The world without one respect; the last one is kept, for sorting a million events costs more than most tests."""
        if self._spoiled is None or self._spoiled[0] is not spoil:
            columns = self.evidence.columns
            changed = replace(columns, **spoil(columns, np.random.default_rng(21)))
            self._spoiled = spoil, Evidence(changed, timeline(changed), self.evidence.ledger)
        return self._spoiled[1]


@pytest.fixture(scope="module")
def world() -> JudgedWorld:
    """The world that is spoiled."""
    return JudgedWorld()


def _outside(evidence: Evidence, test_id: str) -> tuple[str, ...]:
    test = next(test for test in TESTS if test.id == test_id)
    return RealismResult(test, test.function(evidence)).outside()


def _split_sessions(columns: Columns, rng: np.random.Generator) -> dict[str, Any]:
    """Sessions of at most two interactions: every event draws one of two ids beside its own."""
    return {"session": columns.session ^ rng.integers(0, 32, len(columns), dtype=np.uint32)}


def _even_gaps(columns: Columns, rng: np.random.Generator) -> dict[str, Any]:
    """All events of a session ten seconds apart."""
    del rng
    order = np.lexsort((columns.ts_ms, columns.session))
    session = columns.session[order]
    new = np.concatenate([[True], session[1:] != session[:-1]])
    first = np.maximum.accumulate(np.where(new, np.arange(len(order)), 0))
    ts_ms = np.empty_like(columns.ts_ms)
    ts_ms[order] = columns.ts_ms[order][first] + (np.arange(len(order)) - first) * 10_000
    return {"ts_ms": ts_ms}


def _new_users(columns: Columns, rng: np.random.Generator) -> dict[str, Any]:
    """Each session belongs to a person drawn evenly."""
    bits, place = np.unique(columns.session, return_inverse=True)
    return {"user": rng.integers(1, 5_001, len(bits), dtype=np.uint32)[place]}


@functools.cache
def _shuffled(name: str) -> Spoil:
    """One column in random order."""
    return lambda columns, rng: {name: rng.permutation(getattr(columns, name))}


def _even_films(columns: Columns, rng: np.random.Generator) -> dict[str, Any]:
    return {"film": rng.integers(1, 1001, len(columns), dtype=np.int32)}


def _opened_films_dealt_out(columns: Columns, rng: np.random.Generator) -> dict[str, Any]:
    """Who opened what is lost, how often each film was opened is kept."""
    film = columns.film.copy()
    opened = np.flatnonzero(columns.event_type == DETAIL)
    film[opened] = rng.permutation(film[opened])
    return {"film": film}


def _round_the_clock(columns: Columns, rng: np.random.Generator) -> dict[str, Any]:
    """Each session is moved by some hours."""
    bits, place = np.unique(columns.session, return_inverse=True)
    return {"ts_ms": columns.ts_ms + rng.integers(0, DAY_MS, len(bits))[place]}


def _in_bunches(columns: Columns, rng: np.random.Generator) -> dict[str, Any]:
    """Sessions start on the full hour."""
    del rng
    return {"ts_ms": columns.ts_ms // HOUR_MS * HOUR_MS}


def _any_day(columns: Columns, rng: np.random.Generator) -> dict[str, Any]:
    """Each session is moved by some whole weeks and days, so that no day is busier than others of its weekday."""
    bits, place = np.unique(columns.session, return_inverse=True)
    day = columns.ts_ms.min() // DAY_MS
    first = np.full(len(bits), np.iinfo(np.int64).max)
    np.minimum.at(first, place, columns.ts_ms)
    moved = (rng.integers(0, 28, len(bits)) - (first // DAY_MS - day)) * DAY_MS
    return {"ts_ms": columns.ts_ms + moved[place]}


def _one_list(columns: Columns, rng: np.random.Generator) -> dict[str, Any]:
    """The home list is the same for everybody."""
    del rng
    home = (columns.page == PAGES.index("home")) & (columns.event_type == VIEW)
    return {"film": np.where(home, columns.position, columns.film).astype(np.int32)}


def _ids_with_gaps(columns: Columns, rng: np.random.Generator) -> dict[str, Any]:
    """Numbers tell more than how many there are."""
    del rng
    return {"user": columns.user * np.uint32(50)}


# Neighbours are spoiled alike.
SPOILED: tuple[tuple[str, str, Spoil, str], ...] = (
    ("R4", "all are equally active", _new_users, "p95/p50"),
    ("R14", "nobody comes back soon", _new_users, "back within 30-60 min"),
    ("R20", "visits are anybody's", _new_users, "burstiness"),
    ("R24", "no bots", _new_users, "machines' events"),
    ("R3", "events come evenly", _even_gaps, "k home"),
    ("R16", "films appear one by one", _even_gaps, "views with others"),
    ("R23", "all have one pace", _even_gaps, "own pace"),
    ("R1", "sessions are cut to pieces", _split_sessions, "mean"),
    ("R2", "sessions ignore time", _split_sessions, "agreement"),
    ("R5", "all films are equally popular", _even_films, "top 1% share"),
    ("R9", "nobody has favourites", _even_films, "repeat in history"),
    ("R10", "nobody has taste", _opened_films_dealt_out, "lift"),
    ("R15", "no interest lasts", _opened_films_dealt_out, "hit@20 lag 1 / lag 6"),
    ("R7", "events have no order", _shuffled("event_type"), "preceded by a view"),
    ("R18", "one coin for all", _shuffled("event_type"), "clicks by person"),
    ("R6", "the rank means nothing", _shuffled("position"), "slope"),
    ("R8", "nobody sleeps", _round_the_clock, "peak/trough"),
    ("R8", "sessions come in bunches", _in_bunches, "dispersion"),
    ("R12", "devices change", _shuffled("device"), "device changes"),
    ("R12", "referrers change", _shuffled("referrer"), "one referrer"),
    ("R17", "all see the same list", _one_list, "unique home lists"),
    ("R21", "all days are alike", _any_day, "days var/mean"),
    ("R22", "ids leak", _ids_with_gaps, "largest id / people"),
)


@pytest.mark.parametrize(
    ("test_id", "what", "spoil", "figure"), SPOILED, ids=[f"{row[0]}: {row[1]}" for row in SPOILED]
)
def test_a_world_spoiled_in_one_respect_falls_out(
    world: JudgedWorld, test_id: str, what: str, spoil: Spoil, figure: str
) -> None:
    """The figure held before."""
    del what
    assert figure in _outside(world.spoiled(spoil), test_id)
    assert _outside(world.evidence, test_id) == ()


def test_a_ledger_of_other_films_finds_no_burst(world: JudgedWorld) -> None:
    """R13: the bursts are there, but not where this ledger has them."""
    ledger = world.evidence.ledger
    assert ledger is not None
    bursts = replace(ledger.bursts, film=ledger.bursts.film % 1000 + 1)
    launches = replace(ledger.launches, film=ledger.launches.film % 1000 + 1)
    assert "precision" not in _outside(world.evidence, "R13")
    other = replace(world.evidence, ledger=replace(ledger, bursts=bursts, launches=launches))
    assert {"recall", "precision"} <= set(_outside(other, "R13"))


def test_an_event_delivered_late_that_the_ledger_does_not_know_is_found(world: JudgedWorld) -> None:
    """R11: one in a million."""
    columns = world.evidence.columns
    order = np.arange(len(columns))
    order[[1000, 5000]] = order[[5000, 1000]]
    moved = replace(columns, **{name: getattr(columns, name)[order] for name in ("ts_ms", "id_hi", "id_lo")})
    assert _outside(world.evidence, "R11") == ()
    assert "not in both" in _outside(Evidence(moved, timeline(moved), world.evidence.ledger), "R11")
