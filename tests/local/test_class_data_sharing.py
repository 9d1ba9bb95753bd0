"""Archives of classes make Java's start shorter, and their absence or decay costs nothing else."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest

from clickreel.local import class_data_sharing, java


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache."""
    monkeypatch.setenv("CLICKREEL_CACHE", str(tmp_path))
    monkeypatch.setattr(class_data_sharing, "CALM_S", 0.0)
    return tmp_path / "classes"


def program(*options: str) -> list[str]:
    """A Java program that every Java 21 brings: its simple web server, on loopback and any port."""
    return [str(java.java()), *options, "-m", "jdk.httpserver/sun.net.httpserver.simpleserver.Main", "-p", "0"]


def served(argv: list[str]) -> subprocess.Popen[str]:
    """Start it, and wait until it serves."""
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert process.stdout is not None
    for line in process.stdout:
        assert "error" not in line.lower()
        if "URL" in line:
            break
    return process


def ended(process: subprocess.Popen[str]) -> None:
    """End it."""
    process.kill()
    assert process.stdout is not None
    process.stdout.close()
    process.wait()


def test_a_running_part_writes_its_archive_and_the_next_start_uses_it() -> None:
    """The first start records, the second maps what was written."""
    first = program(*class_data_sharing.options("part", "a class path"))
    process = served(first)
    thread = class_data_sharing.dump_archive(first, process.pid)
    assert thread is not None
    thread.join(60)
    ended(process)
    (own,) = class_data_sharing.present()
    assert own.name.startswith("part-")

    second = program(*class_data_sharing.options("part", "a class path"))
    assert any(word.endswith(f":{own}") for word in second)
    assert class_data_sharing.dump_archive(second, 0) is None
    process = served(second)
    ended(process)


def test_another_class_path_needs_another_archive() -> None:
    """What was recorded for one is never mapped for another."""
    assert class_data_sharing.options("part", "one") != class_data_sharing.options("part", "two")


def test_an_archive_of_a_part_that_could_not_start_is_dropped(cache: Path) -> None:
    """The next start goes without it."""
    (recording,) = [
        word for word in class_data_sharing.options("part", "a class path") if word.startswith("-Dclickreel.archive=")
    ]
    own = Path(recording.partition("=")[2])
    own.write_bytes(b"no archive")
    class_data_sharing.discard_archive(class_data_sharing.options("part", "a class path"))
    assert not own.exists()
    assert len(list(cache.rglob("base.jsa"))) == 1


def test_a_spoilt_archive_costs_nothing_but_time() -> None:
    """Java looks at it and falls back."""
    (recording,) = [
        word for word in class_data_sharing.options("part", "a class path") if word.startswith("-Dclickreel.archive=")
    ]
    Path(recording.partition("=")[2]).write_bytes(b"no archive" * 1000)
    ended(served(program(*class_data_sharing.options("part", "a class path"))))


def test_a_java_that_cannot_write_archives_runs_without(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No options, nothing left in the cache."""
    broken = tmp_path / "java" / "bin" / "java"
    broken.parent.mkdir(parents=True)
    broken.write_text("#!/bin/sh\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("CLICKREEL_JAVA_HOME", str(tmp_path / "java"))
    begun = time.monotonic()
    assert class_data_sharing.options("part", "a class path") == ()
    assert time.monotonic() - begun < 10
    assert list(cache.iterdir()) == []
