"""ClickHouse's JDBC driver, which most BI tools use, against the front."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.clickhouse.process import ClickHouse

SOURCE = Path(__file__).with_name("jdbc_client") / "Client.java"
DRIVER = ("com.clickhouse", "clickhouse-jdbc", "0.9.8", "all")
# The driver's archive does not hold the interface that it logs to.
LOGGING = ("org.slf4j", "slf4j-api", "2.0.17", "")

pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.skipif("CLICKREEL_CLIENTS" not in os.environ, reason="clients of other languages: make clients"),
]


@pytest.fixture(scope="module")
def class_path(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The driver and the compiled program."""
    if shutil.which("javac") is None or shutil.which("java") is None:
        pytest.skip("no Java compiler on this machine: the JDBC driver cannot be tried")
    from jgo.maven import MavenContext

    folder = tmp_path_factory.mktemp("jdbc")
    maven = MavenContext(repo_cache=folder / "jars", timeout=60)
    paths = []
    for group, name, version, classifier in (DRIVER, LOGGING):
        component = maven.project(group, name).at_version(version)
        try:
            paths.append(str(component.artifact(classifier, "jar").resolve()))
        except OSError as exc:
            pytest.skip(f"Maven's repository cannot be reached here: {exc}")
    subprocess.run(["javac", "-d", str(folder), str(SOURCE)], check=True, capture_output=True)
    return os.pathsep.join([*paths, str(folder)])


def test_the_jdbc_driver_works_unmodified(clickhouse: ClickHouse, class_path: str) -> None:
    """DDL, a batch of a thousand rows of six types, parameters, values as what they are, and an error with its code."""
    done = subprocess.run(
        ["java", "-cp", class_path, "Client", f"127.0.0.1:{clickhouse.port}", "default", ""],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        f"version {clickhouse.version}",
        "inserted 1000",
        "sums 1000 499500 500 12340.00",
        r"row 7 it's \ 7 2026-01-01T00:00:00.130Z 12.34 [a, b7] odd",
        "error true",
    ]
