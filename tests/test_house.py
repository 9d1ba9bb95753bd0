"""The rules of the house that a machine can hold: sizes, names, no addresses of registries, docs that match the tree."""

import ast
import re
import subprocess
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TRACKED = [
    ROOT / name
    for name in subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split(
        "\n"
    )
    if name and (ROOT / name).is_file()
]
SOURCES = [path for path in TRACKED if path.suffix == ".py"]
CATCH_ALLS = {"utils.py", "helpers.py", "common.py", "misc.py"}
REGISTRY_HOST = re.compile(r"https?://[^\s/]*(maven|pypi|pythonhosted|npmjs|crates|golang|debian)")


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", SOURCES, ids=_name)
def test_a_module_is_of_readable_size(path: Path) -> None:
    """No module exceeds 600 lines, no function of the product 70, and none is a catch-all."""
    text = path.read_text(encoding="utf-8")
    assert path.name not in CATCH_ALLS
    assert text.count("\n") <= 600
    if "tests" in path.relative_to(ROOT).parts:
        return
    functions = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    assert [f.name for f in functions if (f.end_lineno or f.lineno) - f.lineno + 1 > 70] == []


def test_no_file_names_a_registry_host() -> None:
    """Parts come by coordinates and hashes; where a registry is, is the machine's business."""
    named = []
    for path in TRACKED:
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        if REGISTRY_HOST.search(text):
            named.append(_name(path))
    assert named == []


@pytest.mark.parametrize("page", ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"])
def test_links_and_paths_of_the_pages_exist(page: str) -> None:
    """A file that a page names or links is in the tree."""
    text = (ROOT / page).read_text(encoding="utf-8")
    links = [link for link in re.findall(r"\]\(([^)#\s]+)\)", text) if "://" not in link]
    paths = re.findall(r"`((?:src|docs|tests|00-data-source)/[\w./-]+)`", text)
    assert [link for link in links + paths if not (ROOT / link).exists()] == []


def test_architecture_names_every_module_folder() -> None:
    """The file map of ARCHITECTURE.md holds every folder of the package, and no other."""
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    folders = {_name(path.parent) for path in SOURCES if _name(path).startswith("src/clickreel/")}
    folders.discard("src/clickreel")
    mapped = set(re.findall(r"^\| `(src/clickreel/[\w/]+)/` \|", text, re.MULTILINE))
    assert mapped == folders


PRODUCT = [path for path in SOURCES if _name(path).startswith("src/")]
# A settings module a stage is the rule of the house; the others are Python's own.
SHARED_MODULE_NAMES = {"settings", "__init__", "__main__"}


def test_a_module_name_stands_for_one_module() -> None:
    """`grep name` finds one thing; what is alike is qualified: `produce_commands`, `produce_bench`."""
    counts = Counter(path.stem for path in PRODUCT)
    assert {name for name, count in counts.items() if count > 1} - SHARED_MODULE_NAMES == set()


def test_a_class_name_stands_for_one_class() -> None:
    """Private classes included."""
    counts = Counter(
        node.name
        for path in PRODUCT
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef)
    )
    assert {name for name, count in counts.items() if count > 1} == set()
