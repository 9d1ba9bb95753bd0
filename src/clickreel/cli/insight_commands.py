"""``clickreel trending``, ``funnel``, ``activity``, ``recommend``, ``chart``: answers out of the warehouse."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from clickreel.cli.answer_proofs import DAY_MS, Prove, cell, open_warehouse, show_proof, told
from clickreel.cli.output import Json, print_err, print_json, print_table
from clickreel.cli.target_options import ProfileFile
from clickreel.quantities import quantity

if TYPE_CHECKING:
    from collections.abc import Callable

    from clickreel.insight.activity import Count, SessionFigures
    from clickreel.insight.film_trends import Trend
    from clickreel.insight.recommend import Recommendation
    from clickreel.insight.recommenders.click_sessions import ClickSessions
    from clickreel.insight.recommenders.framework_judge import JudgedSplit
    from clickreel.insight.recommenders.next_item_evaluation import MethodComparison
    from clickreel.insight.window import Window
    from clickreel.warehouse.client import Client

_EVER_MS = 36_500 * DAY_MS

Until = Annotated[
    str | None, typer.Option("--until", help="End of the window: a time, or how long ago. [default: the newest event]")
]
Limit = Annotated[int, typer.Option("--limit", min=1, max=1000, help="How many films.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    for command in (trending, funnel, activity, recommend, chart):
        app.command()(command)


def trending(
    *,
    since: Annotated[str, typer.Option("--since", help="Length of the window: 1h, 3h, 1d.")] = "3h",
    until: Until = None,
    by: Annotated[str, typer.Option("--by", help="What to rank: film or category.")] = "film",
    limit: Limit = 20,
    evaluate: Annotated[
        bool, typer.Option("--evaluate", help="Evaluate the rule on simulated worlds instead; needs no stack.")
    ] = False,
    seeds: Annotated[str, typer.Option("--seeds", help="Seeds of the worlds for --evaluate: 1-5, or 1,3.")] = "1-5",
    days: Annotated[
        int, typer.Option("--days", min=10, max=40, help="Days per world; the first week is the baseline.")
    ] = 28,
    users: Annotated[int, typer.Option("--users", min=100, max=200_000, help="People per world.")] = 20_000,
    prove: Prove = False,
    profile_file: ProfileFile = None,
    json: Json = False,
) -> None:
    """Show films or categories that draw far more people than their past week predicts, since when, and why.

    Example: `clickreel trending --since 3h`

    People are counted once a day and film, in the minute in which they first open it. What is expected is the film's share of all openings
    in the week before, so hour and weekday cancel. A sequential test finds rises of any size, evaluated for each minute; its threshold gives
    one false alarm a day over all films. Without two days of baseline no verdict is given. A film that is new trends too: it draws people.
    """
    from clickreel.errors import UsageError
    from clickreel.insight.film_trends import ITEMS, trends

    if by not in ITEMS:
        raise UsageError(f"--by {by}", hint="allowed: film, category")
    if evaluate:
        _trend_evaluation(seeds, days, users, json=json)
        return
    if prove:
        # The baseline's days, and the day before the last one from which on the detector runs.
        show_proof(
            profile_file,
            since,
            until,
            lambda client, window: trends(client, window, limit=limit, by=by).as_json(),
            before_ms=10 * DAY_MS,
            json=json,
        )
        return
    client, window = open_warehouse(profile_file, since, until)
    found = trends(client, window, limit=limit, by=by)
    if json:
        print_json(found.as_json())
        return
    print_err(told(window))
    if not found.ready:
        print_err(
            f"films were opened in {found.baseline_h} of the hours before the window, a verdict needs {found.needed_h}: "
            "those opened most, without a verdict"
        )
    else:
        print_err(f"a rise is one from {found.threshold:.1f} on in the last column (a log-likelihood ratio)")
    print_table(
        ("", "film>", "title", "people>", "expected>", "rising since", "people since>", "expected since>", "ratio>", "evidence>")
        if by == "film"
        else ("", "category", "people>", "expected>", "rising since", "people since>", "expected since>", "ratio>", "evidence>"),
        [_trend_cells(trend, by) for trend in found.films],
    )  # fmt: skip


def _trend_evaluation(seeds: str, days: int, users: int, *, json: bool) -> None:
    from clickreel.insight.trend_evaluation import evaluate_trending

    found = evaluate_trending(_seeds(seeds), days=days, users=users, tell=print_err)
    if json:
        print_json(found.as_json())
        return
    judged = len(found.seeds) * (found.days - found.warm_up_days)
    print_err(
        f"seeds {seeds}, {users:,} people, {found.films:,} films, {found.bursts_per_week:g} bursts a week and launches, {judged} days judged; "
        f"bound: Lorden's, ln({found.arl_h:,.0f}) over the information of the rise as it builds up"
    )
    print_table(
        (
            "rule",
            "precision>",
            "recall>",
            "delay min>",
            "bound min>",
            "delay / bound>",
            "false alarms a day>",
            "alarms>",
        ),
        [
            (
                one.name,
                _figure(one.precision, 2),
                _figure(one.all_bursts.recall, 2),
                _figure(one.all_bursts.delay_min, 0),
                _figure(one.all_bursts.bound_min, 0),
                _figure(one.all_bursts.ratio, 2),
                _figure(one.false_alarms_per_day, 2),
                f"{one.alarms:,}",
            )
            for one in found.methods
        ],
    )
    print_table(
        ("rule", "people more in 3 h", "bursts>", "recall>", "delay min>", "bound min>", "bound if at once>", "delay / bound>"),
        [
            (
                one.name,
                f"{part.least:g} to {part.most:g}",
                part.bursts,
                _figure(part.recall, 2),
                _figure(part.delay_min, 0),
                _figure(part.bound_min, 0),
                _figure(part.constant_bound_min, 0),
                _figure(part.ratio, 2),
            )
            for one in found.methods
            for part in one.classes
        ],
    )  # fmt: skip


def _figure(value: float, places: int) -> str:
    import math

    return "none" if math.isnan(value) else "never" if math.isinf(value) else f"{value:.{places}f}"


def _seeds(text: str) -> list[int]:
    from clickreel.errors import UsageError

    try:
        spans = [part.split("-") for part in text.split(",")]
        found = [seed for span in spans for seed in range(int(span[0]), int(span[-1]) + 1)]
    except ValueError:
        found = []
    if not 1 <= len(found) <= 50:
        raise UsageError(f"--seeds {text}", hint="give 1-5, or 1,3: up to 50 seeds")
    return found


def _trend_cells(trend: Trend, by: str) -> tuple[object, ...]:
    from clickreel import timespec

    return (
        "▲" if trend.trending else "",
        *((trend.film_id, trend.title) if by == "film" else (trend.title or "(none)",)),
        trend.viewers,
        "" if trend.expected is None else f"{trend.expected:.1f}",
        "" if trend.since_ms is None else timespec.format_instant(trend.since_ms)[:16],
        "" if trend.people_since is None else trend.people_since,
        "" if trend.expected_since is None else f"{trend.expected_since:.1f}",
        "" if trend.ratio is None else f"{trend.ratio:.1f}",
        "" if trend.statistic is None else f"{trend.statistic:.1f}",
    )


def funnel(
    *,
    since: Annotated[str, typer.Option("--since", help="Length of the window: 1h, 24h, 7d.")] = "24h",
    until: Until = None,
    steps: Annotated[
        str | None, typer.Option("--steps", help="Event types in order, separated by commas. [default: all four]")
    ] = None,
    by: Annotated[
        str | None, typer.Option("--by", help="Split: device, referrer, page, category or hour (UTC).")
    ] = None,
    prove: Prove = False,
    profile_file: ProfileFile = None,
    json: Json = False,
) -> None:
    """Show how many people get how far from seeing a film to saving it.

    Example: `clickreel funnel --since 24h --by device`

    What is counted is a meeting of a session with a film. "in order" took every step before; "at all" has the event, on whatever way.
    """
    from clickreel.insight.funnel import funnel as ask

    if prove:
        show_proof(
            profile_file,
            since,
            until,
            lambda client, window: ask(client, window, steps=_steps(steps), by=by).as_json(),
            before_ms=DAY_MS,
            json=json,
        )
        return
    client, window = open_warehouse(profile_file, since, until)
    found = ask(client, window, steps=_steps(steps), by=by)
    if json:
        print_json(found.as_json())
        return
    print_err(told(window))
    rows = [
        (
            *((step.part or "(none)",) if by else ()),
            step.event_type,
            f"{step.with_event:,}",
            f"{step.reached:,}",
            f"{step.from_previous:.1%}",
            f"{step.from_first:.2%}",
            f"{step.people:,}",
            f"{step.after_s:.0f}" if step.after_s else "",
        )
        for step in found.steps
    ]
    head = ("step", "at all>", "in order>", "of the step before>", "of the first>", "people>", "median s after>")
    print_table((*((by,) if by else ()), *head), rows)


def _steps(text: str | None) -> tuple[str, ...]:
    from clickreel.contract.vocabulary import EVENT_TYPES

    return tuple(step.strip() for step in text.split(",")) if text else EVENT_TYPES


def activity(
    *,
    since: Annotated[str, typer.Option("--since", help="Length of the window: 15m, 24h, 14d.")] = "24h",
    until: Until = None,
    step: Annotated[
        str | None, typer.Option("--step", help="Length of a bucket: 1m, 1h, 1d. [default: at most 60 buckets]")
    ] = None,
    prove: Prove = False,
    profile_file: ProfileFile = None,
    json: Json = False,
) -> None:
    """Show people, sessions and events over time.

    Example: `clickreel activity --since 24h --step 1h`
    """
    from clickreel import timespec
    from clickreel.insight.activity import activity as ask

    step_s = max(1, timespec.span_ms(step, "--step") // 1000) if step else None
    if prove:
        show_proof(
            profile_file,
            since,
            until,
            lambda client, window: ask(client, window, step_s=step_s).as_json(),
            before_ms=DAY_MS,
            json=json,
        )
        return
    client, window = open_warehouse(profile_file, since, until)
    found = ask(client, window, step_s=step_s)
    if json:
        print_json(found.as_json())
        return
    print_err(told(window))
    print_table(
        (
            "UTC",
            "people>",
            "sessions>",
            "events>",
            "views>",
            "opened>",
            "trailers>",
            "saved>",
            "web>",
            "mobile>",
            "tablet>",
        ),
        [_cells(timespec.format_instant(count.begin_ms)[:19], count) for count in found.buckets]
        + [_cells("all", found.total)],
    )
    print_err(
        f"last 5 minutes: {quantity(found.now.users, 'person', 'people')}, {quantity(found.now.events, 'event')}; {_lengths(found.sessions)}"
    )


def _lengths(sessions: SessionFigures) -> str:
    if sessions.length_s_p50 is None:
        return f"sessions: {sessions.under_way:,} under way, none that began in this time has ended, so there is no length to give"
    return (
        f"sessions: {sessions.under_way:,} under way, {sessions.ended:,} ended, {sessions.length_s_p50:.0f} s long at the median "
        f"({sessions.length_s_p95:.0f} s p95), {sessions.events_mean:.1f} events each"
    )


def _cells(name: str, count: Count) -> tuple[str, ...]:
    numbers = (
        count.users, count.sessions, count.events, count.views, count.details, count.trailers, count.saved, count.web, count.mobile,
        count.tablet,
    )  # fmt: skip
    return (name, *(f"{number:,}" for number in numbers))


def recommend(
    user: Annotated[str | None, typer.Argument(help="The user: u_10 or 10.")] = None,
    *,
    film: Annotated[str | None, typer.Option("--film", help="Films like this one: its id or its title.")] = None,
    session: Annotated[
        str | None,
        typer.Option(
            "--session", help="Predict what comes next in a session, given its film ids, latest last: 12,331."
        ),
    ] = None,
    new_user: Annotated[bool, typer.Option("--new-user", help="Recommend for someone without any history.")] = False,
    evaluate: Annotated[
        bool, typer.Option("--evaluate", help="Evaluate the recommendations, and other methods, instead.")
    ] = False,
    users: Annotated[
        int | None,
        typer.Option(
            "--users", min=50, help="With --evaluate: use simulated worlds of this many people; needs no stack."
        ),
    ] = None,
    seeds: Annotated[str, typer.Option("--seeds", help="Seeds of those worlds: 1,2,3 or 1-5.")] = "1",
    days: Annotated[int, typer.Option("--days", min=2, max=60, help="Days per world.")] = 14,
    judge: Annotated[
        bool,
        typer.Option(
            "--judge", help="With --evaluate: show RecTools' figures beside ours, computed in a separate environment."
        ),
    ] = False,
    since: Annotated[str, typer.Option("--since", help="How much history to learn from.")] = "28d",
    until: Until = None,
    limit: Limit = 10,
    prove: Prove = False,
    profile_file: ProfileFile = None,
    json: Json = False,
) -> None:
    """Recommend films for a person, films like a film, or what comes next in a session.

    Example: `clickreel recommend u_10`, `clickreel recommend --film 331`,
    or `clickreel recommend --evaluate --users 2000 --seeds 1-3`
    """
    from clickreel.errors import UsageError

    if (user is not None) + (film is not None) + (session is not None) + new_user + evaluate != 1:
        raise UsageError(
            "one of USER, --film, --session, --new-user and --evaluate is needed", hint="clickreel recommend u_10"
        )
    if (users is not None or judge) and not evaluate:
        raise UsageError("--users and --judge go with --evaluate", hint="clickreel recommend --evaluate --users 2000")
    if users is not None:
        _evaluate_worlds(users, seeds, days, judge=judge, json=json)
        return
    if prove and evaluate:
        raise UsageError("--prove is of a list, --evaluate of a method", hint="clickreel recommend u_10 --prove")
    ask = _list_asked(user, film, session, limit)
    if prove:
        # All that a person has ever opened is left out of their list, so it reads the run from its beginning.
        before_ms = 0 if user is None else _EVER_MS
        show_proof(profile_file, since, until, lambda *at: ask(*at).as_json(), before_ms=before_ms, json=json)
        return
    client, window = open_warehouse(profile_file, since, until)
    if evaluate:
        _evaluation(client, window, judge=judge, json=json)
        return
    found = ask(client, window)
    if json:
        print_json(found.as_json())
        return
    _films(found)


def _list_asked(
    user: str | None, film: str | None, session: str | None, limit: int
) -> Callable[[Client, Window], Recommendation]:
    """What asks for the list that is meant; a user that is none is refused before anything is asked."""
    from clickreel.insight import recommend as answers

    number = answers.user_of(user) if user is not None else 0

    def ask(client: Client, window: Window) -> Recommendation:
        if session is not None:
            films = [answers.film_of(client, part.strip()) for part in session.split(",")]
            return answers.for_session(client, films, window, limit=limit)
        if film is not None:
            return answers.for_film(client, answers.film_of(client, film), window, limit=limit)
        if user is not None:
            return answers.for_user(client, number, window, limit=limit)
        return answers.for_new_user(client, window, limit=limit)

    return ask


def _films(found: Recommendation) -> None:
    print_err(f"learnt from {told(found.window)}")
    if found.basis == "popular":
        print_err(f"nothing is known of {found.of} {found.id}: the films opened most")
    rows = [
        (
            rank,
            film.film_id,
            film.title,
            f"{film.score:.0f}" if found.basis == "popular" else f"{film.score:.3f}",
            film.because,
        )
        for rank, film in enumerate(found.films, 1)
    ]
    score = {
        "popular": "sessions>", "rules": "score>", "together": "probability>" if found.of == "film" else "score>",
    }[found.basis]  # fmt: skip
    if found.of != "film" and found.basis != "popular":
        print_table((">", "film>", "title", score, "because of"), rows)
    else:
        print_table((">", "film>", "title", score), [row[:4] for row in rows])


def _evaluation(client: Client, window: Window, *, judge: bool, json: bool) -> None:
    from clickreel.insight.recommend import evaluate
    from clickreel.insight.recommenders.next_item_evaluation import clicks_of_warehouse, compare_methods

    clicks = clicks_of_warehouse(client, window)
    found = evaluate(client, window, clicks)
    compared = compare_methods(clicks)
    judged = _judged(clicks) if judge else None
    if json:
        beside = {} if judged is None else {"judge": judged.as_json()}
        print_json({**found.as_json(), "comparison": compared.as_json(), **beside})
        return
    print_err(f"learnt from the first four fifths of {told(found.window)}, asked about the last")
    print_table(
        ("question", "asked>", "figure", "ours>", "popular>"),
        [
            ("next film in the session (item-kNN)", f"{found.next_questions:,}", "hit rate in 10",
             f"{found.next_hit_rate_10:.3f}", f"{found.popular_next_hit_rate_10:.3f}"),
            ("", "", "hit rate in 20", f"{found.next_hit_rate_20:.3f}", f"{found.popular_next_hit_rate_20:.3f}"),
            ("", "", "MRR in 20", f"{found.next_mrr_20:.3f}", f"{found.popular_next_mrr_20:.3f}"),
            ("next new film of a person (rules)", f"{found.people:,}", "hit rate in 10",
             f"{found.people_hit_rate_10:.3f}", f"{found.popular_people_hit_rate_10:.3f}"),
        ],
    )  # fmt: skip
    _methods(compared)
    _judgements(judged)


def _judged(clicks: ClickSessions) -> JudgedSplit:
    from clickreel.insight.recommenders.next_item_evaluation import judge_methods
    from clickreel.local.home import Home

    return judge_methods(clicks, Home.default().path / "judge")


def _judgements(found: JudgedSplit | None) -> None:
    if found is None:
        return
    print_err(f"{found.framework} on the same split, {found.questions:,} questions")
    print_table(
        ("method", "measure", "ours>", "theirs>", ""),
        [
            (
                one.method, one.measure, f"{one.ours:.4f}", f"{one.theirs:.4f}",
                "agree" if one.agrees else f"differ by {one.ours / max(one.theirs, 1e-9) - 1:+.1%}: {one.reason}",
            )
            for one in found.judgements
        ],
    )  # fmt: skip


def _evaluate_worlds(users: int, seeds: str, days: int, *, judge: bool, json: bool) -> None:
    from clickreel.audit.realism.world_columns import seeds_of
    from clickreel.insight.recommenders.next_item_evaluation import clicks_of_world, compare_methods
    from clickreel.simulate.settings import WorldSettings
    from clickreel.simulate.world import World

    answers = []
    for seed in seeds_of(seeds):
        world = World(WorldSettings(seed=seed, users=users))
        clicks = clicks_of_world(world, days)
        compared = compare_methods(clicks, world=world)
        judged = _judged(clicks) if judge else None
        if json:
            beside = {} if judged is None else {"judge": judged.as_json()}
            answers.append({"seed": seed, **compared.as_json(), **beside})
            continue
        print_err(f"a world of {users:,} people, {days} days, seed {seed}")
        _methods(compared)
        _judgements(judged)
    if json:
        print_json({"users": users, "days": days, "worlds": answers})


def _methods(found: MethodComparison) -> None:
    print_err(f"next film of the session: {found.questions:,} asked, learnt from {found.clicks:,} clicks before them")
    print_table(
        ("method", "MRR@20>", "95 % interval>", "of oracle>", "HR@10>", "HR@20>", "coverage>", "control / POP>"),
        [
            (
                one.name, f"{one.mrr_20:.3f}", f"{one.mrr_20_low:.3f}-{one.mrr_20_high:.3f}",
                "" if one.share_of_oracle is None else f"{one.share_of_oracle:.0%}", f"{one.hit_rate_10:.3f}", f"{one.hit_rate_20:.3f}", f"{one.coverage:.2f}",
                f"{found.control[one.name]:.2f}" if one.name in found.control else "",
            )
            for one in (*found.methods, *((found.oracle,) if found.oracle else ()))
        ],
    )  # fmt: skip


def chart(
    name: Annotated[str | None, typer.Argument(help="Name of the chart; lists them when omitted.")] = None,
    *,
    since: Annotated[
        str | None, typer.Option("--since", help="Length of the window: 1h, 24h, 7d. [default: the chart's own]")
    ] = None,
    until: Until = None,
    limit: Limit = 20,
    sql: Annotated[bool, typer.Option("--sql", help="Print its SQL statement instead.")] = False,
    prove: Prove = False,
    profile_file: ProfileFile = None,
    json: Json = False,
) -> None:
    """Show the numbers behind a chart: clicks per minute, popular films and categories, sessions, retention and more.

    Example: `clickreel chart popular_categories --since 24h`
    """
    from clickreel.insight.charts import CHARTS, chart_named

    if name is None:
        listed = [(one.name, one.title, one.since) for one in CHARTS]
        if json:
            print_json({"charts": [dict(zip(("name", "title", "since"), row, strict=True)) for row in listed]})
        else:
            print_table(("chart", "title", "since"), listed)
        return
    asked = chart_named(name)
    if sql:
        typer.echo(asked.sql, nl=False)
        return
    if prove:
        show_proof(
            profile_file,
            since or asked.since,
            until,
            lambda client, window: asked.answer(client, window, limit=limit).as_json(),
            before_ms=DAY_MS,
            json=json,
        )
        return
    client, window = open_warehouse(profile_file, since or asked.since, until)
    found = asked.answer(client, window, limit=limit).as_json()
    if json:
        print_json(found)
        return
    print_err(f"{asked.title}, {told(window)}")
    rows = found["rows"]
    if not rows:
        print_err("nothing in this window")
        return
    numeric = {key for key, value in rows[0].items() if not isinstance(value, str)}
    print_table([f"{key}>" if key in numeric else key for key in rows[0]], [map(cell, row.values()) for row in rows])
