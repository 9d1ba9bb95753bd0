"""The stack of a home: start what is missing, say what runs, stop all of it."""

from __future__ import annotations

import dataclasses
import shutil
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from clickreel import settings as stage_settings
from clickreel.errors import ClickreelError, UnreachableError, UsageError
from clickreel.json_files import write_json
from clickreel.local import child, class_data_sharing, elders, jars, ready
from clickreel.local.home import Home
from clickreel.local.service import InitTask, Service, StartContext
from clickreel.local.services import INIT_TASKS, NAMES, SERVICES
from clickreel.local.settings import LocalSettings
from clickreel.local.startup_diagnosis import explained
from clickreel.local.stream_services import given_profile, provided
from clickreel.local.task_graph import Report, Step, StepEvent, run, silent

if TYPE_CHECKING:
    from clickreel.profile import Profile

# A new home takes 2 MB and an hour of 20 events/s some 30 MB; on a full disk Kafka would end itself at the first segment that it rolls.
HOME_BYTES = 256 << 20
# What a home holds; `purge` deletes these names and no others, so that a home set to a wrong folder costs nothing.
CONTENTS = (
    "parts",
    "supervisors",
    "logs",
    "data",
    "work",
    "ports.json",
    "run.json",
    "runs",
    "contract.json",
    "ingest.json",
    "lock",
)


class _CancelledError(ClickreelError):
    """Another step failed, or the start was interrupted; never seen outside, because the first failure is raised."""

    def __init__(self) -> None:
        super().__init__("given up because another step failed")


@dataclass(frozen=True)
class ServiceStatus:
    """How a part is.

    Args:
        name: The part.
        state: ``running``, ``starting`` (alive, does not answer yet), ``crashed`` (ended by itself), ``stopped``, or ``elsewhere`` (a
            service of the profile that ``up`` was given).
        address: Where it serves, or served last.
        pid: Its process id, or ``None``.
        version: Of its program.
        started: Seconds since 1970, or ``None``.
        log: Its log file, or empty when it never ran.
    """

    name: str
    state: str
    address: str = ""
    pid: int | None = None
    version: str = ""
    started: float | None = None
    log: str = ""


@dataclass(frozen=True)
class StopResult:
    """What ``down`` did.

    Args:
        parts: Names of the parts that it ended.
        deleted_bytes: What ``purge`` deleted; 0 without it.
    """

    parts: tuple[str, ...]
    deleted_bytes: int = 0


def profile(home: Home | None = None) -> Profile:
    """What every command talks to when no other profile is named: the running stack, with the services of ``up --profile`` if given.

    Raises:
        UnreachableError: Its Kafka does not run.
    """
    from clickreel.profile import Profile
    from clickreel.stream.kafka_clients import read_profile

    stack = Stack(home)
    addresses = stack.addresses()
    named = given_profile(stack.home)
    base = read_profile(Path(named)) if named else Profile({"bootstrap.servers": stack.address("kafka")})
    return dataclasses.replace(
        base,
        registry_url=base.registry_url or addresses.get("registry", ""),
        clickhouse_url=base.clickhouse_url or addresses.get("clickhouse", ""),
        flink_gateway_url=base.flink_gateway_url or addresses.get("flink", ""),
    )


