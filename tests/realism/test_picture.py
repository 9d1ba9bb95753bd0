from pathlib import Path

import pytest

from clickreel.audit.realism import Evidence, timeline
from clickreel.audit.realism.picture import draw
from clickreel.errors import ClickreelError, UsageError
from tests.realism.naive import naive


@pytest.fixture(scope="module")
def evidence() -> Evidence:
    """A small naive stream."""
    columns = naive(20_000)
    return Evidence(columns, timeline(columns))


@pytest.mark.parametrize(("suffix", "magic"), [(".png", b"\x89PNG"), (".svg", b"<?xml")])
def test_the_suffix_chooses_the_format(tmp_path: Path, evidence: Evidence, suffix: str, magic: bytes) -> None:
    """PNG or SVG, the same bytes each time."""
    first, second = tmp_path / f"a{suffix}", tmp_path / f"b{suffix}"
    draw(evidence, first)
    draw(evidence, second)
    assert first.read_bytes().startswith(magic)
    assert first.read_bytes() == second.read_bytes()


def test_another_suffix_is_refused(tmp_path: Path, evidence: Evidence) -> None:
    """Before anything is drawn."""
    with pytest.raises(UsageError, match=r"cannot draw a picture as a\.gif"):
        draw(evidence, tmp_path / "a.gif")


def test_a_folder_that_does_not_exist_is_said(tmp_path: Path, evidence: Evidence) -> None:
    """In words."""
    with pytest.raises(ClickreelError, match="cannot write"):
        draw(evidence, tmp_path / "nowhere" / "a.png")
