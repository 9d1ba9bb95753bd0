"""``clickreel bench insight``: every chart, trending and recommendations over many events while more arrive; what the counts cost ingest.

The events are a simulated world of an even density (as 100 million in 28 days), landed as ingest lands them: one block, one part. A chart's
window is the one that it has by default, and ends at a random instant of the last hour, so that nothing is asked twice. While it asks, new
events are inserted at a settable rate. All questions and inserts go over HTTP to the local ClickHouse on the same machine.

Ingest with and without the counts: the same blocks into two databases of which one has no projections, turn by turn, both warmed.
"""

from __future__ import annotations

import itertools
import random
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from clickreel import timespec
from clickreel.bench.machine import machine
from clickreel.bench.topic_filler import PARTITIONS, START_MS
from clickreel.bench.turns import take_turns

if TYPE_CHECKING:
    from clickreel.events import Events
    from clickreel.insight.charts import Chart
    from clickreel.insight.window import Window
    from clickreel.profile import Profile
    from clickreel.simulate.world import World
    from clickreel.warehouse.client import Client

TABLE = "dvd_clicks_landing"
# 100 million in 28 days.
DENSITY_PER_S = 41.3
_BLOCK = 500_000
_HOUR_MS = 3_600_000
# Ingest itself asks it how far it has come.
_OFFSETS = "offsets"


@dataclass
class Landing:
    """Lands events as blocks of rows in offset order; counts offsets by partition."""

    client: Client
    next_offsets: NDArray[np.int64] = field(default_factory=lambda: np.zeros(PARTITIONS, np.int64))

    def insert(self, events: Events) -> None:
        """One block, one part."""
        import pyarrow as pa

        from clickreel.contract import vocabulary

        partitions = (events.user % PARTITIONS).astype(np.int32)
        order = np.argsort(partitions, kind="stable")
        events, partitions = events.take(order), partitions[order]
        counts = np.bincount(partitions, minlength=PARTITIONS)
        offsets = np.concatenate(
            [np.arange(first, first + count) for first, count in zip(self.next_offsets, counts, strict=True)]
        )
        self.next_offsets += counts
        ids = np.random.default_rng(int(self.next_offsets.sum())).bytes(16 * len(events))
        words = {
            "event_type": (events.event_type, vocabulary.EVENT_TYPES),
            "page": (events.page, vocabulary.PAGES),
            "device": (events.device, vocabulary.DEVICES),
            "referrer": (events.referrer, vocabulary.REFERRERS),
        }
        stamps = pa.array(events.ts_ms, pa.timestamp("ms", "UTC"))
        columns = {
            "_topic": pa.array(["bench"] * len(events)).dictionary_encode(),
            "_topic_id": pa.array(["bench"] * len(events)).dictionary_encode(),
            "_partition": pa.array(partitions),
            "_offset": pa.array(offsets),
            "_timestamp": stamps,
            "event_id": pa.FixedSizeBinaryArray.from_buffers(pa.binary(16), len(events), [None, pa.py_buffer(ids)]),
            "event_ts": stamps,
            "user": pa.array(events.user.astype(np.uint64)),
            "session": pa.array(events.session),
            "film_id": pa.array(events.film),
            "position": pa.array(events.position),
            **{
                name: pa.DictionaryArray.from_arrays(pa.array(codes.astype(np.int8)), pa.array(list(known)))
                for name, (codes, known) in words.items()
            },
        }
        sink = pa.BufferOutputStream()
        table = pa.table(columns)
        with pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)
        self.client.connection.raw_insert(
            TABLE,
            list(columns),
            sink.getvalue().to_pybytes(),
            settings={"max_insert_block_size": 2_000_000, "min_insert_block_size_rows": 2_000_000},
            fmt="Arrow",
        )


