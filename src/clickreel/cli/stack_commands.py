"""``clickreel up``, ``down``, ``status``, ``logs`` and ``doctor``: the local stack."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clickreel.cli.output import Json, as_typed, print_err, print_json, print_out, print_table
from clickreel.cli.world_options import Films, Flaws, MeanRate, Rate, Run, Scenario, Seed, Users

if TYPE_CHECKING:
    from clickreel.local.stack import Stack
    from clickreel.process import Process

# The parts that `up` starts; Flink is started by the first query that needs it.
STARTED = ("kafka", "registry", "topic", "contract", "clickhouse", "ingest", "console", "producer", "films")


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    for command in (up, down, status, logs, doctor):
        app.command()(command)


def up(  # noqa: PLR0917 - one parameter an option
    detach: Annotated[bool, typer.Option("--detach", "-d", help="Return once all is ready; `down` ends it.")] = False,
    rate: Rate = None,
    mean_rate: MeanRate = None,
    seed: Seed = None,
    start: Annotated[
        str | None, typer.Option("--from", help="Begin in the past: 14d, 6h, or a time. [default: now]")
    ] = None,
    speed: Annotated[float | None, typer.Option("--speed", help="Play the timeline so many times as fast.")] = None,
    films: Films = None,
    users: Users = None,
    scenario: Scenario = None,
    flaws: Flaws = None,
    run: Run = None,
    profile: Annotated[
        Path | None,
        typer.Option(
            help="client.properties of a Kafka to stream to, instead of a local one.", envvar="CLICKREEL_PROFILE"
        ),
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option("--only", help="Start this part and what it needs alone; can be repeated.")
    ] = None,
    json: Json = False,
) -> None:
    """Start what is missing, create the topic, register the contract, and stream.

    Example: [bold]clickreel up[/bold], or [bold]clickreel up --detach --rate 50[/bold]

    Runs in the foreground until Ctrl-C, which ends the stack and keeps its data. A second `up` finds what runs and starts what is
    missing; without options it goes on with the run of before.
    """
    from clickreel.local import run_options
    from clickreel.local.stack import Stack

    stack = Stack()
    options = {
        "rate": rate,
        "mean_rate": mean_rate,
        "seed": seed,
        "from": start,
        "speed": speed,
        "films": films if films is None or films.isdigit() else str(Path(films).absolute()),
        "users": users,
        "scenario": scenario,
        "flaws": flaws,
        "run": run,
        "profile": profile.absolute() if profile else None,
    }
    _check(options)
    before = run_options.remembered(stack.home), run_options.run(stack.home)
    run_options.choose(stack, options)
    if before[1] and before[0] != run_options.remembered(stack.home) and not json:
        print_err(
            f"run {before[1]} is left where it is, its events stay in the topic; the run of these options begins or goes on"
        )
    names = tuple(only or STARTED)
    if detach:
        _start_detached(stack, names, json)
    else:
        _run_here(stack, names, json)


def _check(options: dict[str, Any]) -> None:
    """Refuse now what the producer would refuse once everything else has started."""
    from clickreel import timespec
    from clickreel.errors import UsageError
    from clickreel.simulate import scenarios
    from clickreel.stream.send_schedule import wall_clock

    names = ("rate", "mean_rate", "seed", "users", "scenario", "flaws", "run")
    scenarios.load({name: options[name] for name in names})
    speed, start, films = options["speed"], options["from"], options["films"]
    if speed is not None and not 0 < speed <= 1e6:
        raise UsageError(f"--speed is {speed:g}", hint="allowed: above 0, up to 1,000,000")
    if start is not None:
        timespec.instant_ms(start, wall_clock(), "--from")
    if films is not None and not films.isdigit():
        from clickreel.simulate.films import read_csv

        read_csv(Path(films))
    if options["profile"] is not None:
        from clickreel.cli.target_options import broker, topic_name

        broker(options["profile"]).topic(topic_name(None))  # before the stream that runs is ended for one that cannot


def _start_detached(stack: Stack, names: tuple[str, ...], json: bool) -> None:
    from clickreel.cli.checklist import Checklist

    begun = time.monotonic()
    with Checklist() as checklist:
        stack.ensure(names, report=checklist)
    _greet(stack, time.monotonic() - begun, json, ends="clickreel down")


def _run_here(stack: Stack, names: tuple[str, ...], json: bool) -> None:
    """Be the supervisor: start, watch, and end the parts when this process is asked to end."""
    from clickreel.cli.checklist import Checklist
    from clickreel.local import elders, supervisor

    begun = time.monotonic()
    stack.home.make()
    with supervisor.ended_by_signal():
        leader = elders.register(stack.home, ends_with_parts=True)
        try:
            with Checklist() as checklist:
                started = stack.ensure(names, attached=True, report=checklist)
            _greet(stack, time.monotonic() - begun, json, ends="Ctrl-C" if started else "clickreel down")
            if started and supervisor.watch(stack, leader, _died) == "stopped":
                print_err("all parts were ended; the data is kept")
        except KeyboardInterrupt:
            _end_here(stack, leader)
            raise
        finally:
            stack.stop_children()
            elders.withdraw(stack.home)


def _end_here(stack: Stack, leader: Process | None) -> None:
    """End the whole stack when this process leads it, else what it started."""
    print_err("ending ...")
    begun = time.monotonic()
    # The record goes first: `down` waits for the supervisors that have nothing left to do, and this one is busy with `down`.
    ended = stack.stop_children() if leader is not None else [*stack.down().parts]
    if not ended:  # interrupted while it started: what had begun was ended there
        print_err(f"nothing is left running; the data is kept in {stack.home.path}")
        return
    print_err(f"ended {', '.join(ended)} in {time.monotonic() - begun:.1f} s; the data is kept in {stack.home.path}")


def _died(name: str, code: int) -> None:
    how = f"by signal {code - 128}" if code > 128 else f"with code {code}"
    print_err(
        (f"{name} ended by itself {how}", "yellow"),
        f"; see: clickreel logs {name}; start it again: clickreel up --detach",
    )


def _greet(stack: Stack, seconds: float, json: bool, *, ends: str) -> None:
    """Say where everything is and what to type next."""
    if json:
        print_json({**_answer(stack), "seconds": round(seconds, 3)})
        return
    print_err(f"ready in {seconds:.1f} s")
    print_err()
    for name, address in stack.addresses().items():
        print_err(f"  {name:<11} {address}")
    print_err()
    from clickreel.cli.app import app

    known = {command.callback.__name__ for command in app.registered_commands if command.callback is not None}
    known |= {group.name for group in app.registered_groups if group.name}
    if not any(part.name == "ingest" and part.state == "running" for part in stack.status()):
        known -= {"trending"}  # nothing lands what it would answer from
    next_ones = (
        ("messages", "clickreel messages --follow", "watch the events arrive"),
        ("monitor", "clickreel monitor", "rates, one point a second"),
        ("sql", 'clickreel sql -e "select * from dvd_clicks limit 20"', "query the topic"),
        ("trending", "clickreel trending", "what people watch now"),
        ("status", "clickreel status", "what runs where"),
    )
    width = max(len(as_typed(line)) for _, line, _ in next_ones)
    for command, line, meaning in next_ones:
        if command in known:
            print_err(f"  {as_typed(line):<{width}} {meaning}")
    print_err(f"  {as_typed(ends):<{width}} ends it, the data is kept")


def _answer(stack: Stack) -> dict[str, Any]:
    from clickreel.ingest.freshness import read_status
    from clickreel.local import run_options, stream_services

    parts = stack.status()
    lives = {part.name: part.state for part in parts}
    return {
        "ok": lives["kafka"] in {"running", "elsewhere"} and not {"crashed", "starting"} & set(lives.values()),
        "home": str(stack.home.path),
        "topic": stream_services.topic_name(),
        "run": run_options.run(stack.home),
        "ingest": read_status(stack.home.path, stream_services.topic_name()),
        "parts": [{**dataclasses.asdict(part), "pid": part.pid, "address": part.address or None} for part in parts],
    }


def down(
    purge: Annotated[bool, typer.Option("--purge", help="Delete the data too.")] = False,
    json: Json = False,
) -> None:
    """End all parts and verify that none is left; the data is kept.

    Example: [bold]clickreel down[/bold]
    """
    from clickreel.local.stack import Stack

    stack = Stack()
    begun = time.monotonic()
    stopped = stack.down(purge=purge)
    if json:
        print_json({"ok": True, "ended": list(stopped.parts), "deleted_bytes": stopped.deleted_bytes})
        return
    seconds = time.monotonic() - begun
    print_err(f"ended {', '.join(stopped.parts)} in {seconds:.1f} s" if stopped.parts else "nothing was running")
    if purge:
        print_err(f"deleted {stopped.deleted_bytes / 1e6:,.1f} MB in {stack.home.path}")


def status(json: Json = False) -> int:
    """What runs, where, and since when; leaves with 1 unless all that was started works.

    Example: [bold]clickreel status[/bold]
    """
    from clickreel.local.stack import Stack

    stack = Stack()
    answer = _answer(stack)
    if json:
        print_json(answer)
    else:
        rows = [
            (
                part["name"],
                part["state"],
                part["address"] or "",
                part["pid"] or "",
                _age(part["started"]),
            )
            for part in answer["parts"]
        ]
        print_table(("part", "state", "address", "pid>", "since"), rows)
        print_err(f"topic {answer['topic']}, run {answer['run'] or 'none'}, home {answer['home']}")
        if answer["ingest"]:
            print_err(_landed(answer["ingest"]))
    return 0 if answer["ok"] else 1


def _landed(standing: dict[str, Any]) -> str:
    """How ingest stands, in a line."""
    dead = sum(one["rows"] for one in standing["dead"] if one["error"] != "gap")
    text = f"landed {standing['rows']:,} rows since its start, {dead:,} of them dead letters"
    if "p99_ms" not in standing:
        return text
    return f"{text}; queryable after {standing['p50_ms']:.0f} ms (p50), {standing['p99_ms']:.0f} ms (p99)"


def _age(started: float | None) -> str:
    if started is None:
        return ""
    seconds = int(time.time() - started)
    if seconds < 120:
        return f"{seconds} s"
    return f"{seconds // 60} min" if seconds < 7200 else f"{seconds // 3600} h"


def logs(
    part: Annotated[str | None, typer.Argument(help="A part; all of them without it.")] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what is written from now on.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="How many of the last lines of each log.")] = 20,
    json: Json = False,
) -> None:
    """What the parts wrote.

    Example: [bold]clickreel logs kafka --follow[/bold]
    """
    from clickreel.local import logs as logs_of
    from clickreel.local.home import Home

    home = Home.default()
    names = logs_of.names(home, part)
    for line in logs_of.read(home, names, lines, go_on=follow):
        if json:
            print_json(dataclasses.asdict(line))
        else:
            print_out(line.text if part else f"{line.part:<10} {line.text}")


def doctor(json: Json = False) -> int:
    """Look at Java, jars, ports, disk, memory, clock and every part; each fault comes with its mend.

    Example: [bold]clickreel doctor[/bold]

    Leaves with 3 when something is missing on the machine, with 4 when a part that was started does not work.
    """
    from clickreel.local import doctor as doctors
    from clickreel.local.services import NAMES
    from clickreel.local.stack import Stack

    findings = list(doctors.examine(Stack()))
    faults = [finding for finding in findings if finding.ok is False]
    if json:
        print_json({"ok": not faults, "checks": [dataclasses.asdict(finding) for finding in findings]})
    else:
        marks = {True: ("✓", "green"), False: ("✗", "red"), None: ("-", "dim")}
        for finding in findings:
            print_err(marks[finding.ok], f" {finding.name:<14} {finding.detail}")
            if finding.ok is False:
                print_err(f"  {'hint:':<14} ", (as_typed(finding.hint), "bold"))
    if not faults:
        return 0
    return 3 if any(finding.name not in NAMES for finding in faults) else 4
