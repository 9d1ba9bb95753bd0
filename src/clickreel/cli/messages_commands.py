"""``clickreel messages``: what is in the topic, as it is."""

from __future__ import annotations

import signal
import sys
import threading
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clickreel.cli.output import Json, json_line
from clickreel.cli.target_options import ProfileFile, TopicName

if TYPE_CHECKING:
    from clickreel.stream.broker import Broker, Record
    from clickreel.stream.filter_expression import Predicate


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(messages)


def messages(  # noqa: PLR0917 - one parameter an option
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Wait for more; Ctrl-C ends.")] = False,
    limit: Annotated[
        int | None, typer.Option("--limit", "-n", help="Stop after so many. [default: 20, with --follow: no limit]")
    ] = None,
    start: Annotated[
        str | None,
        typer.Option("--from", help="earliest, latest, an offset, -N from the end, or a time: 10m, 2026-01-31T18:30."),
    ] = None,
    where: Annotated[
        str | None, typer.Option("--where", help="Only these: \"event_type == 'view' and position <= 3\".")
    ] = None,
    partition: Annotated[
        list[int] | None, typer.Option("--partition", "-p", help="Only this partition; can be repeated.")
    ] = None,
    topic: TopicName = None,
    profile: ProfileFile = None,
    json: Json = False,
) -> None:
    """Show messages of the topic: the newest, or from any place on, checked against the contract.

    Example: [bold]clickreel messages --follow --where "event_type == 'add_to_watchlist'"[/bold]
    """
    from clickreel.cli.target_options import broker, topic_name
    from clickreel.contract.vocabulary import FIELDS
    from clickreel.errors import UsageError
    from clickreel.stream import record_view
    from clickreel.stream.filter_expression import compile_filter
    from clickreel.stream.send_schedule import wall_clock

    if limit is not None and limit < 1:
        raise UsageError(f"--limit is {limit}", hint="allowed: at least 1")
    wanted = compile_filter(where, tuple(FIELDS)) if where else None
    cluster, name = broker(profile), topic_name(topic)
    place = start or "latest"
    most = limit if limit is not None or follow else 20
    # The newest of a filter may lie anywhere: then the whole topic is looked through.
    last = 0 if follow else None if wanted else most
    begin = record_view.start_offsets(cluster, name, place, wall_clock(), last=last)
    if place == "latest" and wanted and not follow:
        begin = record_view.start_offsets(cluster, name, "earliest", wall_clock())
    begin = _chosen(begin, partition, name)
    printer = _Printer(wanted, json=json)
    if place == "latest" and not follow:
        for record in record_view.newest_records(cluster, name, most or 20, begin, printer.wants):
            printer.show(record)
        return
    _run(cluster, name, begin, printer, most, follow=follow)


def _chosen(begin: dict[int, int], partitions: list[int] | None, topic: str) -> dict[int, int]:
    from clickreel.errors import UsageError

    for partition in partitions or ():
        if partition not in begin:
            raise UsageError(
                f"unknown partition {partition} of {topic} (has 0-{len(begin) - 1})", hint="clickreel topic describe"
            )
    return {p: offset for p, offset in begin.items() if not partitions or p in partitions}


def _run(
    cluster: Broker, topic: str, begin: dict[int, int], printer: _Printer, limit: int | None, *, follow: bool
) -> None:
    from clickreel.stream import record_view

    stop = threading.Event()
    before = signal.signal(signal.SIGTERM, lambda *_: stop.set())
    shown = 0
    try:
        for records in record_view.read_records(cluster, topic, begin, follow=follow, stop=stop):
            for record in filter(printer.wants, records):
                printer.show(record)
                shown += 1
                if shown == limit:
                    return
            sys.stdout.flush()
    finally:
        signal.signal(signal.SIGTERM, before)


class _Printer:
    """Prints messages: as NDJSON, or a line each for a person."""

    def __init__(self, wanted: Predicate | None, *, json: bool) -> None:
        self._wanted, self._json = wanted, json
        self._colour = sys.stdout.isatty()

    def wants(self, record: Record) -> bool:
        """Whether the filter lets it through."""
        from clickreel.stream import record_view

        return self._wanted is None or self._wanted(record_view.filter_fields(record_view.record_as_json(record)))

    def show(self, record: Record) -> None:
        """Print one."""
        from clickreel.stream import record_view

        message = record_view.record_as_json(record)
        if self._json:
            sys.stdout.write(json_line(message))
        else:
            sys.stdout.write(self._line(record, message) + "\n")

    def _line(self, record: Record, message: dict[str, Any]) -> str:
        from clickreel.foreign_text import printable

        def text(data: bytes | None) -> str:
            return "null" if data is None else printable(data)

        parts = [
            f"{record.partition}:{record.offset}",
            message["timestamp"] or "-",
            text(record.key),
            text(record.value),
        ]
        parts += [f"{printable(name)}={text(data)}" for name, data in record.headers]
        line = "  ".join(parts)
        for error in message["errors"]:
            said = f"breaks the contract: {printable(error['text'])}"
            line += f"\n    \x1b[31m{said}\x1b[0m" if self._colour else f"\n    {said}"
        return line
