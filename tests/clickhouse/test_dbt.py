"""dbt-clickhouse against the front: seeds, models, tests, and a second run of an incremental model."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import httpx
import pytest

from tests.clickhouse.process import ClickHouse

PROJECT = Path(__file__).with_name("dbt_project")
# From 1.12 on dbt-core fetches a program from a site of its own while it is installed.
PACKAGES = ("dbt-clickhouse==1.10.3", "dbt-core<1.12")

pytestmark = [
    pytest.mark.timeout(1200),
    pytest.mark.skipif("CLICKREEL_CLIENTS" not in os.environ, reason="clients of other languages: make clients"),
]


@pytest.fixture(scope="module")
def dbt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program dbt in an environment of its own."""
    folder = tmp_path_factory.mktemp("dbt") / "venv"
    uv = shutil.which("uv")
    if uv is None:
        venv.create(folder, with_pip=True)
    else:
        subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, str(folder)], check=True)
    python = str(folder / "bin" / "python")
    install = [uv, "pip", "install", "--python", python] if uv else [python, "-m", "pip", "install"]
    done = subprocess.run([*install, "--quiet", *PACKAGES], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"dbt cannot be installed here: {done.stderr.strip()[-200:]}")
    return folder / "bin" / "dbt"


def test_dbt_builds_and_runs_again(clickhouse: ClickHouse, dbt: Path, tmp_path: Path) -> None:
    """A table, an incremental model, a seed and tests; the second run replaces rows of the same key and adds none."""
    project = tmp_path / "project"
    shutil.copytree(PROJECT, project)
    environment = {**os.environ, "CLICKHOUSE_PORT": str(clickhouse.port), "DBT_SEND_ANONYMOUS_USAGE_STATS": "false"}
    for action in ("build", "run"):
        done = subprocess.run(
            [str(dbt), action, "--profiles-dir", ".", "--no-use-colors"],
            cwd=project,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout
        assert "ERROR=0" in done.stdout
    sums = "SELECT count(), sum(id), min(at) FROM from_dbt.numbers"
    assert httpx.post(clickhouse.url, content=sums).text == "1000\t499500\t2026-01-02 03:04:05.678\n"
    assert httpx.post(clickhouse.url, content="SELECT sum(number) FROM from_dbt.per_ten").text == "1000\n"
    titles = httpx.post(clickhouse.url, content="SELECT title FROM from_dbt.titles ORDER BY id").text
    assert titles == "Amélie\nit\\'s, ok\n"
