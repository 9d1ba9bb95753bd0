"""``clickreel simulate``, ``ledger``, ``id`` and ``scenarios``: a world as files, its truth, its ids, its named forms."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from clickreel.cli.command_index import CommandGroup
from clickreel.cli.output import Json, print_err, print_json, print_table
from clickreel.cli.world_options import Films, Flaws, MeanRate, Rate, Run, Scenario, Seed, Users
from clickreel.quantities import quantity

if TYPE_CHECKING:
    from clickreel.simulate.world import World

From = Annotated[str | None, typer.Option("--from", help="Start: a time, or 28d (ago). [default: 2026-01-05]")]
Until = Annotated[str | None, typer.Option("--until", help="End: a time, or 2h (ago).")]
Days = Annotated[float | None, typer.Option("--days", help="Length, in place of --until.")]

# A Monday. Fixed, so that the same command gives the same file on any day.
_START_MS = 1_767_571_200_000
_DAY_MS = 86_400_000
_COUNT = 1_000_000
_LAST_MS = 4_102_444_800_000


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command()(simulate)
    app.command()(ledger)
    app.command()(scenarios)
    group = typer.Typer(cls=CommandGroup, help="Decode event ids. Example: `clickreel id explain UUID`")
    group.command()(explain)
    app.add_typer(group, name="id")


def simulate(  # noqa: PLR0917 - one parameter an option
    out: Annotated[Path, typer.Option("--out", help="File to write: .parquet, .csv or .jsonl.")],
    count: Annotated[
        int | None, typer.Option("--count", help="Stop after this many. [default: 1,000,000 unless an end is given]")
    ] = None,
    start: From = None,
    until: Until = None,
    days: Days = None,
    seed: Seed = None,
    rate: Rate = None,
    mean_rate: MeanRate = None,
    users: Users = None,
    films: Films = None,
    scenario: Scenario = None,
    flaws: Flaws = None,
    run: Run = None,
    workers: Annotated[int, typer.Option("--workers", help="Number of processes; the file does not depend on it.")] = 1,
    change: Annotated[
        str | None,
        typer.Option(
            "--change",
            help="Write the world, the world with one thing changed, and the true effect: ranker=0.5, place=FILM,RANK, "
            "burst=FILM,TIME,PEAK, outage=TIME,HOURS.",
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Write a world's events to a file: the same events, in the same order, as `produce` streams.

    Example: `clickreel simulate --out events.parquet --users 20000 --days 28`

    With `--change` there are three files: events.parquet, events-changed.parquet, and events-effect.parquet with what each person did in either.
    """
    from clickreel.cli.world_options import world as make_world
    from clickreel.errors import UsageError
    from clickreel.simulate import files

    if count is not None and count < 1:
        raise UsageError(f"--count is {count}", hint="allowed: at least 1")
    if not 1 <= workers <= 64:
        raise UsageError(f"--workers is {workers}", hint="allowed: from 1 to 64")
    files.shape(out)
    if not out.absolute().parent.is_dir():
        raise UsageError(f"no folder {out.absolute().parent}", hint=f"mkdir -p {out.absolute().parent}")
    world = make_world(
        seed=seed, rate=rate, mean_rate=mean_rate, users=users, films=films, scenario=scenario, flaws=flaws, run=run
    )
    first, end = _span(start, until, days)
    if change is not None:
        if end is None or count is not None:
            raise UsageError("--change needs an end, and no --count", hint="--days 14")
        from clickreel.cli.effect_files import write_both

        write_both(world, change, out, (first, end), json=json)
        return
    if end is None and count is None:
        count = _COUNT
    _write_one(world, out, (first, end or _LAST_MS), count, workers, json=json)


