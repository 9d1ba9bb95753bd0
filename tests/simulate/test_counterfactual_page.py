import re
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from clickreel.cli.app import run

PAGE = (Path(__file__).parents[2] / "docs" / "counterfactuals.md").read_text(encoding="utf-8")
SNIPPET = re.search(r"```python\n(.*?)```", PAGE, re.DOTALL)


def test_the_page_s_example_holds_the_truth(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worse ranker costs clicks; over many ways to draw the halves, the interval holds the true effect as often as it should."""
    monkeypatch.chdir(tmp_path)
    arguments = ["simulate", "--out", "events.parquet", "--users", "1500", "--days", "4", "--change", "ranker=0.2"]
    assert run(arguments) == 0
    assert SNIPPET is not None
    found: dict[str, float] = {}
    held = []
    for seed in range(60):
        exec(SNIPPET[1].replace("default_rng(1)", f"default_rng({seed})"), found)  # noqa: S102 - the page's own lines
        held.append(abs(found["estimate"] - found["truth"]) < 1.96 * found["error"])
    assert found["truth"] < -0.1
    assert np.mean(held) > 0.85
    assert "truth -" in capsys.readouterr().out
    effect = pq.read_table("events-effect.parquet")
    assert len(effect) > 500
