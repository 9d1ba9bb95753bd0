"""Archives of loaded classes, with which Java starts a service in half the time.

Java can write the classes that a running program has loaded to a file and map that file at the next start (class data sharing). Measured
on two cores: Kafka answers after 1.8 s instead of 3.5 s, the registry after 5.4 s instead of 7.4 s, and half of the processor time goes.
The wheel of Java comes without even the archive of Java's own classes, so both are made here: the base at the first start (0.6 s), a
service's own one while it runs for the first time (:func:`dump_archive`). A lost or foreign archive costs time and nothing else.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path

import psutil

from clickreel.errors import ClickreelError
from clickreel.local import jars, java

# Marks a process whose classes are being recorded, and says where they should go.
_WANTED = "-Dclickreel.archive="
_USED = "-XX:SharedArchiveFile="
# The dump stops the program for a second or two: not while the stack is still starting and its first events are awaited.
CALM_S = 5.0
_DUMP_S = 120.0
# Parts start in threads, and one archive of Java's classes serves them all.
_GUARD = threading.Lock()


def options(name: str, classpath: str) -> tuple[str, ...]:
    """Java's options for a service: use its archive, or record classes for one; none when this Java cannot.

    Args:
        name: The service.
        classpath: Its class path or jar; another one needs another archive.
    """
    base = _base()
    if base is None:
        return ()
    key = hashlib.sha256(classpath.encode()).hexdigest()[:16]
    own = base.with_name(f"{name}-{key}.jsa")
    # Java says on the standard output what it thinks of an archive; it falls back by itself.
    quiet = "-Xlog:cds*=off"
    if own.exists():
        return (quiet, f"{_USED}{base}:{own}")
    return (quiet, f"{_USED}{base}", "-XX:+RecordDynamicDumpInfo", f"{_WANTED}{own}")


def dump_archive(argv: Sequence[str], pid: int) -> threading.Thread | None:
    """Have a running process write its archive, in the background and a little later.

    Args:
        argv: How it was started.
        pid: Its process id.

    Returns:
        The thread that does it, or ``None`` when there is nothing to do.
    """
    wanted = next((word.removeprefix(_WANTED) for word in argv if word.startswith(_WANTED)), None)
    if wanted is None:
        return None
    timer = threading.Timer(CALM_S, _dump, (Path(_java_of(argv)), pid, Path(wanted)))
    # The program may end before; then the next start records anew.
    timer.daemon = True
    timer.start()
    return timer


def _java_of(argv: Sequence[str]) -> str:
    return next((word for word in argv if word.endswith("/java")), argv[0])


def discard_archive(argv: Sequence[str]) -> None:
    """Delete the archive of a service that could not start with it: if the archive was at fault, the next start does without."""
    for word in argv:
        if word.startswith(_USED) and ":" in word:
            Path(word.rpartition(":")[2]).unlink(missing_ok=True)


def _dump(program: Path, pid: int, target: Path) -> None:
    beside = target.with_name(f".{target.name}.{pid}")
    with contextlib.suppress(OSError, subprocess.SubprocessError, psutil.Error):
        # Behind a guard Java is the child of the recorded process.
        children = [child.pid for child in psutil.Process(pid).children() if child.name() == program.name]
        subprocess.run(
            [program.with_name("jcmd"), str((children or [pid])[0]), "VM.cds", "dynamic_dump", str(beside)],
            capture_output=True,
            timeout=_DUMP_S,
            check=True,
        )
        # Java leaves with 0 also when it refused.
        if beside.exists():
            for old in target.parent.glob(f"{target.name.rpartition('-')[0]}-*.jsa"):
                old.unlink()
            beside.replace(target)
    beside.unlink(missing_ok=True)


def _base() -> Path | None:
    """The archive of Java's own classes, made when it is missing."""
    with _GUARD:
        return _made()


def _made() -> Path | None:
    program = java.java()
    folder = jars.folder().parent / "classes" / _identity(program)
    base = folder / "base.jsa"
    if base.exists():
        return base
    beside = folder / f".base.{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        jars.require_space(folder, 200 << 20)
        subprocess.run(
            # The collector must be the one that the services run with.
            [program, "-XX:+UseSerialGC", "-Xshare:dump", f"-XX:SharedArchiveFile={beside}"],
            capture_output=True,
            timeout=_DUMP_S,
            check=True,
        )
        beside.replace(base)
    except (OSError, subprocess.SubprocessError, ClickreelError):
        beside.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            folder.rmdir()  # nothing is left of a Java that cannot do this
        return None
    return base


def _identity(program: Path) -> str:
    """Names one build of Java: an archive of another one is refused by Java, after it has cost its reading."""
    machine = program.resolve().parent.parent / "lib" / "server" / "libjvm.so"
    there = machine if machine.exists() else program.resolve()
    seen = there.stat()
    return hashlib.sha256(f"{there}\0{seen.st_size}\0{seen.st_mtime_ns}".encode()).hexdigest()[:16]


def present() -> list[Path]:
    """The services' archives for the Java in use."""
    folder = jars.folder().parent / "classes" / _identity(java.java())
    return sorted(path for path in folder.glob("*-*.jsa") if not path.name.startswith("."))
