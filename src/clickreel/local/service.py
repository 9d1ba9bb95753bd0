"""What a service of the stack is: how it starts, how it is known to be ready, what it needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from clickreel.errors import MissingError
from clickreel.local import class_data_sharing, java
from clickreel.local.home import Home
from clickreel.local.settings import LocalSettings

# The names and their order in `status`; scripts rely on them.
NAMES = ("kafka", "registry", "clickhouse", "flink", "ingest", "producer", "console")

# Java takes the coding of file names from the locale; under LANG=C it could not open a home outside of ASCII.
JAVA_ENVIRONMENT: Mapping[str, str] = {"LC_ALL": "C.UTF-8"}


@dataclass(frozen=True)
class StartContext:
    """What a service is started with.

    Attributes:
        home: Whose service it is.
        settings: The stack's settings.
        addresses: Addresses of the services that run, by name.
    """

    home: Home
    settings: LocalSettings
    addresses: Mapping[str, str]


@dataclass(frozen=True)
class Launch:
    """How to start one process.

    Attributes:
        argv: Full path of the program, and its arguments.
        address: Where it will serve; empty for a service without an address.
        env: Variables on top of our own.
        version: Of the program, for ``status``.
    """

    argv: tuple[str, ...]
    address: str = ""
    env: Mapping[str, str] = field(default_factory=dict)
    version: str = ""


@dataclass(frozen=True)
class InitTask:
    """Something that is done once the services it needs are ready, and leaves no process.

    Attributes:
        name: Its name in the checklist.
        run: Does it, the second time as the first; returns what the checklist shows behind its name.
        needs: Names of services and tasks that come before.
        already_done: Whether it was done before in this home and still holds: it is done again, and nobody waits for it.
    """

    name: str
    run: Callable[[StartContext], str]
    needs: tuple[str, ...] = ()
    already_done: Callable[[Home], bool] = lambda _: False


@dataclass(frozen=True)
class Service:
    """One service of the stack.

    Attributes:
        name: Its name in ``status``.
        launch: Prepares what it needs on disk and says how to start it. Called once, under the home's lock.
        answers: Whether the service at this address does its work; must return within about two seconds. Without it the service says so
            itself, by heartbeats (:mod:`clickreel.heartbeat`).
        needs: Names of services and tasks that come before.
        jars: Groups of jars that must be fetched before it starts.
        reports_ready: Whether a service that answers says by heartbeats when it is ready.
        restart_after_success: Whether it is started again when it ended with code 0: not for one that ends itself when idle.
        timeout_factor: How long it may take to become ready, as a multiple of the usual limit.
    """

    name: str
    launch: Callable[[StartContext], Launch]
    answers: Callable[[str], bool] | None = None
    needs: tuple[str, ...] = ()
    jars: tuple[str, ...] = ()
    reports_ready: bool = False
    restart_after_success: bool = True
    timeout_factor: float = 1.0


def jvm(
    home: Home, name: str, *, heap_mb: int, program: tuple[str, ...], properties: Mapping[str, str] | None = None
) -> tuple[str, ...]:
    """The command line of a service that runs in Java.

    Args:
        home: Its home; Java's scratch files go under ``work/<name>``.
        name: The service.
        heap_mb: Upper bound of its heap.
        program: What follows Java's own options: ``-cp PATH Main ARGUMENT...`` or ``-jar FILE``; further options may stand before.
        properties: System properties.
    """
    return (
        str(java.java()),
        *class_data_sharing.options(name, _classpath(program)),
        # The first compiler alone: a broker that took 1.5 M messages of 237 bytes used 1.4 s of processor time, and 2.4 s with the second
        # compiler, which spends more on compiling than so short a run gives back. The serial collector: two cores have work to do.
        "-XX:+UseSerialGC",
        "-XX:TieredStopAtLevel=1",
        "-Xshare:auto",
        "-Xms32m",
        f"-Xmx{heap_mb}m",
        "-XX:MaxMetaspaceSize=192m",
        "-XX:MaxDirectMemorySize=256m",
        "-XX:+ExitOnOutOfMemoryError",
        "-Djava.net.preferIPv4Stack=true",
        "-Djava.awt.headless=true",
        "-Duser.timezone=UTC",
        f"-Djava.io.tmpdir={home.work(name)}",
        *(f"-D{key}={value}" for key, value in (properties or {}).items()),
        *program,
    )


def _classpath(program: tuple[str, ...]) -> str:
    at = next(i for i, word in enumerate(program) if word in {"-cp", "-jar"})
    return program[at + 1]


def keep_version(folder: Path, service: str, ours: str) -> None:
    """Record in a data folder which version writes it, and refuse to open one that a newer version wrote.

    A newer program may have changed its files so that an older one reads them wrongly (Kafka from 4.4 on says so itself).

    Raises:
        MissingError: The folder was written by a newer version.
    """
    file = folder / "VERSION"
    written = file.read_text(encoding="utf-8").strip() if file.exists() else ""
    if written and _numbers(written) > _numbers(ours):
        raise MissingError(
            f"the data of {service} in {folder} was written by version {written}, and this clickreel has {ours}",
            hint="install the newer clickreel again, or delete the data: clickreel down --purge",
        )
    if written != ours:
        file.write_text(f"{ours}\n", encoding="utf-8")


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(word) for word in version.replace("-", ".").split(".") if word.isdigit())
