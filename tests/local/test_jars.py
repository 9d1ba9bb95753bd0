"""Jars come once, whole, and checked, from a repository or a folder."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

import pytest

from clickreel.errors import MissingError
from clickreel.local import jars
from tests.local import mirror


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and a lock of three small artifacts."""
    monkeypatch.setenv("CLICKREEL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(jars, "lock", mirror.lock)
    monkeypatch.setattr(jars, "TRIES", 1)
    (tmp_path / "source").mkdir()
    return tmp_path / "cache" / "jars"


@pytest.fixture
def source(tmp_path: Path, cache: Path) -> Path:
    """A filled repository."""
    del cache
    mirror.fill(tmp_path / "source")
    return tmp_path / "source"


def leftovers(cache: Path) -> list[str]:
    """Everything in the cache, by name."""
    return sorted(path.name for path in cache.rglob("*") if path.is_file())


def test_the_committed_lock_names_every_artifact_with_size_and_digest() -> None:
    """Nothing in the lock is guessed or open, and no address stands in it."""
    lock = jars.lock()
    assert list(lock) == ["kafka", "kafka-tools", "registry", "flink"]
    for artifact in (one for group in lock.values() for one in group):
        assert artifact.size > 0
        assert re.fullmatch(r"[0-9a-f]{64}", artifact.sha256)
    assert "://" not in Path(jars.__file__).with_name("jars.lock.json").read_text(encoding="utf-8")


def test_the_lock_holds_one_version_of_each_artifact_of_a_group() -> None:
    """Two versions of one jar on a class path make errors that nobody understands."""
    for group in jars.lock().values():
        names = [(one.group, one.name, one.classifier) for one in group]
        assert len(names) == len(set(names))


def test_a_coordinate_is_read_and_written_alike() -> None:
    """Both forms of a coordinate lead to the file's place in a repository."""
    short, long = jars.Artifact.parse("a.b:c:1"), jars.Artifact.parse("a.b:c:tar.gz:all:1")
    assert (short.coordinate, short.path) == ("a.b:c:jar:1", "a/b/c/1/c-1.jar")
    assert (long.coordinate, long.path) == ("a.b:c:tar.gz:all:1", "a/b/c/1/c-1-all.tar.gz")
    assert jars.Artifact.parse(long.coordinate) == long


def test_missing_jars_are_fetched_once(cache: Path, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second start asks nothing of the repository."""
    seen: list[tuple[int, int]] = []
    total = sum(map(len, mirror.CONTENTS.values()))
    with mirror.serve(source) as repository:
        monkeypatch.setenv("CLICKREEL_JARS", repository.url)
        assert jars.fetch(["group"], lambda done, wanted: seen.append((done, wanted))) == total
        assert seen[-1] == (total, total)
        assert len(repository.asked) == 3
        paths = jars.classpath("group")
        assert len(repository.asked) == 3
    assert [path.read_bytes() for path in paths] == list(mirror.CONTENTS.values())
    assert leftovers(cache) == ["alpha-1.0.jar", "beta-2.1.jar", "gamma-0.1.jar"]


@pytest.mark.parametrize("spoil", ["truncated", "flipped"])
def test_a_spoilt_jar_is_fetched_again(cache: Path, source: Path, monkeypatch: pytest.MonkeyPatch, spoil: str) -> None:
    """A half-written file shows by its size, a changed one of the same size by its digest."""
    monkeypatch.setenv("CLICKREEL_JARS", str(source))
    victim = jars.classpath("group")[1]
    data = bytearray(victim.read_bytes())
    data[1000] ^= 1
    victim.write_bytes(data[:-7] if spoil == "truncated" else data)
    assert [one.name for one in jars.missing(["group"])] == ["beta"]
    assert jars.classpath("group")[1].read_bytes() == mirror.CONTENTS["org.one:beta:2.1"]
    assert leftovers(cache) == ["alpha-1.0.jar", "beta-2.1.jar", "gamma-0.1.jar"]


def test_a_change_that_keeps_size_and_time_is_found_by_the_thorough_look(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the quick look of a start trusts, the doctor does not."""
    monkeypatch.setenv("CLICKREEL_JARS", str(source))
    victim = jars.classpath("group")[1]
    seen = victim.stat()
    data = bytearray(victim.read_bytes())
    data[5] ^= 1
    victim.write_bytes(data)
    os.utime(victim, ns=(seen.st_atime_ns, seen.st_mtime_ns))
    assert jars.missing(["group"]) == []
    assert [one.name for one in jars.corrupt(["group"])] == ["beta"]


def test_a_whole_jar_with_a_strange_time_is_kept(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A restored backup is read once and then trusted."""
    monkeypatch.setenv("CLICKREEL_JARS", str(source))
    path = jars.classpath("group")[0]
    os.utime(path, (time.time(), time.time()))
    assert jars.missing(["group"]) == []
    assert path.stat().st_mtime < 1_300_000_000


def test_wrong_bytes_from_the_repository_are_refused_and_leave_nothing(
    cache: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lock decides, not the repository."""
    (source / mirror.lock()["group"][1].path).write_bytes(b"something else")
    with mirror.serve(source) as repository:
        monkeypatch.setenv("CLICKREEL_JARS", repository.url)
        with pytest.raises(MissingError, match=r"beta-2\.1\.jar arrived corrupt") as caught:
            jars.fetch(["group"])
    assert caught.value.exit_code == 3
    assert "beta-2.1.jar" not in leftovers(cache)
    assert not [name for name in leftovers(cache) if name.endswith(".part")]


def test_no_network_and_an_empty_cache_is_said_with_its_mend(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names the file, the hint the two ways out; nothing is left."""
    monkeypatch.setenv("CLICKREEL_JARS", "http://127.0.0.1:9")
    with pytest.raises(MissingError, match=r"cannot fetch .*, which is not in the cache") as caught:
        jars.fetch(["group"])
    assert "CLICKREEL_JARS" in caught.value.hint
    assert leftovers(cache) == []


def test_a_file_that_the_repository_lacks_is_named(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mirror that is not complete says which file."""
    (source / mirror.lock()["group"][2].path).unlink()
    with mirror.serve(source) as repository:
        monkeypatch.setenv("CLICKREEL_JARS", repository.url)
        with pytest.raises(MissingError, match=r"answers 404 for gamma-0\.1\.jar"):
            jars.fetch(["group"])


@pytest.mark.parametrize("flat", [False, True])
def test_a_folder_can_hold_the_jars_in_either_layout(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, *, flat: bool
) -> None:
    """A copied repository or a heap of files: both do."""
    del cache
    mirror.fill(tmp_path / "source", flat=flat)
    monkeypatch.setenv("CLICKREEL_JARS", str(tmp_path / "source"))
    assert [path.read_bytes() for path in jars.classpath("group")] == list(mirror.CONTENTS.values())


def test_what_was_carried_to_a_folder_serves_another_machine(
    tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`jars fetch --to` fills the folder that CLICKREEL_JARS names elsewhere."""
    monkeypatch.setenv("CLICKREEL_JARS", str(source))
    jars.fetch(["group"])
    assert jars.copy(["group"], tmp_path / "stick") == sum(map(len, mirror.CONTENTS.values()))
    assert jars.copy(["group"], tmp_path / "stick") == 0
    monkeypatch.setenv("CLICKREEL_CACHE", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("CLICKREEL_JARS", str(tmp_path / "stick"))
    assert all(path.exists() for path in jars.classpath("group"))


def test_a_corrupt_file_in_the_folder_is_named(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the user's folder: we say what is wrong and touch nothing."""
    spoilt = source / mirror.lock()["group"][0].path
    spoilt.write_bytes(b"no jar")
    monkeypatch.setenv("CLICKREEL_JARS", str(source))
    with pytest.raises(MissingError, match="is corrupt") as caught:
        jars.fetch(["group"])
    assert str(spoilt) in caught.value.hint
    assert spoilt.read_bytes() == b"no jar"


def test_a_folder_that_is_not_there_is_refused(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A misspelt folder is not taken for an empty one."""
    del cache
    monkeypatch.setenv("CLICKREEL_JARS", "/no/such/folder")
    with pytest.raises(MissingError, match="there is no such folder"):
        jars.fetch(["group"])


def test_a_full_disk_is_refused_before_a_byte_is_written(tmp_path: Path) -> None:
    """The folder need not exist yet for its disk to be asked."""
    with pytest.raises(MissingError, match="no disk space") as caught:
        jars.require_space(tmp_path / "not" / "there", 1 << 60)
    assert caught.value.exit_code == 3
    assert not (tmp_path / "not").exists()
