"""``clickreel bench NAME``: our figures against others', measured in one run on one machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from clickreel.cli.output import Json, print_err, print_json, print_table

if TYPE_CHECKING:
    from collections.abc import Callable

Options = Annotated[
    list[str] | None,
    typer.Option("--set", "-s", help="Give the benchmark an option: -s events=500000. May be repeated."),
]


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(bench)


def bench(
    name: Annotated[
        str | None, typer.Argument(help="Name of the benchmark; lists them when omitted.", show_default=False)
    ] = None,
    option: Options = None,
    json: Json = False,
) -> None:
    """Run a benchmark; results are ratios, above 1 when clickreel is faster.

    Example: `clickreel bench simulate`
    """
    from clickreel.errors import UsageError

    known = names()
    if name is None:
        if json:
            print_json({"benchmarks": [{"name": each, "about": about(each)} for each in known]})
        else:
            print_table(["name", "what it measures"], [(each, about(each)) for each in known])
        return
    if name not in known:
        raise UsageError(f"no benchmark {name!r}", hint=f"one of: {', '.join(known)}")
    run = _run_of(name)
    answer = run(**_options(run, option or []))
    if json:
        print_json(answer)
    else:
        _show(answer)


def names() -> tuple[str, ...]:
    """The benchmarks there are: the modules ``NAME_bench`` of :mod:`clickreel.bench`."""
    from importlib import resources

    # Listed, not imported: a list must not load Kafka, ClickHouse and Flink.
    files = (file.name for file in resources.files("clickreel.bench").iterdir())
    return tuple(sorted(name.removesuffix("_bench.py") for name in files if name.endswith("_bench.py")))


def about(name: str) -> str:
    """The first sentence of a benchmark's module, without its command."""
    import ast
    from importlib import resources

    text = (resources.files("clickreel.bench") / f"{name}_bench.py").read_text(encoding="utf-8")
    first = (ast.get_docstring(ast.parse(text)) or "").split("\n\n")[0].replace("\n", " ")
    return first.partition(": ")[2].rstrip(".") or first


def _run_of(name: str) -> Callable[..., dict[str, Any]]:
    import importlib

    run: Callable[..., dict[str, Any]] = importlib.import_module(f"clickreel.bench.{name}_bench").run
    return run


def _options(run: Callable[..., Any], given: list[str]) -> dict[str, Any]:
    """``events=500000`` in the type of the parameter's default."""
    import inspect

    from clickreel.errors import UsageError

    parameters = inspect.signature(run).parameters
    options: dict[str, Any] = {}
    for text in given:
        key, found, value = text.partition("=")
        if not found or key not in parameters:
            raise UsageError(f"-s {text}", hint=f"OPTION=VALUE with one of: {', '.join(parameters)}")
        default = parameters[key].default
        kind = str if default is None or default is inspect.Parameter.empty else type(default)
        try:
            options[key] = value.lower() in {"1", "true", "yes", "on"} if kind is bool else kind(value)
        except ValueError:
            raise UsageError(f"-s {text}", hint=f"give a value like {default!r}") from None
    return options


def _show(answer: dict[str, Any]) -> None:
    ratios = answer.get("ratios", {})
    if ratios:
        rows = [(what, *(f"{r[part]:.2f}" for part in ("median", "min", "max"))) for what, r in ratios.items()]
        print_table(["ours over theirs", "median>", "min>", "max>"], rows)
    print_table(["figure", "value>"], [(what, _figure(value)) for what, value in answer.get("figures", {}).items()])
    machine = answer.get("machine", {})
    print_err(", ".join(f"{key} {value}" for key, value in machine.items()))


def _figure(value: Any) -> str:
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:,.3f}" if isinstance(value, float) else str(value)