class Stack:
    """The local stack of one home.

    Args:
        home: By default :meth:`Home.default`.
        settings: By default read from the environment and the project file.
    """

    def __init__(self, home: Home | None = None, settings: LocalSettings | None = None) -> None:
        self.home = home or Home.default()
        self.settings = settings or stage_settings.load(LocalSettings, "local")
        self.children: dict[str, child.Child] = {}

    # What runs

    def record(self, name: str) -> child.ProcessRecord | None:
        """The record of a part, whether it still runs or not."""
        return child.recorded(self.home.record(name))

    def running(self, name: str) -> bool:
        """Whether the part's process lives."""
        record = self.record(name)
        return record is not None and record.alive()

    def addresses(self) -> dict[str, str]:
        """Addresses of the parts that run and serve something."""
        records = (self.record(name) for name in NAMES)
        return {record.name: record.address for record in records if record and record.address and record.alive()}

    def address(self, name: str) -> str:
        """The address of a part that must run.

        Raises:
            UnreachableError: It does not.
        """
        found = self.addresses().get(name)
        if not found:
            raise UnreachableError(f"{name} does not run in {self.home.path}", hint="clickreel up --detach")
        return found

    def status(self) -> list[ServiceStatus]:
        """How each part is, in the fixed order; every part that lives is asked."""
        elsewhere = provided(self.home)
        return [self._elsewhere(name) if name in elsewhere else self._status(name) for name in NAMES]

    def _elsewhere(self, name: str) -> ServiceStatus:
        given = profile(self.home)
        addresses = {"kafka": given.bootstrap, "registry": given.registry_url, "clickhouse": given.clickhouse_url}
        return ServiceStatus(name, "elsewhere", addresses[name])

    def _status(self, name: str) -> ServiceStatus:
        record = self.record(name)
        if record is None:
            return ServiceStatus(name, "stopped")
        known = ServiceStatus(
            name, "crashed", record.address, None, record.version, None, record.log if Path(record.log).exists() else ""
        )
        if not record.alive():
            return known
        part = SERVICES.get(name)
        state = "running" if part is None or self._is_ready(part, record.address) else "starting"
        return dataclasses.replace(known, state=state, pid=record.pid, started=record.started)

    # Start

    def ensure(self, names: Iterable[str], *, attached: bool = False, report: Report = silent) -> list[str]:
        """Start those of the named parts that do not run, with all that they need, and wait until they are ready.

        Args:
            names: Parts and tasks.
            attached: Make the parts children of this process, so that they end with it. Otherwise a detached supervisor starts them,
                and they live until ``down`` or until the supervisor that leads the home ends.
            report: Told of every step.

        Returns:
            The names of the parts that were missing.

        Raises:
            ClickreelError: One could not be started. Whatever this call had started was ended again.
        """
        from clickreel.local import supervisor

        wanted = self.closure(names)
        missing = [name for name in wanted if name in SERVICES and not self.running(name)]
        if attached or not missing:  # tasks leave no process that somebody would have to look after
            return self.start(names, report=report)
        supervisor.launch(self.home, wanted, report)
        return missing

    def closure(self, names: Iterable[str]) -> list[str]:
        """The named parts and tasks and all that they need, as far as this installation has them, in starting order."""
        every: dict[str, Service | InitTask] = {**SERVICES, **INIT_TASKS}
        elsewhere = provided(self.home)
        wanted: set[str] = set()
        todo = list(names)
        while todo:
            name = todo.pop()
            if name not in every:
                raise UsageError(f"there is no part {name!r}", hint=f"one of: {', '.join(SERVICES)}")
            if name not in wanted and name not in elsewhere and every[name].available():
                wanted.add(name)
                todo += every[name].needs
        return [name for name in every if name in wanted]

    def start(self, names: Iterable[str], *, report: Report = silent) -> list[str]:
        """What :meth:`ensure` does, in this process: see there."""
        with self.home.locked():
            wanted = self.closure(names)
            for name in wanted:
                if name in SERVICES and self.running(name):
                    report(StepEvent(name, "kept", detail=self.addresses().get(name, "")))
            missing = [name for name in wanted if name in SERVICES and not self.running(name)]
            tasks = [name for name in wanted if name in INIT_TASKS]
            if missing:
                jars.require_space(self.home.path, HOME_BYTES)
                elders.register(self.home, ends_with_parts=False)
            cancel = threading.Event()
            try:
                run(self._steps(missing, tasks, report, cancel), report, cancel)
            except BaseException:
                self._abandon(missing)
                raise
            return missing

    def _steps(self, names: Sequence[str], tasks: Sequence[str], report: Report, cancel: threading.Event) -> list[Step]:
        steps = []
        already_done = {name for name in tasks if INIT_TASKS[name].already_done(self.home)}
        for part in (SERVICES[name] for name in names):
            needs = tuple(need for need in part.needs if need not in already_done)
            if jars.missing(part.jars):
                fetch = f"{part.name} jars"
                steps.append(Step(fetch, partial(self._fetch, part, fetch, report, cancel)))
                needs = (*needs, fetch)
            steps.append(Step(part.name, partial(self._start, part, cancel), needs))
        steps += [Step(name, partial(self._do, INIT_TASKS[name]), INIT_TASKS[name].needs) for name in tasks]
        return steps

    def _do(self, task: InitTask) -> str:
        return task.run(StartContext(self.home, self.settings, self.addresses()))

    def _fetch(self, part: Service, step: str, report: Report, cancel: threading.Event) -> str:
        begun = time.monotonic()

        def progress(done: int, total: int) -> None:
            if cancel.is_set():
                raise _CancelledError
            report(StepEvent(step, "fetch", time.monotonic() - begun, done=done, total=total))

        return f"{jars.fetch(part.jars, progress) / 1e6:,.0f} MB"

    def _start(self, part: Service, cancel: threading.Event) -> str:
        launch = part.launch(StartContext(self.home, self.settings, self.addresses()))
        self._ready_file(part.name).unlink(missing_ok=True)
        log = self.home.log(part.name)
        began = child.spawn(
            part.name,
            launch.argv,
            record=self.home.record(part.name),
            log=log,
            address=launch.address,
            env={**launch.env, "CLICKREEL_HOME": str(self.home.path), ready.VARIABLE: str(self._ready_file(part.name))},
            version=launch.version,
        )
        self.children[part.name] = began
        limit_s = self.settings.start_timeout_s * part.timeout_factor
        deadline = time.monotonic() + limit_s
        while not self._is_ready(part, launch.address):
            code = began.exit_code()
            if code is not None:
                class_data_sharing.discard_archive(launch.argv)
                raise explained(part.name, log, code, runs_in_java=bool(part.jars))
            if cancel.is_set():
                raise _CancelledError
            if time.monotonic() > deadline:
                raise UnreachableError(
                    f"{part.name} does not answer after {limit_s:.0f} s", hint=f"clickreel logs {part.name}"
                )
            time.sleep(0.05)
        class_data_sharing.dump_archive(launch.argv, began.record.pid)
        return launch.address

    def _ready_file(self, name: str) -> Path:
        return self.home.work(name) / "ready"

    def _is_ready(self, part: Service, address: str) -> bool:
        return self._ready_file(part.name).exists() if part.ready is None else part.ready(address)

    def _abandon(self, names: Sequence[str]) -> None:
        """End what a failed start had begun, so that nothing half-started is left."""
        for name in sorted(names, key=NAMES.index, reverse=True):
            begun = self.children.pop(name, None)
            if begun is not None:
                child.end(begun.record)
                begun.close()
            self.home.record(name).unlink(missing_ok=True)

    # Stop

    def down(self, *, purge: bool = False) -> StopResult:
        """End every recorded part, in reverse order of starting, and verify that nothing is left.

        Args:
            purge: Delete the home's contents too.

        Raises:
            ClickreelError: A process could not be ended.
        """
        if not self.home.path.exists():
            return StopResult(())
        with self.home.locked():
            supervisors = elders.ending(self.home)
            ended = [name for name in reversed(NAMES) if self.stop(name)]
            left = [name for name in NAMES if self.running(name)]
            if not elders.await_end(self.home, supervisors, 10):
                left.append("a supervisor")
            if left:
                raise ClickreelError(f"still running after down: {', '.join(left)}", hint="clickreel status")
            return StopResult(tuple(ended), self._purge() if purge else 0)

    def stop(self, name: str) -> bool:
        """End one part if it runs; whether it did."""
        record = self.record(name)
        if record is None:
            return False
        lived = record.alive()
        # Whoever supervises it reads this and does not take the end for a crash.
        write_json(self.home.record(name), {**dataclasses.asdict(record), "stopping": True})
        if child.end(record):
            self.home.record(name).unlink(missing_ok=True)
            own = self.children.pop(name, None)
            if own is not None:
                own.close()
        return lived

    def stop_children(self) -> list[str]:
        """End the parts that this process started, in reverse order; their names."""
        return [name for name in sorted(self.children, key=NAMES.index, reverse=True) if self.stop(name)]

    def _purge(self) -> int:
        deleted = 0
        for entry in (self.home.path / name for name in CONTENTS):
            files = [entry] if entry.is_file() else [p for p in entry.rglob("*") if p.is_file() and not p.is_symlink()]
            # Kafka sets its indexes' length ahead: files that are longer than what they occupy count for what they occupy.
            deleted += sum(min(found.st_size, 512 * found.st_blocks) for found in map(Path.stat, files))
            if entry.is_dir():
                shutil.rmtree(entry)
            else:
                entry.unlink(missing_ok=True)
        if not any(self.home.path.iterdir()):
            self.home.path.rmdir()
        return deleted
