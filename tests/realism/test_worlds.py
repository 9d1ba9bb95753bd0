from pathlib import Path

import numpy as np
import pytest

from clickreel.audit.realism import MinimumSize, score, timeline
from clickreel.audit.realism.world_columns import (
    MARKS,
    Medians,
    columns_of_world,
    ledger_of_saved_run,
    ledger_of_world,
    seeds_of,
    weeks,
    write_between_marks,
)
from clickreel.errors import UsageError
from clickreel.simulate.settings import WorldSettings
from clickreel.simulate.world import World
from clickreel.stream import saved_runs
from clickreel.stream.produce_request import ProduceStats
from tests.realism.naive import naive


@pytest.fixture(scope="module")
def medians() -> Medians:
    """Two naive seeds."""
    return Medians((1, 2), tuple(score(naive(20_000, seed=seed), floor=MinimumSize(0, 0, 0)) for seed in (1, 2)))


def test_a_world_and_its_ledger_fit_each_other() -> None:
    """Of people's events, those in lists of random order are the configured 3 %, and the films of the bursts exist; bots see no such list."""
    world = World(WorldSettings(users=1500, films=200, bots=0.0))
    span = weeks(2)
    columns, ledger = columns_of_world(world, *span), ledger_of_world(world, *span)
    line = timeline(columns)
    assert ledger.random_rows(line).mean() == pytest.approx(0.03, rel=0.3)
    assert np.isin(ledger.bursts.film, world.catalogue.film_id).all()
    assert line.first_ms >= span[0]
    assert line.last_ms < span[1]


@pytest.mark.parametrize(
    ("text", "seeds"), [("3", (3,)), ("1,2,9", (1, 2, 9)), ("1-3", (1, 2, 3)), ("1-2,7", (1, 2, 7))]
)
def test_seeds_are_a_list_or_a_range(text: str, seeds: tuple[int, ...]) -> None:
    """Or both."""
    assert seeds_of(text) == seeds


@pytest.mark.parametrize("text", ["", "a", "3-1", "1,,2"])
def test_other_seeds_are_refused(text: str) -> None:
    """With what is allowed."""
    with pytest.raises(UsageError, match="--seeds is"):
        seeds_of(text)


def test_medians_lie_between_the_seeds(medians: Medians) -> None:
    """In the shape of a single score."""
    answer = medians.as_json()
    row = answer["tests"][3]
    values = row["seeds"]["p95/p50"]
    assert row["value"]["p95/p50"] == pytest.approx(sum(values) / 2)
    assert (answer["seeds"], answer["ok"], row["ok"]) == ([1, 2], False, False)
    assert answer["tests"][12]["ok"] is None


def test_the_table_says_how_many_seeds_lie_inside(medians: Medians) -> None:
    """Per figure; what nobody measured says so."""
    rows = {(row[0], row[1]): row for row in medians.rows()}
    assert rows["R4 user skew", "p95/p50"][-1] == "0 of 2"
    assert rows["R13 trending", "recall"][2] == "not measured"


def test_the_table_goes_between_the_marks_of_a_document(tmp_path: Path, medians: Medians) -> None:
    """The rest of the document stays, and a second time changes nothing."""
    path = tmp_path / "realism.md"
    path.write_text(f"# Realism\n\n{MARKS[0]}\nyesterday\n{MARKS[1]}\n\nThe end.\n")
    write_between_marks(path, medians.markdown("clickreel realism world --seeds 1,2"))
    once = path.read_text()
    write_between_marks(path, medians.markdown("clickreel realism world --seeds 1,2"))
    assert once == path.read_text()
    assert once.startswith("# Realism\n")
    assert once.endswith("\n\nThe end.\n")
    assert "| R1 session length | mean |" in once
    assert "yesterday" not in once
    assert "clickreel realism world --seeds 1,2`" in once


def test_a_document_without_marks_is_refused(tmp_path: Path) -> None:
    """The marks are told."""
    (tmp_path / "a.md").write_text("nothing")
    with pytest.raises(UsageError, match="has no place for the table"):
        write_between_marks(tmp_path / "a.md", "text")


def test_the_ledger_of_the_last_run_from_here_is_made_again(tmp_path: Path) -> None:
    """Over the time of the stream; its flaws are left to verify."""
    world = World(WorldSettings(users=300, films=200, random_lists=0.5, bots=0.0))
    span = weeks(1)
    saved_runs.save_run(tmp_path, world, ProduceStats(world.run, "clicks", start_ms=span[0]))
    columns = columns_of_world(world, *span)
    found = ledger_of_saved_run(tmp_path, "clicks", columns)
    assert found is not None
    run, ledger = found
    assert run == world.run
    assert ledger.flaws is None
    assert ledger.random_rows(timeline(columns)).mean() == pytest.approx(0.5, abs=0.1)


def test_without_a_run_from_here_there_is_no_ledger(tmp_path: Path) -> None:
    """Or with one into another topic."""
    assert ledger_of_saved_run(tmp_path, "clicks", naive(10)) is None
