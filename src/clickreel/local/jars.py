"""Jars: fetched by coordinate, once, in parallel, and checked against the committed lock.

``jars.lock.json`` names every artifact of every group with its size and SHA-256; it is written by :mod:`clickreel.local.write_jar_lock`, never by
hand. A file is used only after its digest was checked. The check leaves its mark in the file's modification time (:func:`_mark`), so that
the next start costs a ``stat`` a file instead of reading 200 MB, and any later write to the file voids the mark.
"""

from __future__ import annotations

import errno
import hashlib
import importlib.resources
import json
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from clickreel.errors import MissingError

# Called with (bytes done, bytes wanted) from the fetching threads, one at a time.
Progress = Callable[[int, int], None]

# Six connections fill a home line; more only earn refusals from the repository.
CONNECTIONS = 6
# Each try starts the file anew; a line that drops three times in a row will not carry the rest either.
TRIES = 3
CHUNK_BYTES = 1 << 18
# What must stay free beside the files themselves, so that the disk is not filled to the brim.
SPARE_BYTES = 64 << 20

_OFFLINE_HINT = "connect to a network once, or set CLICKREEL_JARS to a folder or mirror that holds the jars"


@dataclass(frozen=True)
class Artifact:
    """One file of a Maven repository.

    Args:
        group: Group id, such as ``org.apache.kafka``.
        name: Artifact id.
        version: Version.
        kind: Type, such as ``jar`` or ``tar.gz``.
        classifier: Classifier, empty for the main file.
        size: Bytes; 0 when not locked yet.
        sha256: Digest in hex; empty when not locked yet.
    """

    group: str
    name: str
    version: str
    kind: str = "jar"
    classifier: str = ""
    size: int = 0
    sha256: str = ""

    @classmethod
    def parse(cls, coordinate: str, *, size: int = 0, sha256: str = "") -> Artifact:
        """Read ``group:name:version`` or ``group:name:kind[:classifier]:version``."""
        words = coordinate.split(":")
        assert 3 <= len(words) <= 5, coordinate
        kind = words[2] if len(words) > 3 else "jar"
        classifier = words[3] if len(words) == 5 else ""
        return cls(words[0], words[1], words[-1], kind, classifier, size, sha256)

    @property
    def coordinate(self) -> str:
        """The coordinate as the lock writes it."""
        middle = f"{self.kind}:{self.classifier}" if self.classifier else self.kind
        return f"{self.group}:{self.name}:{middle}:{self.version}"

    @property
    def filename(self) -> str:
        """The file's own name."""
        tail = f"-{self.classifier}" if self.classifier else ""
        return f"{self.name}-{self.version}{tail}.{self.kind}"

    @property
    def path(self) -> str:
        """The file's place in a Maven repository, with slashes."""
        return f"{self.group.replace('.', '/')}/{self.name}/{self.version}/{self.filename}"


@cache
def lock() -> dict[str, tuple[Artifact, ...]]:
    """The committed lock: the artifacts of each group, in class path order."""
    text = importlib.resources.files("clickreel.local").joinpath("jars.lock.json").read_text(encoding="utf-8")
    return {
        group: tuple(Artifact.parse(row["coordinate"], size=row["size"], sha256=row["sha256"]) for row in rows)
        for group, rows in json.loads(text)["groups"].items()
    }


def version(group: str) -> str:
    """The version of a group's main artifact, which is its first."""
    return lock()[group][0].version


def folder() -> Path:
    """The cache of jars: one for all homes of a user, because jars are large and the same for all."""
    import platformdirs

    named = os.environ.get("CLICKREEL_CACHE")
    return (Path(named).expanduser().absolute() if named else platformdirs.user_cache_path("clickreel")) / "jars"


def classpath(group: str, progress: Progress | None = None) -> list[Path]:
    """The files of a group, fetched where they are missing.

    Args:
        group: A group of the lock: ``kafka``, ``registry``, ``flink``.
        progress: Called with bytes done and wanted while something is fetched.

    Raises:
        MissingError: A file is neither cached nor to be had, or the disk is full.
    """
    fetch([group], progress)
    return [folder() / artifact.path for artifact in lock()[group]]


