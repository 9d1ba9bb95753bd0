"""The same seed gives the same bytes, however a world is cut, read, interrupted or shared out."""

import itertools
import random
from typing import Any

import pytest

from clickreel.simulate import parallel
from clickreel.simulate.settings import WorldSettings
from clickreel.simulate.world import World
from tests.simulate.worlds import HOUR_MS, MONDAY_MS, digest, world

SPAN = (MONDAY_MS + 17 * HOUR_MS, MONDAY_MS + 29 * HOUR_MS)
WORLDS: list[dict[str, Any]] = [
    {"users": 3000, "seed": 21},
    {"users": 2000, "seed": 22, "flaws": "late=4%,out_of_order=2%,duplicate=2%,malformed=1%"},
    {"rate": 0.5, "seed": 23, "flaws": "late_batch=5%"},
    {"scenario": "tiny", "users": 15, "round_the_clock": True, "churn": 0.0, "visits_mean": 40.0},
]


@pytest.mark.parametrize("settings", WORLDS)
def test_any_cut_into_blocks_gives_the_same_bytes(settings: dict[str, Any]) -> None:
    """Blocks of any size, each computed alone or read in sequence, laid end to end are the same columns."""
    made = world(**settings)
    whole = digest(made.deliveries(*SPAN))
    rng = random.Random(5)
    for pieces in (3, 17, 60):
        cuts = [SPAN[0], *sorted(rng.sample(range(*SPAN), pieces - 1)), SPAN[1]]
        cursor = made.cursor(SPAN[0])
        assert digest(*(cursor.advance(end) for end in cuts[1:])) == whole, f"{pieces} in sequence"
        if pieces < 60:
            alone = [made.deliveries(a, b) for a, b in itertools.pairwise(cuts)]
            assert digest(*alone) == whole, f"{pieces} alone"


@pytest.mark.parametrize("settings", WORLDS)
def test_a_restart_anywhere_goes_on_with_the_same_bytes(settings: dict[str, Any]) -> None:
    """A new process that starts at a random instant makes what the old one would have made."""
    made = world(**settings)
    whole = digest(made.deliveries(*SPAN))
    rng = random.Random(7)
    for _ in range(3):
        at = rng.randrange(*SPAN)
        before = made.cursor(SPAN[0]).advance(at)
        after = World(WorldSettings(**settings)).cursor(at).advance(SPAN[1])
        assert digest(before, after) == whole, f"restart at {at}"


@pytest.mark.parametrize("piece", [40, 700])
def test_what_lies_before_a_start_is_passed_in_pieces(monkeypatch: pytest.MonkeyPatch, piece: int) -> None:
    """What is still on its way from the hours before arrives, whatever the size of the pieces."""
    monkeypatch.setattr("clickreel.simulate.world._PASSED_AT_ONCE", piece)
    for settings in WORLDS[1:3]:
        made = world(**settings)
        assert digest(made.cursor(SPAN[0]).advance(SPAN[1])) == digest(made.deliveries(*SPAN))


def test_any_number_of_workers_gives_the_same_bytes() -> None:
    """One process or several, the file's content is the same."""
    made = world(users=2000, seed=24, flaws="late=1%,duplicate=1%")
    span = (MONDAY_MS, MONDAY_MS + 60 * HOUR_MS)
    # Three blocks, a day each: four workers are more than have work.
    sums = {workers: digest(*(part for _, part in parallel.each(made, span, _same, workers))) for workers in (1, 2, 4)}
    assert len(set(sums.values())) == 1, sums


def _same(deliveries: Any) -> Any:
    return deliveries


@pytest.mark.parametrize(("batch", "hours"), [(1, 3), (100, 12)])
def test_events_do_not_depend_on_what_is_computed_together(
    monkeypatch: pytest.MonkeyPatch, batch: int, hours: int
) -> None:
    """Episodes expanded one by one, or a few at a time, have the events that they have in large batches."""
    span = (SPAN[0], SPAN[0] + hours * HOUR_MS)
    whole = digest(world(**WORLDS[0]).events(*span))
    again = World(WorldSettings(**WORLDS[0]))  # before: sizing a world expands some 2,000 episodes
    monkeypatch.setattr("clickreel.simulate.timeline._VISITS_AT_ONCE", batch)
    monkeypatch.setattr("clickreel.simulate.ranked_lists._ROWS_AT_ONCE", 7)
    assert digest(again.events(*span)) == whole


def test_a_different_seed_or_setting_gives_another_world_and_another_run() -> None:
    """Runs are named after all that changes an event, and after nothing else."""
    runs = [
        World(WorldSettings(**s)).run for s in ({}, {"seed": 2}, {"churn": 0.1}, {"films": 900}, {"flaws": "late=1%"})
    ]
    assert len(set(runs)) == len(runs)
    named = World(WorldSettings(run="demo"))
    assert named.run == "demo"
    assert named.run_tag != World(WorldSettings()).run_tag
    assert digest(named.events(*_minute())) == digest(World(WorldSettings()).events(*_minute()))


def _minute() -> tuple[int, int]:
    return MONDAY_MS, MONDAY_MS + 60_000
