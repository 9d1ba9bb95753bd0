"""The reference pages ``docs/reference/``, written from the code so that they cannot go stale."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer.main

from clickreel.cli.command_index import COMMANDS, load_command


def commands() -> str:
    """The page of commands: every command with its help, arguments and options, in the order of ``--help``."""
    lines = ["# Commands", "", "Written by `make docs` from the command line itself.", ""]
    for path, command in _walk("clickreel", command_tree()):
        lines += [f"## `{path}`", "", _plain(command.help or ""), ""]
        rows = [_row(parameter) for parameter in command.params if not getattr(parameter, "hidden", False)]
        if rows:
            lines += ["| option | default | meaning |", "|---|---|---|", *rows, ""]
    return "\n".join(lines).rstrip() + "\n"


def command_tree() -> Any:
    """The command line with every command loaded."""
    from clickreel.cli.app import app

    root: Any = typer.main.get_command(app)
    root.commands = {name: load_command(name) for name in COMMANDS}
    return root


def _walk(path: str, command: Any) -> Iterator[tuple[str, Any]]:
    yield path, command
    for name, child in getattr(command, "commands", {}).items():
        if not child.hidden:
            yield from _walk(f"{path} {name}", child)


def _row(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        names = f"`{parameter.name.upper()}`"
    else:
        names = ", ".join(f"`{name}`" for name in [*parameter.opts, *parameter.secondary_opts])
    default = parameter.default
    shown = str(default) if isinstance(default, str | int | float) and default is not False else ""
    meaning = _plain(getattr(parameter, "help", None) or "").replace("|", "\\|").replace("\n", " ")
    return f"| {names} | {shown} | {meaning} |"


def _plain(text: str) -> str:
    return text.replace("\b", "").strip()


def contract() -> str:
    """The page of the contract: fields, rules, column types, former versions, malformed kinds."""
    from clickreel.contract import contract_page

    return contract_page.page()


def settings() -> str:
    """The page of settings: every table of the project file, every environment variable."""
    from clickreel.cli import settings_page

    return settings_page.page()


def metrics() -> str:
    """The page of metrics: what producer and ingest serve for Prometheus."""
    from clickreel.ingest import freshness
    from clickreel.stream import producer_metrics

    lines = [
        "# Metrics",
        "",
        "Written by `make docs` from the code. Each part serves its own on 127.0.0.1 in Prometheus' text form; `clickreel status --json`",
        "names the addresses. A counter has `_total` appended there.",
        "",
    ]
    for part, variable, listed in (
        ("producer", "CLICKREEL_PRODUCER_METRICS_PORT", (*producer_metrics.METRICS, producer_metrics.ERRORS)),
        ("ingest", "CLICKREEL_INGEST_METRICS_PORT", freshness.METRICS),
    ):
        lines += [f"## {part.capitalize()}", "", f"The port is `{variable}` ([settings](settings.md)).", ""]
        lines += ["| metric | kind | labels | meaning |", "|---|---|---|---|"]
        lines += [
            f"| `{metric.name}` | {metric.kind} | {', '.join(f'`{label}`' for label in metric.labels)} | {metric.doc} |"
            for metric in listed
        ]
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


PAGES = {"commands.md": commands, "contract.md": contract, "metrics.md": metrics, "settings.md": settings}


def write(folder: Path) -> list[Path]:
    """Write all reference pages into a folder and return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, page in PAGES.items():
        target = folder / name
        target.write_text(page(), encoding="utf-8")
        written.append(target)
    return written


if __name__ == "__main__":
    write(Path("docs/reference"))
