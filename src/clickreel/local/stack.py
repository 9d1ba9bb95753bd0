"""The stack of a home: start what is missing, say how everything is, stop all of it."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import threading
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from clickreel import heartbeat, log_setup
from clickreel import settings as stage_settings
from clickreel.errors import ClickreelError, UnreachableError, UsageError
from clickreel.local import child, jars, supervisor_client
from clickreel.local.child import ServiceRecord, read_record
from clickreel.local.clickhouse.settings import ClickHouseSettings
from clickreel.local.home import Home
from clickreel.local.liveness import NOT_WELL, ServiceStatus, advice, observe
from clickreel.local.local_profile import address, addresses, profile
from clickreel.local.run_options import RUN_FILE, changed, provided, remembered
from clickreel.local.service import NAMES, InitTask, Service, StartContext
from clickreel.local.services import INIT_TASKS, SERVICES
from clickreel.local.settings import LocalSettings
from clickreel.local.startup_diagnosis import explain_exit
from clickreel.local.supervisor import ServiceSpec
from clickreel.local.task_graph import Report, Step, StepEvent, run, silent

# A new home takes 2 MB and an hour of 20 events/s some 30 MB; on a full disk Kafka would end itself at the first segment that it rolls.
HOME_BYTES = 256 << 20
# What a home holds; `purge` deletes these names and no others, so that a home set to a wrong folder costs nothing.
CONTENTS = (
    "services",
    "logs",
    "data",
    "work",
    "supervisor.json",
    "supervisor.lock",
    "supervisor.sock",
    "token",
    "ports.json",
    "run.json",
    "runs",
    "contract.json",
    "ingest",
    "ingest.json",  # of earlier versions
    "producer.json",
    "lock",
)
_POLL_S = 0.05


class _CancelledError(ClickreelError):
    """The start was interrupted; never seen outside, because the interruption itself is raised."""

    def __init__(self) -> None:
        super().__init__("given up because the start was interrupted")


@dataclass(frozen=True)
class StopResult:
    """What ``down`` did.

    Attributes:
        services: Names of the services that it ended.
        deleted_bytes: What ``purge`` deleted; 0 without it.
    """

    services: tuple[str, ...]
    deleted_bytes: int = 0


class Stack:
    """The local stack of one home.

    Args:
        home: By default :meth:`Home.default`.
        settings: By default read from the environment and the project file.
    """

    def __init__(self, home: Home | None = None, settings: LocalSettings | None = None) -> None:
        self.home = home or Home.default()
        self.settings = settings or stage_settings.load(LocalSettings, "local")
        # Writing end of the supervisor's lifeline pipe when it ends with this process. A plain number, so that nothing closes it.
        self.lifeline_pipe: int | None = None

    # What runs

    def record(self, name: str) -> ServiceRecord | None:
        """The record of a service, whether it still runs or not."""
        return read_record(self.home.record(name))

    def running(self, name: str) -> bool:
        """Whether the service's process lives."""
        record = self.record(name)
        return record is not None and record.alive()

    def addresses(self) -> dict[str, str]:
        """Addresses of the services that run and serve something."""
        return addresses(self.home)

    def address(self, name: str) -> str:
        """The address of a service that must run.

        Raises:
            UnreachableError: It does not.
        """
        return address(self.home, name)

    def status(self) -> list[ServiceStatus]:
        """How each service is, in the fixed order; every service that lives is asked, all at the same time."""
        elsewhere = provided(self.home)
        supervised = supervisor_client.find_supervisor(self.home) is not None
        down = not any(self.home.record(name).exists() for name in NAMES)

        def look(name: str) -> ServiceStatus:
            return self._elsewhere(name) if name in elsewhere else self._status(name, supervised, down)

        with ThreadPoolExecutor(len(NAMES), thread_name_prefix="status") as pool:
            return list(pool.map(look, NAMES))

    def _elsewhere(self, name: str) -> ServiceStatus:
        given = profile(self.home)
        known = {"kafka": given.bootstrap, "registry": given.registry_url, "clickhouse": given.clickhouse_url}
        return ServiceStatus(name, "elsewhere", known[name])

    def _status(self, name: str, supervised: bool, down: bool) -> ServiceStatus:
        record = self.record(name)
        if record is None:
            hint = advice(name, "stopped", None, whole_stack_down=down and name == NAMES[0])
            return ServiceStatus(name, "stopped", hint=hint)
        seen = observe(
            self.home,
            SERVICES[name],
            record,
            supervised=supervised,
            start_s=self.settings.start_timeout_s * SERVICES[name].timeout_factor,
        )
        alive = record.alive()
        if seen.state == "running" and supervised and not record.confirmed:
            # Started again by the supervisor, and seen well for the first time: from now on silence means that it hangs.
            with contextlib.suppress(ClickreelError):
                supervisor_client.confirm(self.home, name)
        return ServiceStatus(
            name,
            seen.state,
            record.address,
            record.pid if alive else None,
            record.version,
            record.started if alive else None,
            record.log if Path(record.log).exists() else "",
            record.restarts,
            record.exit_code,
            seen.reason,
            advice(name, seen.state, seen.pid or record.pid, whole_stack_down=down),
        )

    # Start

    def ensure(self, names: Iterable[str], *, attached: bool = False, report: Report = silent) -> list[str]:
        """Start those of the named services that do not run, with all that they need, and wait until all of them are ready.

        A failure of one is no reason to end another: what does not need it is started all the same, and what runs goes on.

        Args:
            names: Services and tasks.
            attached: Let the whole stack end when this process ends, if this call is the one that starts its supervisor.
            report: Called with every event of every step.

        Returns:
            The names of the services that were missing.

        Raises:
            ClickreelError: One could not be started, or does not answer. When interrupted, what this call had started is ended again.
        """
        with self.home.locked("up", reentrant=True):
            wanted = self.closure(names)
            self._end_orphans()
            missing = [name for name in wanted if name in SERVICES and not self.running(name)]
            if missing:
                jars.require_space(self.home.path, HOME_BYTES)
                self._choose_token()
                lifeline_pipe = supervisor_client.ensure_supervisor(self.home, attached=attached)
                self.lifeline_pipe = self.lifeline_pipe if lifeline_pipe is None else lifeline_pipe
            cancel = threading.Event()
            try:
                run(self._steps(wanted, missing, report, cancel), report, cancel)
            except KeyboardInterrupt:
                for name in sorted(missing, key=NAMES.index, reverse=True):
                    self.stop(name)
                raise
            return missing

    def closure(self, names: Iterable[str]) -> list[str]:
        """The named services and tasks and all that they need, in starting order."""
        every: dict[str, Service | InitTask] = {**SERVICES, **INIT_TASKS}
        elsewhere = provided(self.home)
        wanted: set[str] = set()
        todo = list(names)
        while todo:
            name = todo.pop()
            if name not in every:
                raise UsageError(f"there is no service {name!r}", hint=f"one of: {', '.join(SERVICES)}")
            if name not in wanted and name not in elsewhere:
                wanted.add(name)
                todo += every[name].needs
        return [name for name in every if name in wanted]

    def choose_run(self, options: dict[str, object]) -> list[str]:
        """Set the run to stream; a producer that streams another one is ended, so that the next start begins the new one.

        Args:
            options: See :func:`clickreel.local.run_options.changed`.

        Returns:
            The services that were ended.
        """
        given = changed(self.home, options)
        if given is None:
            return []
        self.home.make()
        # The producer streams another run; with another profile ingest would talk to the wrong services.
        other_profile = given.get("profile") != remembered(self.home).get("profile")
        ended = [name for name in (("producer", "ingest") if other_profile else ("producer",)) if self.stop(name)]
        self.home.write(RUN_FILE, given)
        return ended

    def _choose_token(self) -> None:
        """Make the home's token, or take the password of the settings for it; not while a service runs that knows the one before."""
        password = stage_settings.load(ClickHouseSettings, "local_clickhouse").password
        if password and not any(map(self.running, NAMES)):
            self.home.set_token(password)
        self.home.token()

    def _end_orphans(self) -> None:
        """End what a killed supervisor has left; its shims are doing the same, and may take their time of grace."""
        if supervisor_client.find_supervisor(self.home) is None:
            for name in reversed(NAMES):
                record = self.record(name)
                if record is not None and (record.alive() or record.shim.alive()):
                    child.end(record)

    def _steps(
        self, wanted: Sequence[str], missing: Sequence[str], report: Report, cancel: threading.Event
    ) -> list[Step]:
        steps: list[Step] = []
        tasks = [INIT_TASKS[name] for name in wanted if name in INIT_TASKS]
        already_done = {task.name for task in tasks if task.already_done(self.home)}
        for service in (SERVICES[name] for name in wanted if name in SERVICES):
            needs = tuple(need for need in service.needs if need not in already_done)
            if service.name not in missing:
                steps.append(Step(service.name, partial(self._keep, service, cancel), result="kept"))
                continue
            if jars.missing(service.jars):
                fetch = f"{service.name} jars"
                steps.append(Step(fetch, partial(self._fetch, service, fetch, report, cancel)))
                needs = (*needs, fetch)
            steps.append(Step(service.name, partial(self._start, service, cancel), needs))
        return steps + [Step(task.name, partial(self._do, task, cancel), task.needs) for task in tasks]

    def _do(self, task: InitTask, cancel: threading.Event) -> str:
        """Do a task; a service of ours that is too busy to answer is asked again, because its process lives."""
        deadline = time.monotonic() + self.settings.start_timeout_s
        patient = not provided(self.home)
        while True:
            try:
                return task.run(StartContext(self.home, self.settings, self.addresses()))
            except UnreachableError:
                if not patient or cancel.is_set() or time.monotonic() > deadline:
                    raise
                cancel.wait(0.5)

    def _fetch(self, service: Service, step: str, report: Report, cancel: threading.Event) -> str:
        begun = time.monotonic()

        def progress(done: int, total: int) -> None:
            if cancel.is_set():
                raise _CancelledError
            report(StepEvent(step, "fetch", time.monotonic() - begun, done=done, total=total))

        return f"{jars.fetch(service.jars, progress) / 1e6:,.0f} MB"

    def _keep(self, service: Service, cancel: threading.Event) -> str:
        """Wait until a service that runs already answers; a paused or hung one is an error within its deadline."""
        record = self.record(service.name)
        if record is None:
            raise UnreachableError(f"{service.name} was stopped meanwhile", hint="clickreel up --detach")
        limit_s = self.settings.answer_timeout_s if record.confirmed else self._start_s(service)
        self._await_ready(service, limit_s, cancel)
        return record.address

    def _start(self, service: Service, cancel: threading.Event) -> str:
        launch = service.launch(StartContext(self.home, self.settings, self.addresses()))
        env = {
            **os.environ,
            **launch.env,
            "CLICKREEL_HOME": str(self.home.path),
            heartbeat.VARIABLE: str(self.home.heartbeat(service.name)),
            log_setup.SERVICE_VARIABLE: service.name,
        }
        spec = ServiceSpec(
            service.name,
            launch.argv,
            env,
            str(Path.cwd()),
            str(self.home.log(service.name)),
            launch.address,
            launch.version,
            NAMES.index(service.name),
            service.restart_after_success,
            runs_in_java=bool(service.jars),
        )
        supervisor_client.start(self.home, spec)
        self._await_ready(service, self._start_s(service), cancel)
        return launch.address

    def _start_s(self, service: Service) -> float:
        return self.settings.start_timeout_s * service.timeout_factor

    def _await_ready(self, service: Service, limit_s: float, cancel: threading.Event) -> None:
        """Wait until a service is ready, and have the supervisor note it.

        Raises:
            ClickreelError: It ended, is paused, or is not ready in time. A service that lives is left alone: it may only be slow.
        """
        deadline = time.monotonic() + limit_s
        name = service.name
        while True:
            record = self.record(name)
            if record is None:
                raise UnreachableError(f"{name} was stopped while it started", hint="clickreel up --detach")
            if record.phase == "failed":
                code = record.exit_code if record.exit_code is not None else 1
                raise explain_exit(name, Path(record.log), code, runs_in_java=bool(service.jars))
            if supervisor_client.find_supervisor(self.home) is None:
                raise UnreachableError("the supervisor ended while the stack started", hint="clickreel up --detach")
            seen = observe(self.home, service, record, supervised=True, start_s=limit_s)
            if seen.state == "running":
                break
            if seen.state == "paused" or time.monotonic() > deadline:
                waited = "" if seen.state == "paused" else f" after {limit_s:.0f} s, and is left as it is"
                raise UnreachableError(
                    f"{name} is {seen.state}{waited}" + (f": {seen.reason}" if seen.reason else ""),
                    hint=advice(name, seen.state, seen.pid or record.pid, whole_stack_down=False),
                )
            if cancel.wait(_POLL_S):
                raise _CancelledError
        if not record.confirmed:
            supervisor_client.confirm(self.home, name)

    # Stop

    def down(self, *, purge: bool = False) -> StopResult:
        """End every service in reverse order of starting, and the supervisor, and verify that nothing is left.

        An ``up`` that is still starting things is interrupted first.

        Args:
            purge: Delete the home's contents too.

        Raises:
            ClickreelError: A process could not be ended.
        """
        if not self.home.path.exists():
            return StopResult(())
        self.home.note_down()
        holder = self.home.lock_holder()
        if holder is not None and holder[0] == "up" and holder[1].pid != os.getpid():
            holder[1].signal(signal.SIGTERM)
        with self.home.locked("down"):
            ended = supervisor_client.shut_down(self.home)
            self._close_lifeline()
            for name in reversed(NAMES):
                record = self.record(name)
                if record is None:
                    continue
                if record.alive() or record.shim.alive():
                    child.end(record)
                    ended.append(name)
                if not record.alive():
                    self.home.record(name).unlink(missing_ok=True)
            left = [name for name in NAMES if self.running(name)]
            if supervisor_client.find_supervisor(self.home) is not None:
                left.append("the supervisor")
            if left:
                raise ClickreelError(f"still running after down: {', '.join(left)}", hint="clickreel status")
            return StopResult(tuple(ended), self._purge() if purge else 0)

    def stop(self, name: str) -> bool:
        """End one service on purpose if it runs; returns whether it did."""
        record = self.record(name)
        if record is None:
            return False
        try:
            return supervisor_client.stop(self.home, name)
        except supervisor_client.NotSupervisedError:
            lived = record.alive()
            if child.end(record):
                self.home.record(name).unlink(missing_ok=True)
            return lived

    def _close_lifeline(self) -> None:
        if self.lifeline_pipe is not None:
            os.close(self.lifeline_pipe)
            self.lifeline_pipe = None

    def _purge(self) -> int:
        deleted = 0
        for own in ("lock.json", "down.json"):  # this command's, and no data
            (self.home.path / own).unlink(missing_ok=True)
        for entry in (self.home.path / name for name in CONTENTS):
            deleted += _delete(entry)
        if not any(self.home.path.iterdir()):
            with contextlib.suppress(OSError):  # a link or a mount point stays
                self.home.path.rmdir()
        return deleted


def _delete(entry: Path) -> int:
    """Delete a file, a folder, or what a link to a folder leads to, and the link; returns the bytes that were freed."""
    if entry.is_symlink():
        target = entry.resolve()
        entry.unlink()
        # Somebody has put the data onto another disk: its contents are the home's, the folder itself is theirs.
        return sum(_delete(inner) for inner in target.iterdir()) if target.is_dir() else 0
    if not entry.is_dir():
        if not entry.exists():
            return 0
        seen = entry.lstat()
        entry.unlink()
        # Kafka sets its indexes' length ahead: files that are longer than what they occupy count for what they occupy.
        return min(seen.st_size, 512 * seen.st_blocks)
    files = [path.lstat() for path in entry.rglob("*") if not path.is_symlink() and path.is_file()]
    shutil.rmtree(entry)
    return sum(min(seen.st_size, 512 * seen.st_blocks) for seen in files)


def is_well(services: Iterable[ServiceStatus]) -> bool:
    """Whether Kafka runs, here or elsewhere, and nothing that was started is unwell."""
    states = {service.name: service.state for service in services}
    return states["kafka"] in {"running", "elsewhere"} and not NOT_WELL & set(states.values())
