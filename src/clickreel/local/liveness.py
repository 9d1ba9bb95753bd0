"""How a service is, judged by what it answers, lands and has acknowledged; a living process alone proves nothing."""

from __future__ import annotations

import time
from dataclasses import dataclass

from clickreel.heartbeat import Pulse, read_pulse
from clickreel.local.child import ServiceRecord
from clickreel.local.home import Home
from clickreel.local.service import Service

# Work that stands still for so long is a stall: a live stream lands and acknowledges several times a second, and the longest pause that a
# healthy one makes is a broker's rebalance of a few seconds.
STALL_S = 30.0
# Heartbeats come once a second from a thread of their own; on a machine with ten times more to do than processors a few seconds are missed.
SILENT_S = 15.0
# A loaded service is asked again for this long before it is called hung.
PATIENCE_S = 6.0

# In each of these states something is to be done, or to be waited for.
NOT_WELL = frozenset({"starting", "restarting", "stalled", "paused", "hung", "failed"})


@dataclass(frozen=True)
class ServiceStatus:
    """How a service is.

    Attributes:
        name: The service.
        state: ``running``; ``starting`` (alive, was not ready yet); ``stalled`` (alive, and its work stands still); ``paused`` (stopped by
            a signal); ``hung`` (alive, and does not answer any more); ``restarting`` (ended by itself, the supervisor starts it again);
            ``failed`` (ended, and nobody starts it again); ``stopped``; or ``elsewhere`` (a service of the profile that ``up`` was given).
        address: Where it serves, or served last.
        pid: Its process id, or ``None``.
        version: Of its program.
        started: Seconds since 1970, or ``None``.
        log: Its log file, or empty when it never ran.
        restarts: How often the supervisor has started it again.
        exit_code: How it ended last (128 + signal), or ``None``.
        reason: Why it is not well, or ended last, in words.
        hint: What helps; empty when nothing is to be done.
    """

    name: str
    state: str
    address: str = ""
    pid: int | None = None
    version: str = ""
    started: float | None = None
    log: str = ""
    restarts: int = 0
    exit_code: int | None = None
    reason: str = ""
    hint: str = ""


@dataclass(frozen=True)
class Observation:
    """The state of a service.

    Attributes:
        state: See :class:`ServiceStatus`.
        reason: Why, in words.
        pid: The process at fault, where that is another than the service's own.
    """

    state: str
    reason: str = ""
    pid: int = 0


def observe(home: Home, service: Service, record: ServiceRecord, *, supervised: bool, start_s: float) -> Observation:
    """Judge a service that was started.

    Args:
        home: Its home.
        service: What it is.
        record: Its record.
        supervised: Whether the home's supervisor lives.
        start_s: How long it may take to become ready.
    """
    if not record.alive():
        return _observe_ended(record, supervised)
    paused = next((process for process in (record.process, record.shim) if process.is_paused()), None)
    if paused is not None:
        return Observation("paused", f"process {paused.pid} is stopped by a signal", paused.pid)
    young = not record.confirmed and time.time() - record.started < start_s
    pulse = read_pulse(home.heartbeat(service.name))
    if service.reports_ready and young and not pulse.ready:
        return Observation("starting", pulse.message)
    if service.answers is None:
        return _observe_pulse(pulse, record, young=young)
    if answers_patiently(service, record, 0.0 if young else PATIENCE_S):
        return Observation("running")
    if not record.alive():
        return _observe_ended(record, supervised)
    return Observation("starting") if young else Observation("hung", "it does not answer any more")


def answers_patiently(service: Service, record: ServiceRecord, patience_s: float) -> bool:
    """Whether a service answers, asked again for a while."""
    assert service.answers is not None
    deadline = time.monotonic() + patience_s
    while not service.answers(record.address):
        if time.monotonic() >= deadline or not record.alive():
            return False
        time.sleep(0.1)
    return True


def _observe_ended(record: ServiceRecord, supervised: bool) -> Observation:
    if record.phase == "failed":
        return Observation("failed", record.reason)
    if not supervised:
        return Observation("failed", "it ended with its supervisor, which was killed")
    return Observation("restarting", record.reason)


def _observe_pulse(pulse: Pulse, record: ServiceRecord, *, young: bool) -> Observation:
    now = time.time()
    if pulse.written < record.started:  # nothing was heard of this process yet
        silent_s = now - record.started
        return (
            Observation("starting") if young or silent_s < SILENT_S else Observation("hung", "it sends no heartbeats")
        )
    if now - pulse.written > SILENT_S:
        return Observation("hung", f"its last heartbeat is {now - pulse.written:.0f} s old")
    if not pulse.ready:
        if young:
            return Observation("starting", pulse.message)
        return Observation("stalled", pulse.message or f"not ready after {now - record.started:.0f} s")
    if now - pulse.progress > STALL_S:
        return Observation("stalled", pulse.message or f"nothing was done for {now - pulse.progress:.0f} s")
    return Observation("running", pulse.message)


def advice(name: str, state: str, pid: int | None, *, whole_stack_down: bool) -> str:
    """What helps a service in a state; empty when nothing is to be done."""
    match state:
        case "starting" | "restarting" | "stalled":
            return f"clickreel logs {name}"
        case "paused":
            return f"kill -CONT {pid}"
        case "hung":
            return f"kill -9 {pid} (the supervisor starts it again), or look first: clickreel logs {name}"
        case "failed":
            return f"clickreel logs {name}, then: {'clickreel sql' if name == 'flink' else 'clickreel up --detach'}"
        case "stopped" if whole_stack_down:
            return "clickreel up --detach"
    return ""