def run(
    events: int = 20_000_000,
    seconds: float = 60.0,
    arriving_rate: int = 10_000,
    recommend_rate: int = 200,
    turns: int = 3,
) -> dict[str, Any]:
    """Measure answers and cost.

    Args:
        events: Events in the warehouse before the first question.
        seconds: How long charts are asked, while events arrive; each chart at least five times.
        arriving_rate: Events a second that arrive meanwhile; 0 for none.
        recommend_rate: Lists a second that are asked for.
        turns: How often ingest is measured with and without the counts.
    """
    from clickreel.local.home import Home
    from clickreel.local.local_profile import profile as local_profile
    from clickreel.local.stack import Stack
    from clickreel.simulate.settings import WorldSettings
    from clickreel.simulate.world import World

    with tempfile.TemporaryDirectory(prefix="clickreel-bench-") as folder:
        stack = Stack(Home(Path(folder)))
        try:
            stack.ensure(["kafka", "clickhouse"], attached=True)  # a profile has an address of Kafka
            profile = local_profile(stack.home)
            world = World(WorldSettings(rate=DENSITY_PER_S))
            cost = _insert_cost(profile, world, turns)
            client = _database(profile, "insight")
            landing, begin_ms = Landing(client), START_MS - int(events / DENSITY_PER_S * 1000)
            began = time.perf_counter()
            for block in _blocks(world, begin_ms, START_MS):
                landing.insert(block)
            landed_s = time.perf_counter() - began
            figures = {"events": int(landing.next_offsets.sum()), "landed_s": round(landed_s, 1), **_storage(client)}
            asked = _ask_while_arriving(
                landing, world, seconds=seconds, arriving_rate=arriving_rate, recommend_rate=recommend_rate
            )
        finally:
            stack.down()
    return {
        "name": "insight",
        "ratios": cost["ratios"],
        "figures": figures | cost["figures"] | asked,
        "machine": machine(),
    }


def _database(profile: Profile, name: str) -> Client:
    from clickreel.simulate import films
    from clickreel.warehouse import film_dimension, migrate
    from clickreel.warehouse.client import connect

    client = connect(replace(profile, clickhouse_database=f"bench_{name}"), create=True)
    migrate.migrate(client)
    film_dimension.load(client, films.invent(1000, 1))
    return client


def _blocks(world: World, begin_ms: int, end_ms: int) -> Iterator[Events]:
    step_ms = int(_BLOCK / DENSITY_PER_S * 1000)
    cursor = world.cursor(begin_ms)
    for at in range(begin_ms + step_ms, end_ms + step_ms, step_ms):
        yield cursor.advance(min(at, end_ms)).events


def _insert_cost(profile: Profile, world: World, turns: int) -> dict[str, Any]:
    """Rows a second into the landing table with and without projections."""
    blocks = list(itertools.islice(_blocks(world, START_MS, START_MS + 8 * _HOUR_MS), 2))
    sides: dict[str, Callable[[], float]] = {}
    for name in ("with counts", "without counts"):
        client = _database(profile, name.replace(" ", "_"))
        if name == "without counts":
            drop_counts(client)
        landing = Landing(client)

        def side(landing: Landing = landing) -> float:
            began = time.perf_counter()
            for block in blocks:
                landing.insert(block)
            return sum(map(len, blocks)) / (time.perf_counter() - began)

        sides[name] = side
    taken = take_turns(sides, turns)
    figures = {
        f"insert_{name.replace(' ', '_')}_events_per_s": list(map(round, rates)) for name, rates in taken.rates.items()
    }
    for name in sides:
        _database(profile, name.replace(" ", "_")).command(f"DROP DATABASE bench_{name.replace(' ', '_')} SYNC")
    ratio = taken.ratios("with counts", "without counts")
    return {"ratios": {"insert with counts, over without": ratio} if ratio else {}, "figures": figures | taken.failed}


def drop_counts(client: Client) -> None:
    """Take the projections that answers read from the landing table; ingest's own stays."""
    names = client.rows(
        "SELECT name FROM system.projections WHERE database = currentDatabase() AND table = {table:String} AND name != {offsets:String}",
        {"table": TABLE, "offsets": _OFFSETS},
    )
    for (name,) in names:
        client.command(f"ALTER TABLE {TABLE} DROP PROJECTION {name}")


def _storage(client: Client) -> dict[str, Any]:
    in_table = "active AND database = currentDatabase() AND table = {table:String}"
    parts = client.rows(
        f"SELECT sum(bytes_on_disk), sum(rows), count() FROM system.parts WHERE {in_table}", {"table": TABLE}
    )
    counts = client.command(
        f"SELECT sum(bytes_on_disk) FROM system.projection_parts WHERE {in_table}", {"table": TABLE}
    )
    size, rows, count = parts[0]
    return {
        "bytes_per_event": round(size / rows, 2),
        "bytes_per_event_of_counts": round(int(counts) / rows, 2),
        "parts": count,
    }