def _write_one(world: World, out: Path, span: tuple[int, int], count: int | None, workers: int, *, json: bool) -> None:
    """Write the world's file, and say so."""
    begun = time.monotonic()
    written, left_out = _write(world, out, span, count, workers)
    seconds = time.monotonic() - begun
    size_bytes = out.stat().st_size
    answer = {
        "run": world.run,
        "file": str(out),
        "events": written,
        "left_out": left_out,
        "bytes": size_bytes,
        "seconds": round(seconds, 3),
        "events_per_s": round(written / max(seconds, 1e-9)),
    }
    if json:
        print_json(answer)
    else:
        print_err(
            f"{quantity(written, 'event')} of run {world.run} in {out} ({size_bytes / 1e6:,.1f} MB, {seconds:.1f} s)"
        )
        if left_out:
            print_err(f"{left_out:,} malformed events cannot be written to {out.suffix}; .jsonl can hold them")


def _span(start: str | None, until: str | None, days: float | None) -> tuple[int, int | None]:
    """First instant and end; no end where only a count can end it."""
    from clickreel import timespec
    from clickreel.errors import UsageError
    from clickreel.stream.send_schedule import wall_clock

    if until is not None and days is not None:
        raise UsageError("both --until and --days", hint="give one of them")
    now = wall_clock()
    first = _START_MS if start is None else timespec.instant_ms(start, now, "--from")
    if days is not None:
        if not 0 < days <= 36_500:
            raise UsageError(f"--days is {days:g}", hint="allowed: above 0, up to 36,500")
        return first, first + round(days * _DAY_MS)
    if until is None:
        # What began at a time of the user's choice ends now; the fixed beginning ends by count.
        return first, now if start is not None and first < now else None
    end = timespec.instant_ms(until, now, "--until")
    if end <= first:
        raise UsageError("--until is not after the start", hint="give a later time, or --days")
    return first, end


def _write(world: World, out: Path, span: tuple[int, int], count: int | None, workers: int) -> tuple[int, int]:
    """Write the file; returns rows written and rows it cannot hold."""
    from clickreel.simulate import files, parallel

    made = left_out = 0
    shape = files.shape(out)
    expected = count or max(1, int(world.expected_rate * (span[1] - span[0]) / 1000))
    parts = parallel.each(world, span, shape, workers)
    with files.writing(out) as writer, _progress(expected) as told:
        for (first, end), whole in parts:
            part = whole
            if count is not None and made + part.rows > count:
                part = shape(world.deliveries(first, end).take(slice(0, count - made)))
            writer.write(part.data)
            made, left_out = made + part.rows, left_out + part.left_out
            told(made)
            if made == count:
                break
    return made - left_out, left_out