def missing(groups: Iterable[str]) -> list[Artifact]:
    """The artifacts of some groups that the cache does not hold intact, each once, largest first."""
    wanted = {artifact.path: artifact for group in groups for artifact in lock()[group]}
    absent = [artifact for artifact in wanted.values() if not _intact(folder() / artifact.path, artifact)]
    return sorted(absent, key=lambda artifact: -artifact.size)


def fetch(groups: Iterable[str], progress: Progress | None = None) -> int:
    """Bring the missing files of some groups into the cache.

    Returns:
        Bytes fetched.

    Raises:
        MissingError: No source has a file, its bytes are not what the lock says, or the disk is full.
    """
    artifacts = missing(groups)
    if not artifacts:
        return 0
    total = sum(artifact.size for artifact in artifacts)
    require_space(folder(), total)
    meter = _Meter(total, progress)
    source = _source()
    pool = ThreadPoolExecutor(CONNECTIONS, thread_name_prefix="jars")
    try:
        # Largest first: the one 158 MB file starts at once and does not tail behind the small ones.
        for done in [pool.submit(_bring, artifact, source, meter) for artifact in artifacts]:
            done.result()
    finally:
        meter.stop()
        pool.shutdown(cancel_futures=True)
    return total


def require_space(path: Path, needed_bytes: int) -> None:
    """Refuse before a byte is written when the disk cannot hold what is coming.

    Raises:
        MissingError: Less than ``needed_bytes`` and a little spare are free.
    """
    if shutil.disk_usage(_existing(path)).free < needed_bytes + SPARE_BYTES:
        raise MissingError(
            f"no disk space: {_mb(needed_bytes + SPARE_BYTES)} are needed on {describe_disk(path)}",
            hint="free some space, or set CLICKREEL_CACHE and CLICKREEL_HOME to folders on a larger disk",
        )


def describe_disk(path: Path) -> str:
    """The disk that holds a path, by its mount point, with what is free: ``the disk / (0.0 GB free, holds /home/ann/.clickreel)``."""
    there = _existing(path)
    mount = there.resolve()
    while not mount.is_mount():
        mount = mount.parent
    return f"the disk {mount} ({shutil.disk_usage(there).free / 1e9:.1f} GB free, holds {path})"


def _existing(path: Path) -> Path:
    """The folder nearest to a path that exists."""
    there = path.absolute()
    while not there.exists():
        there = there.parent
    return there


