"""The official JavaScript client against the front."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.clickhouse.process import ClickHouse

SCRIPT = Path(__file__).with_name("client.mjs")


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the client is installed."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("node and npm are not both on this machine: the JavaScript client cannot run")
    folder = tmp_path_factory.mktemp("javascript")
    command = ["npm", "install", "--no-audit", "--no-fund", "--prefix", str(folder), "@clickhouse/client@1"]
    installed = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    if installed.returncode != 0:
        pytest.skip(f"npm cannot fetch @clickhouse/client here: {installed.stderr.strip()[-200:]}")
    shutil.copy(SCRIPT, folder)
    return folder


def test_the_javascript_client_works_unmodified(clickhouse: ClickHouse, package: Path) -> None:
    """Ping, DDL, inserts by value and by stream, parameters, sessions, streams, errors early and late, and an abort."""
    ran = subprocess.run(
        ["node", str(package / SCRIPT.name), clickhouse.url],
        cwd=package,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    answer = json.loads(ran.stdout.splitlines()[-1])
    late = answer.pop("late")
    assert "throwIf" in late, late
    assert answer == {
        "ping": True,
        "pingSelect": True,
        "executed": True,
        "written": "2",
        "queryId": 36,
        "rows": [
            {"a": 1, "s": "it's", "d": "2026-01-02 03:04:05.678"},
            {"a": 2, "s": "ä\t", "d": "2026-01-02 03:04:05.678"},
        ],
        "json": [{"n": 50002}],
        "streamed": 300_000,
        "temporary": 1,
        "error": {"code": "60", "type": "UNKNOWN_TABLE"},
        "aborted": "The user aborted a request.",
    }
