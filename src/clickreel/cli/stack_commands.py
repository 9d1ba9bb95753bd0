"""``clickreel up``, ``down``, ``status``, ``logs`` and ``doctor``: the local stack."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clickreel.cli.output import Json, as_typed, print_err, print_error, print_json, print_out, print_table
from clickreel.cli.world_options import Films, Flaws, MeanRate, Rate, Run, Scenario, Seed, Users
from clickreel.errors import ClickreelError
from clickreel.quantities import quantity

if TYPE_CHECKING:
    from clickreel.local.liveness import ServiceStatus
    from clickreel.local.stack import Stack

# What `up` starts; Flink is started by the first query that needs it.
STARTED = ("kafka", "registry", "topic", "contract", "clickhouse", "ingest", "producer", "films", "console")
# How often an `up` in the foreground looks at what the supervisor has noted.
_WATCH_S = 0.5


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    for command in (up, down, status, logs, doctor):
        app.command()(command)


def up(  # noqa: PLR0917 - one parameter an option
    detach: Annotated[bool, typer.Option("--detach", "-d", help="Return once all is ready; `down` stops it.")] = False,
    rate: Rate = None,
    mean_rate: MeanRate = None,
    seed: Seed = None,
    start: Annotated[
        str | None,
        typer.Option("--from", help="Start in the past: 14d, 6h, a time, now. [default: 14d, less above 2.5 events/s]"),
    ] = None,
    speed: Annotated[float | None, typer.Option("--speed", help="Play the timeline this many times as fast.")] = None,
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
        list[str] | None,
        typer.Option("--only", help="Start only this service and what it needs; repeatable."),
    ] = None,
    console: Annotated[bool, typer.Option("--console/--no-console", help="Also serve the web console.")] = True,
    json: Json = False,
) -> None:
    """Start the local stack, create the topic, register the contract, and stream.

    Example: `clickreel up`, or `clickreel up --detach --rate 50`

    Runs in the foreground until Ctrl-C, which stops the stack and keeps its data. A second `up` starts what is missing and, without
    options, continues the same run. A service that exits by itself is restarted.
    """
    from clickreel.interrupts import ended_by_signal
    from clickreel.local.stack import Stack

    options: dict[str, Any] = {
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
    stack = Stack()
    begun = time.monotonic()
    error: ClickreelError | None = None
    with ended_by_signal():
        try:
            with stack.home.locked("up"):
                wanted = _wanted(only, console=console)
                _choose_run(stack, _with_past(stack, options, wanted, _check(options)), quiet=json)
                error = _start(stack, wanted, attached=not detach)
            owned = stack.lifeline_pipe is not None
            _print_ready(stack, time.monotonic() - begun, json, ends="Ctrl-C" if owned else "clickreel down")
            if owned:
                _follow(stack, error)
        except KeyboardInterrupt:
            _end_here(stack)
            raise
    if error is not None:
        raise error


def _wanted(only: list[str] | None, *, console: bool) -> tuple[str, ...]:
    """What to start; an installation without the page's library streams all the same."""
    from importlib.util import find_spec

    if only:
        return tuple(only)
    has_console = console and find_spec("nicegui") is not None
    if console and not has_console:
        print_err("starting without the web console, which is not installed: pip install 'clickreel[console]'")
    return tuple(name for name in STARTED if name != "console" or has_console)


def _start(stack: Stack, names: tuple[str, ...], *, attached: bool) -> ClickreelError | None:
    """Start what is missing. An error comes back instead of being raised when Kafka serves: what runs is of use without the rest."""
    from clickreel.cli.checklist import Checklist
    from clickreel.local.run_options import past_under_way, provided
    from clickreel.local.task_graph import StepEvent

    try:
        with Checklist() as checklist:
            stack.ensure(names, attached=attached, report=checklist)
            if "producer" in names and (begin := past_under_way(stack.home)):
                span = f"since {begin}" if "-" in begin else f"the last {begin}"
                line = f"{span} is backfilled while the stream runs; {as_typed('clickreel status')} shows how far"
                checklist(StepEvent("past", "done", 0.0, line))
    except ClickreelError as exc:
        if attached and stack.lifeline_pipe is not None and ("kafka" in stack.addresses() or provided(stack.home)):
            return exc
        raise
    return None


