"""The reference pages are written from the code and are never stale."""

import ast
import re
from pathlib import Path

import pytest

from clickreel.cli.reference import PAGES
from clickreel.cli.settings_page import SECTIONS

FOLDER = Path(__file__).parent.parent / "docs" / "reference"


@pytest.mark.parametrize("name", PAGES)
def test_a_reference_page_is_fresh(name: str) -> None:
    """The page in the repository is what the code says now; `make docs` writes it."""
    assert (FOLDER / name).read_text(encoding="utf-8") == PAGES[name](), "run: make docs"


SOURCE = Path(__file__).parent.parent / "src" / "clickreel"


def test_every_settings_class_has_its_table_on_the_page() -> None:
    """A stage whose settings nobody lists could not be set by anybody who reads."""
    declared = set()
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef) and any(
                isinstance(field, ast.AnnAssign)
                and isinstance(field.value, ast.Call)
                and ast.unparse(field.value.func) in {"setting", "_port"}
                for field in node.body
            ):
                declared.add(node.name)
    assert declared == {settings.__name__ for settings in SECTIONS.values()}


def test_every_variable_that_the_code_reads_is_on_the_page() -> None:
    """Whether a settings class declares it or a module reads it by itself."""
    page = PAGES["settings.md"]()
    internal = {"CLICKREEL_HEARTBEAT_FILE", "CLICKREEL_SERVICE", "CLICKREEL_LOG_LEVEL_"}
    read = {
        name
        for path in SOURCE.rglob("*.py")
        for name in re.findall(r"[\"'](CLICKREEL_[A-Z_]+[A-Z])[\"']", path.read_text(encoding="utf-8"))
    }
    assert {name for name in read - internal if f"`{name}`" not in page} == set()
