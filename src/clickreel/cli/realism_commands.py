"""``clickreel realism``: score a stream against published figures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clickreel.cli.output import Json, print_err, print_json, print_out, print_table
from clickreel.cli.target_options import ProfileFile, TopicName
from clickreel.cli.world_options import Flaws, Scenario
from clickreel.foreign_text import printable
from clickreel.quantities import quantity

if TYPE_CHECKING:
    from clickreel.audit.realism import Columns, Ledger, RealismResult, Scorecard
    from clickreel.audit.realism.click_log import ClickLog
    from clickreel.audit.realism.world_columns import Medians

Source = Annotated[
    str,
    typer.Argument(
        help="A file of events (.parquet, .csv, .jsonl), or `topic`, `warehouse`, "
        "or `world`: worlds made on the spot; or `compare`, and two logs."
    ),
]
Logs = Annotated[
    list[str] | None,
    typer.Argument(help="Of `compare`: two logs with session, item and time (.csv, .jsonl, .parquet), or world:SEED."),
]
LedgerFile = Annotated[
    Path | None,
    typer.Option("--ledger", help="The run's ledger (.parquet, .jsonl): for R11, R13 and a part of R6."),
]
Picture = Annotated[Path | None, typer.Option("--picture", help="Draw six curves into this file (.png, .svg).")]
Anyway = Annotated[bool, typer.Option("--anyway", help="Score a stream even if it is too small for a verdict.")]
Seeds = Annotated[str, typer.Option("--seeds", help="Of worlds: seeds as 1,2,3 or 1-5; several give medians.")]
Days = Annotated[int, typer.Option("--days", help="Of worlds: how many days.", min=1, max=366)]
Users = Annotated[int, typer.Option("--users", help="Of worlds: people on the platform.", min=1)]
Markdown = Annotated[
    Path | None, typer.Option("--markdown", help="Of worlds: put the table between the marks of this document.")
]


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(realism)
    app.command()(fit)


def realism(
    source: Source,
    logs: Logs = None,
    *,
    ledger: LedgerFile = None,
    picture: Picture = None,
    topic: TopicName = None,
    profile: ProfileFile = None,
    seeds: Seeds = "1",
    days: Days = 28,
    users: Users = 20_000,
    scenario: Scenario = None,
    flaws: Flaws = None,
    markdown: Markdown = None,
    anyway: Anyway = False,
    json: Json = False,
) -> None:
    """Score how human a stream looks: 24 tests against published figures.

    Example: `clickreel realism events.parquet --ledger ledger.parquet --picture realism.png`
    or `clickreel realism world --seeds 1-5` or `clickreel realism compare yours.csv world:1`

    `compare` says how well a machine tells the sessions of two logs apart and by what, how recommenders fare on either, and how fast
    interests drift.

    Exits with 6 when a figure falls out of its band. A stream under 1 M events, 14 days or about 1,000 films is refused.
    """
    import sklearn  # noqa: F401 - before the long work, not after it

    from clickreel.audit.realism import evidence, judge
    from clickreel.audit.realism.ledger_reader import read_ledger
    from clickreel.audit.realism.picture import checked, draw
    from clickreel.errors import UsageError

    if source == "compare":
        _compare(logs or [], users, days, scenario, json=json)
        return
    if logs:
        raise UsageError(f"{logs[0]} is one argument too many", hint=f"clickreel realism compare {source} {logs[0]}")
    picture = checked(picture) if picture else None
    if source == "world":
        settings = {"users": users, "scenario": scenario, "flaws": flaws}
        _worlds(seeds, days, settings, anyway=anyway, picture=picture, markdown=markdown, json=json)
        return
    truth = read_ledger(ledger) if ledger else None
    columns = _columns(source, topic, profile)
    truth = truth or _own_ledger(source, topic, columns)
    seen = evidence(columns, ledger=truth, floor=_floor(anyway))
    report = judge(seen)
    if picture:
        draw(seen, picture)
        print_err(f"picture: {picture}")
    if json:
        print_json(report.as_json())
    else:
        show(report)
    _verdict([report])


def _compare(logs: list[str], users: int, days: int, scenario: str | None, *, json: bool) -> None:
    """Two logs side by side."""
    from clickreel.audit.realism.comparison import compare_logs
    from clickreel.errors import UsageError

    if len(logs) != 2:
        raise UsageError(f"{len(logs)} logs to compare", hint="clickreel realism compare yours.csv world:1")
    found = compare_logs(*(_clicks(name, users, days, scenario) for name in logs))
    if json:
        print_json(found.as_json())
        return
    rows = [(name, f"{value:.4g}", f"{found.second.figures[name]:.4g}") for name, value in found.first.figures.items()]
    for name, score in found.first.scores.items():
        rows.append((f"MRR@20 {name}", f"{score:.3f}", f"{found.second.scores.get(name, float('nan')):.3f}"))
    for lag, hit in enumerate(found.first.drift, 1):
        other = found.second.drift[lag - 1] if found.second.drift else float("nan")
        rows.append((f"hit@20 at lag {lag}", f"{hit:.3f}", f"{other:.3f}"))
    print_table(("", f"{printable(logs[0])}>", f"{printable(logs[1])}>"), rows)
    print_err(
        f"two-sample test: AUC {found.test.auc:.3f} (.5 is a coin; two halves of the first: {found.floor.auc:.3f})"
    )
    print_err("told by: " + ", ".join(f"{name} {lost:.3f}" for name, lost in found.tells()[:4]))
    print_err(f"Kendall's tau of the recommenders' ranks: {found.tau:.2f}")


def _clicks(name: str, users: int, days: int, scenario: str | None) -> ClickLog:
    """The clicks of a file, or of a world made on the spot."""
    from clickreel.audit.realism import timeline
    from clickreel.audit.realism.click_files import read_clicks
    from clickreel.audit.realism.click_log import ClickLog
    from clickreel.audit.realism.world_columns import columns_of_world, weeks
    from clickreel.cli.world_options import world

    kind, _, seed = name.partition(":")
    if kind == "world" and seed.isdecimal():
        made = world(seed=int(seed), users=users, scenario=scenario)
        return ClickLog.from_timeline(timeline(columns_of_world(made, *weeks(days))))
    return read_clicks(Path(name))


def fit(
    log: Annotated[
        Path, typer.Argument(help="A click log with session, item and time (.csv, .jsonl, .parquet), or STATS.json.")
    ],
    *,
    out: Annotated[Path | None, typer.Option("--out", help="File for the settings (.toml). [default: stdout]")] = None,
    statistics: Annotated[
        Path | None,
        typer.Option("--statistics", help="Write the log's statistics (.json), which can be fitted elsewhere."),
    ] = None,
    json: Json = False,
) -> None:
    """Find settings that give a world the statistics of a real click log.

    Example: `clickreel fit clicks.csv --out world.toml`

    Lengths, gaps, repeats, popularity, the rhythm of day and week and the returns of users (where the log names them) are fitted on
    one half of the users, or of the sessions, and judged on the other; drift is told beside them. Exits with 6 when a fitted statistic is off by
    more than a tenth. From STATS.json, which holds one half, the fit is judged by what it was fitted on.
    """
    from clickreel.audit.realism.click_files import read_clicks
    from clickreel.audit.realism.fitting import KNOBS, LogStatistics, fit_world
    from clickreel.errors import VerificationError
    from clickreel.json_files import write_json

    if log.suffix == ".json":
        half = other = LogStatistics.from_json(log)
    else:
        clicks = read_clicks(log)
        half, other = (LogStatistics.from_log(clicks.half_of_users(part)) for part in (0, 1))
    if statistics is not None:
        write_json(statistics, half.as_json())
    found = fit_world(half, other, progress=print_err)
    if out is not None:
        out.write_text(found.toml(), encoding="utf-8")
    if json:
        print_json(found.as_json())
    else:
        told = {knob.statistic: knob.setting for knob in KNOBS}
        ours, theirs = found.ours.as_json(), found.theirs.as_json()
        rows = [
            (
                name,
                f"{there:.4g}",
                f"{here:.4g}",
                f"{here / there - 1:+.1%}",
                told.get(name, "told"),
            )
            for name, there in theirs.items()
            if there and (here := ours[name]) is not None
        ]
        print_table(("statistic", "log>", "world>", "off by>", "setting"), rows)
        if out is None:
            print_out(found.toml())
    if not found.ok:
        off = [name for name, deviation in found.deviations().items() if abs(deviation) > 0.1]
        raise VerificationError(
            f"off by more than a tenth: {', '.join(off)}", hint="a longer log, or other settings by hand"
        )


def _floor(anyway: bool) -> Any:
    from clickreel.audit.realism import MinimumSize

    return MinimumSize(0, 0, 0) if anyway else MinimumSize()


def _verdict(reports: list[Scorecard]) -> None:
    from clickreel.audit.realism.suite import fallen
    from clickreel.errors import VerificationError

    out = fallen(reports)
    if out:
        raise VerificationError(f"outside the band: {', '.join(out)}", hint="the figures marked with ! say by how much")


def _columns(source: str, topic: str | None, profile: Path | None) -> Columns:
    from clickreel.audit.realism.sources import TOPIC, WAREHOUSE, columns_of
    from clickreel.cli import target_options

    if source not in (TOPIC, WAREHOUSE):
        return columns_of(source, None, "")
    return columns_of(source, target_options.profile(profile), target_options.topic_name(topic))


def _own_ledger(source: str, topic: str | None, columns: Columns) -> Ledger | None:
    """The ledger of the run that was last produced from here, when it is the topic or the warehouse that is scored."""
    from clickreel.audit.realism.sources import TOPIC, WAREHOUSE
    from clickreel.audit.realism.world_columns import ledger_of_saved_run
    from clickreel.cli.target_options import topic_name
    from clickreel.local.home import Home

    if source not in (TOPIC, WAREHOUSE):
        return None
    found = ledger_of_saved_run(Home.default().path, topic_name(topic), columns)
    if found is None:
        return None
    print_err(f"ledger: of run {found[0]}, made again from its settings")
    return found[1]


def _worlds(
    seeds: str,
    days: int,
    settings: dict[str, Any],
    *,
    anyway: bool,
    picture: Path | None,
    markdown: Path | None,
    json: bool,
) -> None:
    import sklearn  # noqa: F401 - before the long work, not after it

    from clickreel.audit.realism import evidence, judge
    from clickreel.audit.realism.picture import draw
    from clickreel.audit.realism.world_columns import (
        Medians,
        columns_of_world,
        film_years,
        ledger_of_world,
        seeds_of,
        weeks,
        write_between_marks,
    )
    from clickreel.cli.world_options import world

    reports = []
    span = weeks(days)
    chosen = seeds_of(seeds)
    for seed in chosen:
        made = world(seed=seed, **settings)
        seen = evidence(
            columns_of_world(made, *span),
            ledger=ledger_of_world(made, *span),
            floor=_floor(anyway),
            years=film_years(made),
        )
        reports.append(judge(seen))
        print_err(f"seed {seed}: {quantity(reports[-1].events, 'event')}, {reports[-1].summary()}")
        if picture:
            draw(seen, picture)
            picture = None
    medians = Medians(chosen, tuple(reports))
    if markdown:
        write_between_marks(markdown, medians.markdown(_command(seeds, days, settings)))
    if json:
        print_json(medians.as_json() if len(reports) > 1 else reports[0].as_json())
    elif len(reports) > 1:
        show_medians(medians)
    else:
        show(reports[0])
    _verdict(reports)


def _command(seeds: str, days: int, settings: dict[str, Any]) -> str:
    given = "".join(f" --{name} {value}" for name, value in settings.items() if value is not None)
    return f"clickreel realism world --seeds {seeds} --days {days}{given}"


def show_medians(medians: Medians) -> None:
    """Print the table of several seeds."""
    print_table(("test", "figure", "median>", "span", "band", "inside>"), medians.rows())
    print_err("[A]: an assumption, no published figure stands behind the band")


def show(report: Scorecard) -> None:
    """Print the table: one line a figure; notes and sources below."""
    print_err(
        f"{quantity(report.events, 'event')} of {quantity(report.users, 'user')} in {quantity(report.sessions, 'session')}, "
        f"{quantity(report.films, 'film')}, {report.days:.1f} days"
    )
    rows = [row for result in report.results for row in _rows(result)]
    print_table(("", "test", "figure", "value>", "band", "verdict"), rows)
    print_err("[A]: an assumption, no published figure stands behind the band")
    for result in report.results:
        note = f"; {result.found.note}" if result.found.note else ""
        print_err(f"{result.test.id}: {result.test.source}{note}")


def _rows(result: RealismResult) -> list[tuple[Any, ...]]:
    rows = []
    for place, band in enumerate(result.test.bands):
        value = result.found.values.get(band.name)
        verdict = "" if value is None or not band.judged else "ok" if band.holds(value) else "! out"
        rows.append(
            (
                result.test.id if place == 0 else "",
                result.test.name if place == 0 else "",
                band.name,
                "not measured" if value is None else f"{value:.4g}",
                band.text(),
                verdict,
            )
        )
    return rows