def _with_past(stack: Stack, options: dict[str, Any], wanted: tuple[str, ...], events_per_s: float) -> dict[str, Any]:
    """The options with the past that a new stream begins with."""
    from clickreel.local.run_options import with_past

    return with_past(stack.home, options, stack.settings.past, events_per_s) if "producer" in wanted else options


def _choose_run(stack: Stack, options: dict[str, Any], *, quiet: bool) -> None:
    """Set the run to stream, and say what becomes of the one before; nothing is done for an `up` that a `down` has overtaken."""
    from clickreel.local import run_options

    if stack.home.was_ended_since_beginning():
        raise ClickreelError("clickreel down was typed after this up: nothing was started", hint="clickreel up")
    before, name = run_options.remembered(stack.home), run_options.streamed_run(stack.home)
    ended = stack.choose_run(options)
    if name and before != run_options.remembered(stack.home) and not quiet:
        stopped = f"{' and '.join(ended)} stopped; " if ended else ""
        print_err(
            f"{stopped}run {name} is no longer streamed, its events stay in the topic; these options start or continue another run"
        )


def _check(options: dict[str, Any]) -> float:
    """Refuse now what the producer would refuse once everything else has started; the run's events a second, roughly."""
    from clickreel import timespec
    from clickreel.errors import UsageError
    from clickreel.simulate import scenarios
    from clickreel.simulate.settings import MEAN_RATE_DEFAULT, USERS_DEFAULT
    from clickreel.stream.send_schedule import wall_clock

    names = ("rate", "mean_rate", "seed", "users", "scenario", "flaws", "run")
    world = scenarios.load({name: options[name] for name in names})
    speed, start, films = options["speed"], options["from"], options["films"]
    if speed is not None and not 0 < speed <= 1e6:
        raise UsageError(f"--speed is {speed:g}", hint="allowed: above 0, up to 1,000,000")
    if start is not None:
        timespec.instant_ms(start, wall_clock(), "--from")
    if films is not None and not films.isdigit():
        from clickreel.simulate.films_csv import read_csv

        read_csv(Path(films))
    if options["profile"] is not None:
        from clickreel.cli.target_options import broker, topic_name

        broker(options["profile"]).topic(topic_name(None))  # before the stream that runs is ended for one that cannot
    return world.target_rate or (world.users or USERS_DEFAULT) / USERS_DEFAULT * MEAN_RATE_DEFAULT


def _follow(stack: Stack, error: ClickreelError | None) -> None:
    """Stay until the stack is ended, and tell what ends by itself meanwhile."""
    from clickreel.local import supervisor_client

    if error is not None:
        print_error(error.message, error.hint)
        print_err(
            f"the services that started keep running; {as_typed('clickreel status')} shows them, Ctrl-C stops them"
        )
    seen: dict[str, tuple[str, int, float]] = {}
    while supervisor_client.find_supervisor(stack.home) is not None:
        for line in _news(stack, seen):
            print_err((line, "yellow"))
        time.sleep(_WATCH_S)
    print_err("all services were ended; the data is kept")


def _news(stack: Stack, seen: dict[str, tuple[str, int, float]]) -> list[str]:
    """What the supervisor has noted since the last look; ``seen`` keeps what was reported."""
    from clickreel.local.service import NAMES

    lines = []
    for name in NAMES:
        record = stack.record(name)
        if record is None:
            continue
        now = (record.phase, record.restarts, record.ended)
        if seen.setdefault(name, now) == now:
            continue
        seen[name] = now
        logs_line = as_typed(f"clickreel logs {name}")
        if record.phase == "restarting":
            pause_s = max(0.0, record.retry_at - time.time())
            lines.append(f"{record.reason}; it is started again in {pause_s:.0f} s; see: {logs_line}")
        elif record.phase == "failed":
            lines.append(f"{name} is not started again: {record.reason}; see: {logs_line}")
        else:
            lines.append(f"{name} was started again (restart {record.restarts})")
    return lines


