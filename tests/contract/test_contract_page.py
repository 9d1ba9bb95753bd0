from pathlib import Path

from clickreel.contract import contract_page, corrupt
from clickreel.contract.vocabulary import MALFORMED

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "contract.md"


def test_the_reference_page_is_fresh() -> None:
    """The page in the repository is what the schemas say now; `make docs` writes it."""
    assert PAGE.read_text(encoding="utf-8") == contract_page.page()


def test_the_reasons_are_complete() -> None:
    """No variant of a malformed kind has a reason that the page does not name."""
    for flaw in MALFORMED:
        assert {corrupt.reason(flaw, variant) for variant in range(1000)} == set(corrupt.reasons(flaw))