def _ask_while_arriving(
    landing: Landing, world: World, *, seconds: float, arriving_rate: int, recommend_rate: int
) -> dict[str, Any]:
    client, stop, arrived = landing.client, threading.Event(), [0]
    thread = threading.Thread(target=_arrive, args=(landing, world, arriving_rate, stop, arrived))
    if arriving_rate:
        thread.start()
    began = time.perf_counter()
    try:
        figures = _ask_charts(client, seconds)
        figures |= _ask_recommendations(client, min(seconds, 20.0), recommend_rate)
    finally:
        stop.set()
        if arriving_rate:
            thread.join()
    return {**figures, "arrived_events_per_s": round(arrived[0] / (time.perf_counter() - began))}


def _arrive(landing: Landing, world: World, rate: int, stop: threading.Event, arrived: list[int]) -> None:
    """Three blocks a second, as ingest closes them."""
    stretch_ms = int(10 * rate / DENSITY_PER_S * 1000)
    events = world.events(START_MS, START_MS + stretch_ms)
    block, began, at = max(1, rate // 3), time.perf_counter(), 0
    while not stop.wait(max(0.0, arrived[0] / rate - (time.perf_counter() - began))):
        if at + block > len(events):
            at = 0
        piece = events.take(slice(at, at + block))
        # Spread over the last hour, in which the windows end.
        times = START_MS - _HOUR_MS + np.arange(len(piece), dtype=np.int64) * _HOUR_MS // len(piece)
        landing.insert(replace(piece, ts_ms=times))
        at += block
        arrived[0] += block


def _window(since: str, rng: random.Random) -> Window:
    from clickreel.insight.window import Window

    end_ms = START_MS - rng.randrange(_HOUR_MS)
    return Window(end_ms - timespec.span_ms(since, "since"), end_ms, 0)


def _ask_charts(client: Client, seconds: float) -> dict[str, Any]:
    """Each chart once a round, over its own window."""
    from clickreel.insight.charts import CHARTS
    from clickreel.insight.film_trends import trends

    rng = random.Random(1)  # noqa: S311 - windows, not secrets

    def ask_chart(chart: Chart[Any]) -> None:
        chart.answer(client, _window(chart.since, rng))

    asked: dict[str, Callable[[], object]] = {chart.name: partial(ask_chart, chart) for chart in CHARTS}
    asked["trending"] = lambda: trends(client, _window("3h", rng), limit=20)
    times: dict[str, list[float]] = {name: [] for name in asked}
    began = time.perf_counter()
    for ask in asked.values():
        ask()  # warm
    while time.perf_counter() - began < seconds or len(times["trending"]) < 5:
        for name, ask in asked.items():
            at = time.perf_counter()
            ask()
            times[name].append((time.perf_counter() - at) * 1000)
    return {key: value for name, taken in times.items() for key, value in _percentiles(name, taken).items()}


def _ask_recommendations(client: Client, seconds: float, rate: int) -> dict[str, Any]:
    """Lists for people at a rate, from the live model; a list is late from the moment at which it was due."""
    from clickreel.insight.recommenders.live_rules import LiveRecommender

    rng = random.Random(2)  # noqa: S311 - people, not secrets
    users = [
        user
        for (user,) in client.rows(f"SELECT DISTINCT user FROM {TABLE} WHERE event_type = 'detail_view' LIMIT 5000")
    ]
    loading = time.perf_counter()
    with LiveRecommender(client, _window("28d", rng)) as live:
        times: list[float] = []
        began = time.perf_counter()
        for number in itertools.count():
            due = began + number / rate
            if (due - began >= seconds or time.perf_counter() - began >= seconds) and len(times) >= 5:
                break
            time.sleep(max(0.0, due - time.perf_counter()))
            live.for_user(rng.choice(users))
            times.append((time.perf_counter() - due) * 1000)
        rate_reached = len(times) / (time.perf_counter() - began)
        return {
            **_percentiles("recommend", times),
            "recommend_lists_per_s": round(rate_reached, 1),
            "recommend_load_s": round(began - loading, 1),
            "recommend_clicks": live.rules.clicks,
        }


def _percentiles(name: str, times: list[float]) -> dict[str, Any]:
    p50, p99 = np.quantile(times, [0.5, 0.99])
    return {f"{name}_ms_p50": round(float(p50), 1), f"{name}_ms_p99": round(float(p99), 1), f"{name}_asked": len(times)}