def _end_here(stack: Stack) -> None:
    """End the whole stack when it lives and dies with this process; another `up` leaves the others' services alone."""
    if stack.lifeline_pipe is None:
        return
    print_err("ending ...")
    begun = time.monotonic()
    ended = stack.down().services
    print_err(
        f"ended {', '.join(ended)} in {time.monotonic() - begun:.1f} s; the data is kept in {stack.home.path}"
        if ended
        else f"nothing is left running; the data is kept in {stack.home.path}"
    )


def _print_ready(stack: Stack, seconds: float, json: bool, *, ends: str) -> None:
    """Print where everything is and what to look at first."""
    answer = _answer(stack)
    if json:
        print_json({**answer, "seconds": round(seconds, 3)})
        return
    states = {part["name"]: part["state"] for part in answer["parts"]}
    print_err(f"ready in {seconds:.1f} s" if answer["ok"] else f"after {seconds:.1f} s:")
    print_err()
    for part in answer["parts"]:
        if part["address"] and part["name"] != "console":
            print_err(f"  {part['name']:<11} {part['address']}")
    print_err()
    steps = [
        ("clickreel messages --follow", "watch the events arrive", "kafka"),
        ("clickreel monitor", "rates, one point a second", "kafka"),
        ('clickreel sql -e "select * from dvd_clicks limit 20"', "query the topic", "kafka"),
        ("clickreel trending", "what people watch now", "ingest"),
        ("clickreel status", "what runs where, and how it is", ""),
        (ends, "ends it, the data is kept", ""),
    ]
    shown = [(as_typed(line), meaning) for line, meaning, need in steps if not need or states[need] in _SERVES]
    width = max(len(line) for line, _ in shown)
    print_err("Look at these first:")
    for line, meaning in shown:
        print_err(f"  {line:<{width}} {meaning}")
    console = next((part for part in answer["parts"] if part["name"] == "console"), None)
    if console is not None and console["state"] in _SERVES:
        print_err()
        print_err("  Open ", (f" {console['address']}/ ", "bold reverse"), " to see the stream live")


_SERVES = {"running", "elsewhere"}


def _answer(stack: Stack) -> dict[str, Any]:
    from clickreel.ingest.ingest_status import read_status
    from clickreel.local import init_tasks, run_options
    from clickreel.local.stack import is_well

    services = stack.status()
    return {
        "ok": is_well(services),
        "home": str(stack.home.path),
        "topic": init_tasks.topic_name(),
        "run": run_options.streamed_run(stack.home),
        "ingest": read_status(stack.home.path, init_tasks.topic_name()),
        "hint": next((service.hint for service in services if service.hint), "") or None,
        "parts": [_as_json(service) for service in services],
    }


def _as_json(service: ServiceStatus) -> dict[str, Any]:
    shown = dataclasses.asdict(service)
    return {**shown, **{name: shown[name] or None for name in ("address", "reason", "hint")}}


def down(
    purge: Annotated[bool, typer.Option("--purge", help="Also delete the data.")] = False,
    json: Json = False,
) -> None:
    """Stop all services and check that none is left; the data is kept.

    Example: `clickreel down`

    An `up` that is still starting things is interrupted.
    """
    from clickreel.local.stack import Stack

    stack = Stack()
    begun = time.monotonic()
    stopped = stack.down(purge=purge)
    if json:
        print_json({"ok": True, "ended": list(stopped.services), "deleted_bytes": stopped.deleted_bytes})
        return
    seconds = time.monotonic() - begun
    print_err(f"ended {', '.join(stopped.services)} in {seconds:.1f} s" if stopped.services else "nothing was running")
    if purge:
        print_err(f"deleted {stopped.deleted_bytes / 1e6:,.1f} MB in {stack.home.path}")


