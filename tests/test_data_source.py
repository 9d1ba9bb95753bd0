"""The first users' folder, 00-data-source: their steps work as they stand."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from clickreel.cli.app import run
from clickreel.contract import schema
from clickreel.contract.schema import Part

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "00-data-source" / "streaming"
SCRIPT = FOLDER / "02-kafka-producer" / "dvd_clicks_cloud_producer.py"
# The interpreter that the environment was made with: it has no clickreel of its own.
PLAIN_PYTHON = os.path.realpath(sys.executable)


def started(script: Path, home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The script, started with a Python that does not know clickreel."""
    environment = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "VIRTUAL_ENV"}}
    return subprocess.run(
        [PLAIN_PYTHON, script.name, *arguments],
        cwd=script.parent,
        env={**environment, "CLICKREEL_HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.skipif(not (ROOT / ".venv" / "bin" / "python").exists(), reason="the environment of make is not in .venv")
def test_the_producer_script_finds_the_environment_of_make(tmp_path: Path) -> None:
    """Started with the system's Python; without a cluster and without a stack it says how to have one."""
    done = started(SCRIPT, tmp_path, "--count", "5")
    assert done.returncode == 2, done.stderr
    assert done.stderr.splitlines()[0] == (
        "error: there is no client.properties beside dvd_clicks_cloud_producer.py, and no stack on this machine"
    )
    assert "cp client.properties.template client.properties" in done.stderr


def test_the_producer_script_says_how_to_make_the_environment(tmp_path: Path) -> None:
    """In a clone where nothing was made yet."""
    copy = tmp_path / "clone" / "a" / SCRIPT.name
    copy.parent.mkdir(parents=True)
    shutil.copy(SCRIPT, copy)
    (tmp_path / "clone" / "Makefile").touch()
    done = started(copy, tmp_path)
    assert done.returncode == 3
    assert done.stderr.splitlines()[1] == f"hint: make -C {tmp_path / 'clone'} up"


@pytest.mark.parametrize(("part", "version"), [("key", 6), ("key", 7), ("value", 4), ("value", 5)])
def test_the_schema_files_hold_the_bare_schema(part: Part, version: int) -> None:
    """And the data contracts the registry's export of the same one."""
    body = schema.version(part, version).body
    folder = FOLDER / "01-kafka-topic" / "json"
    bare = json.loads((folder / f"schema-dvd_clicks-{part}-v{version}.json").read_text(encoding="utf-8"))
    export = json.loads((folder / f"data-contract-dvd_clicks-{part}-v{version}.json").read_text(encoding="utf-8"))
    assert bare == body
    assert json.loads(export["schema"]) == body
    assert (export["subject"], export["version"]) == (f"dvd_clicks-{part}", version)


def test_the_files_that_the_guide_names_exist() -> None:
    """Every path in it is one from the repository's root, or from the folder that it has entered."""
    guide = (FOLDER / "README.md").read_text(encoding="utf-8")
    named = re.findall(r"00-data-source/[\w./-]+", guide)
    assert len(named) >= 4
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_the_guide_diffs_both_schemas(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The key's file is compared with the key."""
    monkeypatch.chdir(ROOT)
    for part in ("key-v6", "value-v4"):
        assert (
            run(["contract", "diff", f"00-data-source/streaming/01-kafka-topic/json/schema-dvd_clicks-{part}.json"])
            == 0
        )
        assert f"dvd_clicks-{part.split('-')[0]} v" in capsys.readouterr().err


def test_the_statement_is_the_one_in_the_package() -> None:
    """`clickreel sql sample` runs what the folder's file holds, under a comment that says what it is."""
    package = ROOT / "src" / "clickreel" / "flink" / "sql" / "sample.sql"
    comment, _, statement = package.read_text(encoding="utf-8").partition("\n")
    assert comment.startswith("-- ")
    assert statement == (FOLDER / "03-flink-sql" / "sample.sql").read_text(encoding="utf-8")