@contextlib.contextmanager
def _progress(expected: int) -> Iterator[Callable[[int], None]]:
    """A bar on a terminal's stderr; nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    with Progress(BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=Console(stderr=True)) as bar:
        task = bar.add_task("", total=expected)
        yield lambda done: bar.update(task, completed=min(done, expected))


def ledger(  # noqa: PLR0917 - one parameter an option
    run: Annotated[
        str | None,
        typer.Option(
            "--run", help="A run that was produced from this home; otherwise describe it with the options below."
        ),
    ] = None,
    form: Annotated[Literal["jsonl", "parquet"], typer.Option("--format", help="jsonl or parquet.")] = "jsonl",
    out: Annotated[Path | None, typer.Option("--out", help="File to write. [default: stdout]")] = None,
    start: From = None,
    until: Until = None,
    days: Days = None,
    seed: Seed = None,
    rate: Rate = None,
    mean_rate: MeanRate = None,
    users: Users = None,
    films: Films = None,
    scenario: Scenario = None,
    flaws: Flaws = None,
    json: Json = False,
) -> None:
    """Write the ground truth of a run: flaws, bursts, launches, removals, rankers, random lists, bots.

    Example: `clickreel ledger --run demo --format parquet --out ledger.parquet`

    It is derived from seed and settings whenever it is asked for, and stored nowhere.
    """
    from clickreel.errors import UsageError
    from clickreel.simulate.ledger import derive_ledger
    from clickreel.stream.send_schedule import wall_clock

    options = {
        "seed": seed, "rate": rate, "mean_rate": mean_rate, "users": users, "films": films, "scenario": scenario, "flaws": flaws,
    }  # fmt: skip
    world, began = _known(run, options)
    first, end = _span(start, until, days)
    if start is None and began is not None:
        first = began
    if end is None:
        end = wall_clock() if began is not None or start is not None else first + 28 * _DAY_MS
    if end <= first:
        raise UsageError("the time range is empty", hint="give --from and --until, or --days")
    if out is None and form == "parquet" and sys.stdout.isatty():
        raise UsageError("Parquet is not for a terminal", hint="--out ledger.parquet, or --format jsonl")
    rows = _put(derive_ledger(world, first, end), form, out)
    if json and out is not None:
        print_json({"run": world.run, "file": str(out), "entries": rows})
    else:
        print_err(f"{rows:,} entries of run {world.run}")


def _known(run: str | None, options: dict[str, Any]) -> tuple[World, int | None]:
    """The world that is meant, and where its run began: as it was produced from here, or as the options say."""
    from clickreel.cli.world_options import world as make_world
    from clickreel.local.home import Home
    from clickreel.stream.saved_runs import load_run

    saved = None
    if run is not None and all(value is None for value in options.values()):
        saved = load_run(Home.default().path, run)
    return (make_world(run=run, **options), None) if saved is None else (saved.world(), saved.start_ms)


def _put(batches: Iterator[Any], form: str, out: Path | None) -> int:
    """Write a ledger's batches; returns the number of entries."""
    import orjson
    import pyarrow.parquet as pq

    from clickreel.simulate.ledger import SCHEMA

    rows = 0
    with contextlib.ExitStack() as stack:
        sink = sys.stdout.buffer if out is None else stack.enter_context(out.open("wb"))
        parquet = stack.enter_context(pq.ParquetWriter(sink, SCHEMA, compression="zstd")) if form == "parquet" else None
        for batch in batches:
            rows += batch.num_rows
            if parquet is not None:
                parquet.write_batch(batch)
            else:
                for row in batch.to_pylist():
                    sink.write(
                        orjson.dumps({k: v for k, v in row.items() if v is not None}, option=orjson.OPT_APPEND_NEWLINE)
                    )
        if out is None:
            sink.flush()
    return rows


def scenarios(json: Json = False) -> None:
    """List the named worlds.

    Example: `clickreel scenarios`, then `clickreel produce --scenario tiny`
    """
    from clickreel.simulate import scenarios as named

    if json:
        print_json(
            {"scenarios": [{"name": n, "about": named.about(n), "settings": named.values(n)} for n in named.names()]}
        )
        return
    print_table(["scenario", "what it is"], [(name, named.about(name)) for name in named.names()])


def explain(
    event_id: Annotated[str, typer.Argument(help="An event id.", show_default=False)],
    run: Annotated[
        str | None, typer.Option("--run", help="Name of a run that was produced elsewhere.", show_default=False)
    ] = None,
    json: Json = False,
) -> None:
    """Tell an event's run, time, user and place from its id alone.

    Example: `clickreel id explain 4f686cc3-e283-43fc-801c-79c99cfc5ace`

    Any UUID can be read this way; only an id whose run is known is believed.
    """
    from clickreel.errors import ClickreelError
    from clickreel.local.home import Home
    from clickreel.simulate import ids
    from clickreel.stream.saved_runs import list_runs
    from clickreel.timespec import format_instant

    position = ids.explain(event_id)
    known = {saved.run_tag: saved.run for saved in list_runs(Home.default().path)}
    if run is not None:
        known[ids.run_tag(run)] = run
    if position.run_tag not in known:
        raise ClickreelError(
            f"{event_id} is no event of the {quantity(len(known), 'run')} known here",
            hint="clickreel id explain UUID --run NAME, for a run that was produced elsewhere",
        )
    answer = {
        "event_id": event_id,
        "run_tag": f"{position.run_tag:08x}",
        "run": known[position.run_tag],
        "event_ts": format_instant(position.ts_ms),
        "user_id": f"u_{position.user}",
        "session_of_day": position.session_of_day,
        "event_of_session": position.event_of_session,
    }
    if json:
        print_json(answer)
    else:
        print_table(["", ""], [(key.replace("_", " "), value) for key, value in answer.items()])