def status(
    show_secrets: Annotated[
        bool, typer.Option("--show-secrets", help="Show the token of the local services instead of a mask.")
    ] = False,
    json: Json = False,
) -> int:
    """Show what runs, where and since when; exits with 1 unless everything that was started works.

    Example: `clickreel status`

    A service works when it answers, lands or has acknowledged what it should; a process that merely lives does not count. States:
    running, starting, stalled, paused, hung, restarting, failed, stopped, elsewhere.
    """
    from clickreel.local.stack import Stack

    stack = Stack()
    answer = _answer(stack)
    access = _access(stack, show_secrets=show_secrets)
    if json:
        print_json({**answer, "access": access})
        return 0 if answer["ok"] else 1
    rows = [
        (
            part["name"],
            part["state"],
            part["address"] or "",
            part["pid"] or "",
            _age(part["started"]),
            part["restarts"] or "",
        )
        for part in answer["parts"]
    ]
    print_table(("service", "state", "address", "pid>", "since", "restarts>"), rows)
    print_out(f"topic {answer['topic']}, run {answer['run'] or 'none'}, home {answer['home']}")
    if answer["ingest"]:
        print_out(_landed(answer["ingest"]))
    if access:
        print_out(f"login user {access['user']}, password {access['password']} (clickreel status --show-secrets)")
    for part in answer["parts"]:
        if part["reason"] or part["hint"]:
            print_out(_remark(part))
    return 0 if answer["ok"] else 1


def _access(stack: Stack, *, show_secrets: bool) -> dict[str, str] | None:
    """How the local HTTP services are used by other programs; ``None`` before the first `up`."""
    if not stack.home.token_file.exists():
        return None
    return {"user": "default", "password": stack.home.token() if show_secrets else "********"}


def _remark(part: dict[str, Any]) -> str:
    last = f" (last exit code {part['exit_code']})" if part["exit_code"] is not None else ""
    reason = f": {part['reason']}{last}" if part["reason"] else ""
    return f"{part['name']} is {part['state']}{reason}" + (f"\nhint: {as_typed(part['hint'])}" if part["hint"] else "")


def _landed(ingest: dict[str, Any]) -> str:
    """How ingest stands, in a line."""
    dead = sum(one["rows"] for one in ingest["dead"] if one["error"] != "gap")
    text = f"landed {quantity(ingest['rows'], 'row')} since its start, {dead:,} of them dead letters"
    if ingest.get("catching_up"):
        return f"{text}; catching up with the past"
    if "p99_ms" not in ingest:
        return text
    return f"{text}; queryable after {ingest['p50_ms']:.0f} ms (p50), {ingest['p99_ms']:.0f} ms (p99)"


def _age(started: float | None) -> str:
    if started is None:
        return ""
    seconds = int(time.time() - started)
    if seconds < 120:
        return f"{seconds} s"
    return f"{seconds // 60} min" if seconds < 7200 else f"{seconds // 3600} h"


def logs(  # noqa: PLR0917 - one parameter an option
    part: Annotated[str | None, typer.Argument(help="A service, or supervisor. [default: all of them]")] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Keep printing new lines.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="How many lines from the end of each log.")] = 20,
    level: Annotated[
        str | None, typer.Option("--level", help="Lowest level to show: debug, info, warning, error.")
    ] = None,
    since: Annotated[str | None, typer.Option("--since", help="Only lines since then: 10m, 2h, or a time.")] = None,
    json: Json = False,
) -> None:
    """Show the logs of the services.

    Example: `clickreel logs kafka --follow`, or `clickreel logs --level warning --since 10m`
    """
    from clickreel import timespec
    from clickreel.local import logs as service_logs
    from clickreel.local.home import Home

    home = Home.default()
    since_s = None if since is None else timespec.instant_ms(since, int(time.time() * 1000), "--since") / 1000
    keep = service_logs.LogFilter(level, since_s)
    names = service_logs.names(home, part)
    for line in service_logs.read(home, names, lines, keep, go_on=follow):
        if json:
            print_json(service_logs.as_json(line))
        else:
            print_out(line.entry.text if part else f"{line.service:<10} {line.entry.text}")


def doctor(json: Json = False) -> int:
    """Check Java, jars, ports, disk, memory, clock and every service; each problem comes with its fix.

    Example: `clickreel doctor`

    Leaves with 3 when something is missing on the machine, with 4 when a service that was started does not work.
    """
    from clickreel.local import doctor as checks
    from clickreel.local.service import NAMES
    from clickreel.local.stack import Stack

    findings = list(checks.examine(Stack()))
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
