"""The doctor: what a stack needs from the machine, and whether its services do their work. Every fault comes with what fixes it."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import psutil

from clickreel import __version__
from clickreel.errors import ClickreelError
from clickreel.local import jars, java, ports
from clickreel.local.init_tasks import drift
from clickreel.local.run_options import given_profile
from clickreel.local.service import NAMES
from clickreel.local.stack import Stack

# A home holds its data, a cache 340 MB of jars and 210 MB unpacked; a day of 20 events/s is 400 MB.
DISK_BYTES = 2 << 30
# Kafka 375 MB, registry 240 MB, ClickHouse 400 MB, our own processes 400 MB, measured while 20 events/s stream.
MEMORY_BYTES = 1536 << 20
# The first release; a clock before it is wrong, and retention by time would delete every event at once.
OLDEST_CLOCK_S = 1_767_225_600  # 2026-01-01


@dataclass(frozen=True)
class Finding:
    """One line of the doctor.

    Args:
        name: What was looked at.
        ok: ``None`` when it does not apply now, such as a service that is not started.
        detail: What was found.
        hint: The command that fixes it; empty unless ``ok`` is false.
    """

    name: str
    ok: bool | None
    detail: str
    hint: str = ""


def examine(stack: Stack) -> Iterator[Finding]:
    """Look at everything, in the order in which faults hide one another."""
    for name, look in CHECKS:
        try:
            yield look(stack)
        except ClickreelError as exc:
            yield Finding(name, ok=False, detail=exc.message, hint=exc.hint)
    yield from _services(stack)


def _clickreel(stack: Stack) -> Finding:
    return Finding("clickreel", ok=True, detail=f"{__version__}, home {stack.home.path}")


def _home(stack: Stack) -> Finding:
    stack.home.make()
    return Finding("home", ok=True, detail=f"{stack.home.path} can be written")


def _java(stack: Stack) -> Finding:
    del stack
    program = java.java()
    return Finding("java", ok=True, detail=f"{java.version(program)} at {program}")


def _jars(stack: Stack) -> Finding:
    del stack
    groups = [group for group in jars.lock() if group != "kafka-tools"]
    corrupted = jars.corrupt(groups)
    if corrupted:
        names = ", ".join(artifact.filename for artifact in corrupted)
        return Finding("jars", ok=False, detail=f"corrupt in {jars.folder()}: {names}", hint="clickreel jars fetch")
    absent = jars.missing(groups)
    if absent:
        size = sum(artifact.size for artifact in absent) / 1e6
        return Finding("jars", ok=None, detail=f"{len(absent)} files ({size:,.0f} MB) are fetched at first use")
    return Finding("jars", ok=True, detail=f"all in {jars.folder()}, every SHA-256 as locked")


def _flink_pairing(stack: Stack) -> Finding:
    """The connector's version ends with the Flink version that it was built for."""
    del stack
    flink = jars.version("flink")
    connector = next(a.version for a in jars.lock()["flink"] if a.name == "flink-sql-connector-kafka")
    fits = flink.startswith(connector.rpartition("-")[2] + ".")
    return Finding(
        "flink pairing",
        ok=fits,
        detail=f"Flink {flink} with Kafka connector {connector}",
        hint="" if fits else "pip install --force-reinstall clickreel",
    )


def _ports(stack: Stack) -> Finding:
    known: dict[str, int] = stack.home.read("ports.json")
    runs = {int(address.rpartition(":")[2].partition("/")[0]) for address in stack.addresses().values()}
    fixed = {name: getattr(stack.settings, f"{name}_port", 0) for name in NAMES}
    taken = [f"{name} {port}" for name, port in fixed.items() if port and port not in runs and not ports.free(port)]
    if taken:
        return Finding(
            "ports",
            ok=False,
            detail=f"taken by another program: {', '.join(taken)}",
            hint=f"end that program, or set CLICKREEL_LOCAL_{taken[0].split()[0].upper()}_PORT=0",
        )
    listed = ", ".join(f"{name} {port}" for name, port in sorted(known.items()))
    return Finding("ports", ok=True, detail=f"{ports.HOST}: {listed or 'free ones are taken at the first start'}")


def _disk(stack: Stack) -> Finding:
    places = {"home": stack.home.path, "cache": jars.folder()}
    for name, path in places.items():
        there = path
        while not there.exists():
            there = there.parent
        free = shutil.disk_usage(there).free
        if free < DISK_BYTES:
            variable = "CLICKREEL_HOME" if name == "home" else "CLICKREEL_CACHE"
            return Finding(
                "disk",
                ok=False,
                detail=f"{free / 1e9:.1f} GB free for the {name} ({path}), {DISK_BYTES / 1e9:.1f} GB wanted",
                hint=f"free some space, or set {variable} to a folder on a larger disk",
            )
    return Finding("disk", ok=True, detail=f"{shutil.disk_usage(stack.home.path).free / 1e9:,.0f} GB free")


def _memory(stack: Stack) -> Finding:
    free = psutil.virtual_memory().available
    if free < MEMORY_BYTES and not stack.addresses():
        return Finding(
            "memory",
            ok=False,
            detail=f"{free / 1e9:.1f} GB available, {MEMORY_BYTES / 1e9:.1f} GB wanted",
            hint="end some programs, or set CLICKREEL_LOCAL_KAFKA_HEAP_MB=256",
        )
    return Finding("memory", ok=True, detail=f"{free / 1e9:.1f} GB available")


def _clock(stack: Stack) -> Finding:
    del stack
    now = time.time()
    stamp = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(now))
    if now < OLDEST_CLOCK_S:
        return Finding("clock", ok=False, detail=f"it says {stamp}", hint="set the clock: timedatectl set-ntp true")
    return Finding("clock", ok=True, detail=stamp)


def _topic(stack: Stack) -> Finding:
    if "kafka" not in stack.addresses() and not given_profile(stack.home):
        return Finding("topic", ok=None, detail="Kafka does not run")
    differs = drift(stack.home)
    if differs:
        return Finding("topic", ok=False, detail="; ".join(differs), hint="clickreel topic check")
    return Finding("topic", ok=True, detail="as the settings want it")


CHECKS: tuple[tuple[str, Callable[[Stack], Finding]], ...] = (
    ("clickreel", _clickreel),
    ("home", _home),
    ("java", _java),
    ("jars", _jars),
    ("flink pairing", _flink_pairing),
    ("ports", _ports),
    ("disk", _disk),
    ("memory", _memory),
    ("clock", _clock),
    ("topic", _topic),
)


def _services(stack: Stack) -> Iterator[Finding]:
    for service in stack.status():
        if service.state in {"running", "elsewhere"}:
            yield Finding(service.name, ok=True, detail=service.address or f"process {service.pid}")
        elif service.state == "stopped":
            yield Finding(service.name, ok=None, detail="not started")
        else:
            why = f"{service.state}{f': {service.reason}' if service.reason else ''}"
            log = f", its log is {service.log}" if service.log else ""
            yield Finding(service.name, ok=False, detail=why + log, hint=service.hint)
