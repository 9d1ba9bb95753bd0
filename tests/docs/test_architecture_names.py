"""ARCHITECTURE.md names modules, and things in them, that exist."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.pages import ROOT

PACKAGE = ROOT / "src" / "clickreel"
TEXT = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
# `module.py`, `folder/module.py`, `module.py:name`, `module.py:Class.method`
NAMED = sorted(set(re.findall(r"`((?:\w+/)*\w+\.py)(?::([\w.]+))?`", TEXT)))


def defined(tree: ast.Module) -> Iterator[str]:
    """Names of a module, and the names in its classes."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        if isinstance(node, ast.ClassDef):
            yield from (f"{node.name}.{inner.name}" for inner in node.body if isinstance(inner, ast.FunctionDef))
        for target in getattr(node, "targets", [getattr(node, "target", None)]):
            if isinstance(target, ast.Name):
                yield target.id


@pytest.fixture(scope="module")
def modules() -> dict[str, list[Path]]:
    """The modules of the package by file name."""
    found = defaultdict(list)
    for path in PACKAGE.rglob("*.py"):
        found[path.name].append(path)
    return found


@pytest.mark.parametrize(("module", "name"), NAMED)
def test_what_the_architecture_names_is_in_the_tree(module: str, name: str, modules: dict[str, list[Path]]) -> None:
    """A module that was renamed, or a function that moved, is found here."""
    paths = [path for path in modules[Path(module).name] if path.as_posix().endswith(f"/{module}")]
    assert paths, f"there is no {module}"
    if name:
        names = {one for path in paths for one in defined(ast.parse(path.read_text(encoding="utf-8")))}
        assert name in names, f"{module} has no {name}"