def digest(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def corrupt(groups: Iterable[str]) -> list[Artifact]:
    """Read every cached file of some groups and return those whose bytes are not the lock's.

    Slow on purpose: it does not trust the mark. Absent files are not corrupt.
    """
    wanted = {artifact.path: artifact for group in groups for artifact in lock()[group]}
    files = [(folder() / artifact.path, artifact) for artifact in wanted.values()]
    return [artifact for path, artifact in files if path.exists() and digest(path) != artifact.sha256]


def copy(groups: Iterable[str], to: Path) -> int:
    """Copy the cached files of some groups into a folder that ``CLICKREEL_JARS`` can name elsewhere.

    Returns:
        Bytes copied; what is there already and whole is left alone.

    Raises:
        MissingError: The folder cannot be written.
    """
    wanted = {artifact.path: artifact for group in groups for artifact in lock()[group]}.values()
    absent = [artifact for artifact in wanted if not _intact(to / artifact.path, artifact)]
    total = sum(artifact.size for artifact in absent)
    try:
        to.mkdir(parents=True, exist_ok=True)
        require_space(to, total)
        for artifact in absent:
            (to / artifact.path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(folder() / artifact.path, to / artifact.path)
    except OSError as exc:
        raise MissingError(
            f"cannot write {to}: {exc.strerror or exc}", hint="name a folder that you may write"
        ) from exc
    return total


def _mark(artifact: Artifact) -> int:
    # A time between 2001 and 2010 that follows from the digest: nobody writes a file at that time by chance.
    return 1_000_000_000 + int(artifact.sha256[:7], 16)


def _intact(path: Path, artifact: Artifact) -> bool:
    try:
        seen = path.stat()
    except OSError:
        return False
    if seen.st_size != artifact.size:
        return False
    if int(seen.st_mtime) == _mark(artifact):
        return True
    if digest(path) != artifact.sha256:
        return False
    os.utime(path, (time.time(), _mark(artifact)))
    return True


class _Meter:
    """Counts the bytes of all fetching threads, and tells them to stop when one of them failed."""

    def __init__(self, total: int, progress: Progress | None) -> None:
        self.total, self.done, self.stopped = total, 0, False
        self._progress, self._guard = progress, threading.Lock()

    def add(self, count: int) -> None:
        with self._guard:
            self.done += count
            if self._progress is not None:
                self._progress(self.done, self.total)

    def stop(self) -> None:
        self.stopped = True


def _source() -> Path | str:
    """A folder, or the address of a repository without its last slash."""
    named = os.environ.get("CLICKREEL_JARS", "").strip()
    if named.startswith(("http://", "https://")):
        return named.rstrip("/")
    if named:
        place = Path(named.removeprefix("file://")).expanduser()
        if not place.is_dir():
            raise MissingError(f"CLICKREEL_JARS is {named!r}, and there is no such folder", hint=_OFFLINE_HINT)
        return place
    # The resolver knows the default repository of its kind; no address stands in this code.
    from jgo.constants import MAVEN_CENTRAL_URL

    return str(MAVEN_CENTRAL_URL)


def _bring(artifact: Artifact, source: Path | str, meter: _Meter) -> None:
    target = folder() / artifact.path
    # The process id keeps two stacks that fetch at once apart; the loser's rename replaces equal bytes by equal bytes.
    part = target.with_name(f".{artifact.filename}.{os.getpid()}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(source, Path):
            _copy(artifact, source, part, meter)
        else:
            _download(artifact, source, part, meter)
        os.utime(part, (time.time(), _mark(artifact)))
        part.replace(target)
    except OSError as exc:
        if exc.errno == errno.ENOSPC:
            raise MissingError(
                f"no disk space: {artifact.filename} ({_mb(artifact.size)}) does not fit in {folder()}",
                hint="free some space, or set CLICKREEL_CACHE to a folder on a larger disk",
            ) from exc
        raise MissingError(
            f"cannot write {target}: {exc.strerror or exc}", hint="set CLICKREEL_CACHE to a folder that you may write"
        ) from exc
    finally:
        part.unlink(missing_ok=True)


def _copy(artifact: Artifact, source: Path, part: Path, meter: _Meter) -> None:
    """Take a file out of a folder that is laid out as a Maven repository, or is flat."""
    found = next((p for p in (source / artifact.path, source / artifact.filename) if p.is_file()), None)
    if found is None:
        raise MissingError(
            f"CLICKREEL_JARS ({source}) has no {artifact.filename}",
            hint=f"put it there: `clickreel jars fetch --to {source}` on a machine with a network",
        )
    shutil.copyfile(found, part)
    if digest(part) != artifact.sha256:
        raise MissingError(
            f"{found} is corrupt: its SHA-256 is not the one in the lock", hint=f"replace it, or delete it: rm {found}"
        )
    meter.add(artifact.size)


def _download(artifact: Artifact, repository: str, part: Path, meter: _Meter) -> None:
    import httpx

    for attempt in range(1, TRIES + 1):
        taken = 0
        try:
            hashed = hashlib.sha256()
            with (
                httpx.stream("GET", f"{repository}/{artifact.path}", timeout=30, follow_redirects=True) as answer,
                part.open("wb") as file,
            ):
                answer.raise_for_status()
                for chunk in answer.iter_raw(CHUNK_BYTES):
                    if meter.stopped:
                        return
                    file.write(chunk)
                    hashed.update(chunk)
                    taken += len(chunk)
                    meter.add(len(chunk))
            if taken == artifact.size and hashed.hexdigest() == artifact.sha256:
                return
            why = f"{artifact.filename} arrived corrupt from the repository ({taken:,} of {artifact.size:,} bytes)"
        except httpx.HTTPStatusError as exc:
            why = f"the repository answers {exc.response.status_code} for {artifact.filename}"
        except httpx.HTTPError as exc:
            why = f"cannot fetch {artifact.filename}, which is not in the cache: {exc or type(exc).__name__}"
        meter.add(-taken)
        if attempt == TRIES or meter.stopped:
            raise MissingError(why, hint=_OFFLINE_HINT)
        time.sleep(0.5 * attempt)


def _mb(count: int) -> str:
    return f"{count / 1e6:,.0f} MB"
