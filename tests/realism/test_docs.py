from pathlib import Path

import pytest

from clickreel.audit.realism import TESTS
from clickreel.audit.realism.world_columns import MARKS

PAGE = (Path(__file__).parents[2] / "docs" / "realism.md").read_text(encoding="utf-8")
TABLE = PAGE.partition(MARKS[0])[2].partition(MARKS[1])[0]


@pytest.mark.parametrize("test", TESTS, ids=lambda test: test.id)
def test_each_test_is_explained(test: object) -> None:
    """By its id and its name."""
    assert f"| {test.id} {test.name} |" in PAGE  # type: ignore[attr-defined]


def test_the_table_has_each_figure_with_todays_band() -> None:
    """A band that changes asks for the table to be made anew: clickreel realism world --seeds 1-5 --markdown docs/realism.md."""
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in TABLE.splitlines() if line.startswith("|")
    ][2:]
    assert [(row[1], row[4]) for row in rows] == [(band.name, band.text()) for test in TESTS for band in test.bands]


def test_every_seed_of_the_table_is_inside() -> None:
    """The document may not show a failing world."""
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in TABLE.splitlines() if line.startswith("|")
    ][2:]
    judged = [row[5].split(" of ") for row in rows if row[5]]
    assert judged
    assert all(inside == seeds for inside, seeds in judged)
