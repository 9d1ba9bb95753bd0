"""clickhouse-go, the driver of Grafana's data source, over HTTP with each of its compressions."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.clickhouse.process import ClickHouse

SOURCE = Path(__file__).with_name("go_client")
GO = shutil.which("go", path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/local/go/bin"]))


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The compiled client."""
    if GO is None:
        pytest.skip("no Go on this machine")
    target = tmp_path_factory.mktemp("go") / "client"
    built = subprocess.run(
        [GO, "build", "-o", str(target), "."],
        cwd=SOURCE,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "GOFLAGS": "-mod=mod"},
    )
    assert built.returncode == 0, built.stderr
    return target


@pytest.mark.timeout(600)
def test_clickhouse_go_inserts_and_reads_back(clickhouse: ClickHouse, program: Path) -> None:
    """It asks for protocol version 54460; a thousand rows go in and come out, plain, in gzip, lz4 and zstd."""
    done = subprocess.run([str(program), f"127.0.0.1:{clickhouse.port}"], capture_output=True, text=True, check=False)
    assert sorted(done.stdout.splitlines()) == [f"{name} 1000 499500" for name in ("gzip", "lz4", "none", "zstd")], done
