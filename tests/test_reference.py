"""The reference pages are written from the code and are never stale."""

from pathlib import Path

import pytest

from clickreel.cli.reference import PAGES

FOLDER = Path(__file__).parent.parent / "docs" / "reference"


@pytest.mark.parametrize("name", PAGES)
def test_a_reference_page_is_fresh(name: str) -> None:
    """The page in the repository is what the code says now; `make docs` writes it."""
    assert (FOLDER / name).read_text(encoding="utf-8") == PAGES[name](), "run: make docs"
