"""The commands by name: a command's module is imported when that command runs, not when the list is shown.

Typer takes 0.15 s of processor time, the modules of all commands as much again, and Rich more than both: none of them is needed to list
the commands or to complete a name.
"""

from __future__ import annotations

import importlib
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from clickreel.errors import UsageError

# Name, module (`clickreel.cli.<module>_commands`) and help line of each, in the order of `--help`. A test compares them with the modules.
COMMANDS: dict[str, tuple[str, str]] = {
    "up": ("stack", "Start the local stack, create the topic, register the contract, and stream."),
    "down": ("stack", "Stop all services and check that none is left; the data is kept."),
    "status": (
        "stack",
        "Show what runs, where and since when; exits with 1 unless everything that was started works.",
    ),
    "logs": ("stack", "Show the logs of the services."),
    "doctor": (
        "stack",
        "Check Java, jars, ports, disk, memory, clock and every service; each problem comes with its fix.",
    ),
    "jars": ("jars", "Fetch the programs that the local stack runs."),
    "topic": ("topic", "Plan, create, describe and check the topic."),
    "contract": ("contract", "The data contract: show, register, evolve and check its schemas, and validate messages."),
    "simulate": (
        "simulate",
        "Write a world's events to a file: the same events, in the same order, as `produce` streams.",
    ),
    "ledger": (
        "simulate",
        "Write the ground truth of a run: flaws, bursts, launches, removals, rankers, random lists, bots.",
    ),
    "scenarios": ("simulate", "List the named worlds."),
    "id": ("simulate", "Decode event ids."),
    "produce": ("produce", "Stream a world's clicks into the topic, each event exactly once, even across crashes."),
    "messages": (
        "messages",
        "Show messages of the topic, the newest or from any position, each with the contract's verdict.",
    ),
    "monitor": (
        "monitor",
        "Show messages and bytes per second by partition, with skew, and lag in messages and seconds.",
    ),
    "realism": ("realism", "Score how human a stream looks: 24 tests against published figures."),
    "fit": ("realism", "Find settings that give a world the statistics of a real click log."),
    "warehouse": ("warehouse", "Manage the tables and views in ClickHouse."),
    "ingest": ("ingest", "Land the topic in ClickHouse, each event exactly once."),
    "dead-letters": ("ingest", "List, show and replay the messages that broke the contract."),
    "sql": ("sql", "Query the topic with Flink SQL."),
    "statement": ("sql", "List, show and stop running and past statements."),
    "verify": (
        "verify",
        "Prove, event by event, that what was simulated is in Kafka and in ClickHouse, exactly once and in order.",
    ),
    "trending": (
        "insight",
        "Show films or categories that draw far more people than their past week predicts, since when, and why.",
    ),
    "funnel": ("insight", "Show how many people get how far from seeing a film to saving it."),
    "activity": ("insight", "Show people, sessions and events over time."),
    "recommend": ("insight", "Recommend films for a person, films like a film, or what comes next in a session."),
    "chart": (
        "insight",
        "Show the numbers behind a chart: clicks per minute, popular films and categories, sessions, retention and more.",
    ),
    "bench": ("bench", "Run a benchmark; results are ratios, above 1 when clickreel is faster."),
    "export": (
        "export",
        "Write the configuration for another engine to land the topic, or the charts as a Superset or Grafana dashboard.",
    ),
    "console": ("console", "Serve the web console: the live topic, its monitor, contract, SQL, answers and proofs."),
}


def load_command(name: str) -> Any:
    """The real command behind a name: imports its module."""
    holder = typer.Typer(rich_markup_mode=None)
    holder.callback()(lambda: None)  # with one, even a module of a single command gives a group
    importlib.import_module(f"clickreel.cli.{COMMANDS[name][0]}_commands").register(holder)
    return typer.main.get_group(holder).commands[name]


class CommandGroup(TyperGroup):
    """A group whose list of commands shows each help line whole, folded, where Typer's own cuts it off."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the words behind the group's name; without any the help is printed, and the exit code is that of a usage error."""
        if not args and not ctx.resilient_parsing:
            typer.echo(ctx.get_help(), err=True)
            raise typer.Exit(UsageError.exit_code)
        return super().parse_args(ctx, args)

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002 - Typer's signature
        """Write the section of commands."""
        rows = [(name, command.get_short_help_str(10_000)) for name, command in self.commands.items()]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


class CommandIndex(CommandGroup):
    """The group of all commands: it knows names and help lines, and loads the command that is called."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = {
            name: TyperCommand(name, help=line, rich_markup_mode=None) for name, (_, line) in COMMANDS.items()
        }

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """Find the command that the words call, and load it."""
        name, command, rest = super().resolve_command(ctx, args)
        return name, load_command(name) if name else command, rest
