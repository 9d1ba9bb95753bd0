"""``clickreel verify``: simulator = Kafka = ClickHouse."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from clickreel.cli.output import Json, print_err, print_json, print_table
from clickreel.cli.target_options import ProfileFile, TopicName
from clickreel.cli.world_options import Films, Flaws, MeanRate, Rate, Scenario, Seed, Users
from clickreel.quantities import quantity

if TYPE_CHECKING:
    from clickreel.audit.regenerate import ExpectedRun
    from clickreel.audit.verification import VerificationReport


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(verify)


def verify(  # noqa: PLR0917 - one parameter an option
    run: Annotated[
        str | None,
        typer.Option(
            "--run",
            help="Name of the run. [default: the stack's, otherwise the last one produced from this home into the topic]",
        ),
    ] = None,
    foreign: Annotated[
        bool, typer.Option("--foreign", help="The stream is not a clickreel run: compare only Kafka with ClickHouse.")
    ] = False,
    seed: Seed = None,
    rate: Rate = None,
    mean_rate: MeanRate = None,
    users: Users = None,
    films: Films = None,
    scenario: Scenario = None,
    flaws: Flaws = None,
    start: Annotated[
        str | None, typer.Option("--from", help="Where the run starts, for a run that was produced elsewhere.")
    ] = None,
    until: Annotated[
        str | None, typer.Option("--until", help="Where the run ends; its end must then be in the topic.")
    ] = None,
    count: Annotated[
        int | None,
        typer.Option("--count", help="Total number of records; the end of the run must then be in the topic."),
    ] = None,
    wait: Annotated[float, typer.Option("--wait", help="Seconds to wait for ingest when it makes no progress.")] = 15.0,
    topic: TopicName = None,
    profile_file: ProfileFile = None,
    json: Json = False,
) -> None:
    """Prove, event by event, that what was simulated is in Kafka and in ClickHouse, exactly once and in order.

    Example: `clickreel verify`, or `clickreel verify --foreign --topic clicks`

    A running stream is verified up to where it was at the start. Ends with 6 when anything differs.
    """
    from clickreel.audit import verify as audit
    from clickreel.cli.target_options import profile, topic_name

    options = {
        "seed": seed,
        "rate": rate,
        "mean_rate": mean_rate,
        "users": users,
        "films": films,
        "scenario": scenario,
        "flaws": flaws,
    }
    name = topic_name(topic)
    found = None if foreign else find_run(name, run, options, (start, until, count))
    report = audit.verify(profile(profile_file), name, found, complete=found is not None and found.ends, wait_s=wait)
    if json:
        print_json(audit.summary(report))
    else:
        _show(report)
    if not report.ok:
        raise typer.Exit(6)


def find_run(
    topic: str, name: str | None, options: dict[str, Any], span: tuple[str | None, str | None, int | None]
) -> ExpectedRun:
    """The run that is meant: from the flags when they say where it begins, else as it was saved when it was produced."""
    from clickreel import timespec
    from clickreel.audit.regenerate import ExpectedRun
    from clickreel.cli.world_options import world as make_world
    from clickreel.errors import UsageError
    from clickreel.local.home import Home
    from clickreel.local.run_options import streamed_run
    from clickreel.stream.saved_runs import latest_run, load_run
    from clickreel.stream.send_schedule import wall_clock

    start, until, count = span
    now = wall_clock()
    until_ms = None if until is None else timespec.instant_ms(until, now, "--until")
    if start is not None:
        return ExpectedRun(make_world(run=name, **options), timespec.instant_ms(start, now, "--from"), until_ms, count)
    if any(value is not None for value in options.values()):
        raise UsageError("a run that is described by its settings needs its start", hint="give --from, or --run only")
    home = Home.default()
    streamed = load_run(home.path, streamed_run(home) or "") if name is None else None
    saved = streamed if streamed is not None and streamed.topic == topic else latest_run(home.path, topic, name)
    return ExpectedRun(saved.world(), saved.start_ms, until_ms, count, saved.partitions)


def _show(report: VerificationReport) -> None:
    names = ("partition", "expected", "kafka", "landed", "missing", "doubled", "out_of_place", "wrong", "extra", "dead")
    print_table(
        [f"{name.replace('_', ' ')}>" for name in names] + ["content"],
        [
            [f"{getattr(one, name):,}" for name in names]
            + [one.checksum_table if one.checksum_table == one.checksum_kafka else "differs"]
            for one in report.partitions
        ],
    )
    if report.dead:
        print_table(
            ["dead letters: field", "rule", "expected>", "landed>"],
            [
                (one.field, one.rule, "" if one.expected is None else f"{one.expected:,}", f"{one.landed:,}")
                for one in report.dead
            ],
        )
    for example in report.examples:
        print_err(f"  {example['text']}")
    for note in report.notes:
        print_err(f"  {note}")
    what = f"run {report.run}" if report.run else "a foreign stream"
    verdict = ("equal", "green") if report.ok else ("they differ", "red")
    print_err(f"{what} in {report.topic}: {quantity(report.rows, 'row')} in {report.seconds:.1f} s: ", verdict)
