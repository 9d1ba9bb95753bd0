"""``clickreel messages``: what is in the topic."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from clickreel.cli.output import Json, print_err
from clickreel.cli.target_options import ProfileFile, TopicName
from clickreel.interrupts import end_requests
from clickreel.quantities import quantity

if TYPE_CHECKING:
    from clickreel.cli.progress_line import ProgressLine
    from clickreel.cli.record_table import RecordTable
    from clickreel.contract.verdict import Lookup
    from clickreel.profile import Profile
    from clickreel.stream.broker import Broker
    from clickreel.stream.record_batch import Record
    from clickreel.stream.record_view import RecordView, Wanted

_DEFAULT_LIMIT = 20


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(messages)


def messages(  # noqa: PLR0917 - one parameter an option
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Keep waiting for more; Ctrl-C stops.")] = False,
    limit: Annotated[
        int | None, typer.Option("--limit", "-n", help="Stop after this many. [default: 20; no limit with --follow]")
    ] = None,
    start: Annotated[
        str | None,
        typer.Option(
            "--from",
            help="newest, oldest, an offset, -N from the end of each partition, or a time: 10m, 2026-01-31T18:30. "
            "[default: newest]",
        ),
    ] = None,
    where: Annotated[
        str | None,
        typer.Option("--where", help="Only messages that match: \"event_type == 'view' and position <= 3\"."),
    ] = None,
    partition: Annotated[
        list[int] | None,
        typer.Option("--partition", "-p", metavar="<int>", help="Only this partition; can be repeated."),
    ] = None,
    raw: Annotated[
        bool, typer.Option("--raw", help="Show key, value and headers as they are, instead of columns.")
    ] = False,
    topic: TopicName = None,
    profile: ProfileFile = None,
    json: Json = False,
) -> None:
    """Show messages of the topic, the newest or from any position, each with the contract's verdict.

    Example: `clickreel messages --follow --where "event_type == 'add_to_watchlist'"`
    """
    from clickreel.cli.record_table import RecordTable
    from clickreel.cli.target_options import profile as target_profile
    from clickreel.cli.target_options import topic_name
    from clickreel.contract.vocabulary import FIELDS
    from clickreel.errors import UsageError
    from clickreel.stream.cluster import Cluster
    from clickreel.stream.filter_expression import compile_filter

    if limit is not None and limit < 1:
        raise UsageError(f"--limit is {limit}", hint="allowed: at least 1")
    wanted = compile_filter(where, tuple(FIELDS)) if where else None
    target, name = target_profile(profile), topic_name(topic)
    cluster = Cluster(target)
    chosen = _chosen(partition, len(cluster.bounds(name)), name)
    table = None if json else RecordTable(raw=raw)
    search = _Search(cluster, name, chosen, wanted, _schema_lookup(target, name), table)
    with _terminated() as stop:
        if follow:
            search.follow(start or "newest", limit, stop)
        else:
            search.read(start or "newest", limit or _DEFAULT_LIMIT, stop)


def _schema_lookup(target: Profile, topic: str) -> Lookup | None:
    """Finds the schemas that records name, where there is a registry."""
    if not target.registry_url:
        return None
    from clickreel.contract import schema_registry
    from clickreel.contract.schema_lookup import SchemaLookup

    return SchemaLookup(schema_registry.connect(target).by_id, topic)


def _chosen(partitions: list[int] | None, count: int, topic: str) -> frozenset[int] | None:
    """The partitions that are asked for; None for all."""
    from clickreel.errors import UsageError

    for partition in partitions or ():
        if not 0 <= partition < count:
            raise UsageError(
                f"unknown partition {partition} of {topic} (has 0-{count - 1})", hint="clickreel topic describe"
            )
    return frozenset(partitions) if partitions else None


@contextmanager
def _terminated() -> Iterator[threading.Event]:
    """An event that SIGTERM sets."""
    stop = threading.Event()
    with end_requests(lambda _: stop.set(), signal.SIGTERM):
        yield stop


# Of each partition, while more comes than a person can read.
_KEPT_RECORDS, _POLL_RECORDS = 200, 2_000


@dataclass
class _Search:
    """Reads records, prints those that are wanted, and says what a person has to know beside them."""

    cluster: Broker
    topic: str
    partitions: frozenset[int] | None
    wanted: Wanted | None
    lookup: Lookup | None
    table: RecordTable | None
    looked_at: int = 0
    shown: int = 0

    def read(self, start: str, limit: int, stop: threading.Event) -> None:
        """Print up to ``limit`` records and end."""
        from clickreel.cli.progress_line import ProgressLine
        from clickreel.stream import record_view
        from clickreel.stream.send_schedule import wall_clock

        with ProgressLine(self._progress, terminal_only=self.table is None) as progress:
            if record_view.is_latest(start):
                keep = None if self.wanted is None else lambda record: self._is_wanted(self._view(record))
                found = record_view.newest_records(
                    self.cluster,
                    self.topic,
                    limit,
                    keep,
                    partitions=self.partitions,
                    looked_at=lambda count: self._count(count, progress),
                    stop=stop,
                )
                progress.clear()
                self._print(map(self._view, found))
            else:
                begin = record_view.start_offsets(self.cluster, self.topic, start, wall_clock())
                self._read_from(self._only_chosen(begin), limit, stop, progress)
        self._say_what_is_missing(start)

    def _read_from(self, begin: Mapping[int, int], limit: int, stop: threading.Event, progress: ProgressLine) -> None:
        from clickreel.stream import record_view

        for records in record_view.read_records(
            self.cluster, self.topic, begin, stop=stop, looked_at=lambda count: self._count(count, progress)
        ):
            views = [view for view in map(self._view, records) if self._is_wanted(view)][: limit - self.shown]
            if views:
                progress.clear()
                self._print(views)
            if self.shown >= limit:
                return

    def follow(self, start: str, limit: int | None, stop: threading.Event) -> None:
        """Print records as they come, until there are ``limit`` of them."""
        from clickreel.stream import record_view
        from clickreel.stream.send_schedule import wall_clock
        from clickreel.stream.topic_follower import TopicFollower

        begin = self._only_chosen(record_view.start_offsets(self.cluster, self.topic, start, wall_clock()))
        if self.table is not None and sys.stderr.isatty():
            print_err(f"following {self.topic} from {start}; Ctrl-C ends")
        follower = TopicFollower(self.cluster, self.topic, begin, all_partitions=self.partitions is None)
        # A person who looks at the newest wants to go on seeing the newest; a pipe, a filter and a beginning of one's own get every record.
        skips = sys.stdout.isatty() and self.wanted is None and limit is None and record_view.is_latest(start)
        records: list[Record] = []
        try:
            while not stop.is_set():
                if skips and len(records) >= _POLL_RECORDS and (left_out := follower.skip_ahead(_KEPT_RECORDS)):
                    print_err(
                        (f"{quantity(left_out, 'message')} skipped: they arrive faster than anyone can read", "dim")
                    )
                records = [record for batch in follower.poll(_POLL_RECORDS, 0.2) for record in batch.records()]
                records.sort(key=lambda record: (record.timestamp_ms, record.partition, record.offset))
                views = [view for view in map(self._view, records) if self._is_wanted(view)]
                self._print(views if limit is None else views[: limit - self.shown])
                if limit is not None and self.shown >= limit:
                    return
        finally:
            follower.close()

    def _view(self, record: Record) -> RecordView:
        from clickreel.stream.record_view import RecordView

        return RecordView(record, self.lookup)

    def _is_wanted(self, view: RecordView) -> bool:
        return self.wanted is None or self.wanted(view)

    def _only_chosen(self, begin: Mapping[int, int]) -> dict[int, int]:
        return {p: offset for p, offset in begin.items() if self.partitions is None or p in self.partitions}

    def _count(self, count: int, progress: ProgressLine) -> None:
        self.looked_at += count
        progress.update()

    def _progress(self) -> str:
        return f"{quantity(self.looked_at, 'message')} of {self.topic} looked at, {self.shown:,} shown; Ctrl-C ends"

    def _print(self, views: Iterable[RecordView]) -> None:
        from clickreel.cli.output import is_utf8
        from clickreel.foreign_text import printable_json

        for view in views:
            if self.table is None:
                text = printable_json(view.as_json().decode(), ascii_only=not is_utf8(sys.stdout.encoding))
            else:
                if self.shown == 0 and self.table.heading and sys.stdout.isatty():
                    sys.stdout.write(self.table.heading + "\n")
                text = self.table.line(view)
            sys.stdout.write(text + "\n")
            self.shown += 1
        sys.stdout.flush()

    def _say_what_is_missing(self, start: str) -> None:
        """Why nothing was printed, and which records wait for the end of a transaction."""
        bounds = self.cluster.bounds(self.topic)
        for partition, (bound, stable) in enumerate(zip(bounds, self.cluster.stable_offsets(self.topic), strict=False)):
            if stable < bound.high and (self.partitions is None or partition in self.partitions):
                print_err(
                    f"partition {partition} has an open transaction; its commit will show "
                    f"{quantity(bound.high - stable, 'message')} from offset {stable:,} on"
                )
        if self.shown:
            return
        if not any(bound.high > bound.low for bound in bounds):
            print_err(
                f"{self.topic} holds no messages; to stream some: clickreel up, or clickreel produce --count 1000"
            )
        elif self.wanted is not None:
            print_err(f"none of the {quantity(self.looked_at, 'message')} read matches --where")
        else:
            print_err(f"{self.topic} holds no messages from {start} on; the newest ones: clickreel messages")
