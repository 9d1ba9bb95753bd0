"""``clickreel bench flink``: a count per minute over a full topic through our layer, beside the same SQL by a bare client of the gateway.

The bare client is a loop over the gateway's REST interface: session, DDL, statement, pages. Both read the same topic to its end through
the same table, turn by turn, on the same gateway; what differs is all that is ours: the list of statements, timestamps made readable,
watching for a stop, folding of changes. ClickHouse counts the same minutes out of the ingested topic, and all three must agree exactly.
"""

from __future__ import annotations

import statistics
import tempfile
import threading
import time
import uuid
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

from clickreel.bench.machine import machine
from clickreel.bench.ratios import spread
from clickreel.bench.topic_filler import fill

if TYPE_CHECKING:
    from clickreel.flink.catalog import TopicTable
    from clickreel.flink.settings import FlinkSettings
    from clickreel.flink.statement_store import StatementStore
    from clickreel.profile import Profile

_SQL = (
    "SELECT window_start, COUNT(*) FROM TABLE(TUMBLE(TABLE dvd_clicks, DESCRIPTOR(`$rowtime`), INTERVAL '1' MINUTE))"
    " GROUP BY window_start, window_end"
)


def run(events: int = 1_000_000, repeats: int = 3) -> dict[str, Any]:
    """Measure.

    Args:
        events: Events in the topic.
        repeats: Turns of each side; one more of each goes before, to warm the gateway's compiler.
    """
    from clickreel.flink import catalog
    from clickreel.flink.settings import FlinkSettings
    from clickreel.flink.statement_store import StatementStore
    from clickreel.local.home import Home
    from clickreel.local.local_profile import profile as local_profile
    from clickreel.local.stack import Stack

    with tempfile.TemporaryDirectory(prefix="clickreel-bench-") as folder:
        home = Home(Path(folder))
        stack = Stack(home)
        try:
            stack.ensure(["kafka", "clickhouse", "flink"], attached=True)
            addresses = stack.addresses()
            profile = local_profile(home)
            topic, sent = fill(profile, events, rate=200.0, dated=True)
            own = catalog.contract_table()
            side = _Sides(
                addresses["flink"].replace("://", f"://{home.login()}@"),
                profile,
                FlinkSettings(until_now=True),
                StatementStore(home.data("flink")),
                replace(own, topic=topic),
            )
            truth = _clickhouse(profile, topic, sent)
            ours: list[float] = []
            bare: list[float] = []
            spent = {"ours": 0.0, "bare": 0.0}
            for turn in range(repeats + 1):
                for name, times, measure in (("bare", bare, side.bare), ("ours", ours, side.ours)):
                    before = time.process_time()
                    seconds, minutes = measure()
                    spent[name] += time.process_time() - before
                    off = {minute: (minutes.get(minute), truth.get(minute)) for minute in minutes.keys() | truth.keys()}
                    off = {minute: pair for minute, pair in off.items() if pair[0] != pair[1]}
                    assert not off, (
                        f"Flink and ClickHouse do not agree in {len(off)} minutes: {sorted(off.items())[:3]}"
                    )
                    if turn:
                        times.append(seconds)
        finally:
            stack.down()
    return {
        "name": "flink",
        "ratios": {
            "our layer, over a bare client of the gateway": spread([b / o for o, b in zip(ours, bare, strict=True)])
        },
        "figures": {
            "events": sent,
            "minutes": len(truth),
            "agrees_with_clickhouse": True,
            "ours_events_per_s": [round(sent / seconds) for seconds in ours],
            "bare_events_per_s": [round(sent / seconds) for seconds in bare],
            # What the client itself computes, which a busy machine does not blur; Flink computes the rest on both sides.
            "ours_client_cpu_s": round(spent["ours"] / (repeats + 1), 3),
            "bare_client_cpu_s": round(spent["bare"] / (repeats + 1), 3),
            "overhead_percent": round(100 * (statistics.median(ours) / statistics.median(bare) - 1), 1),
        },
        "machine": machine(),
    }


class _Sides:
    """The two ways to ask, on one gateway and one topic."""

    def __init__(
        self, url: str, profile: Profile, settings: FlinkSettings, known: StatementStore, table: TopicTable
    ) -> None:
        self._url, self._profile, self._settings, self._known, self._table = url, profile, settings, known, table

    def ours(self) -> tuple[float, dict[str, int]]:
        """Seconds from the statement to its last row, and what it counted."""
        from clickreel.flink.changelog import ChangelogView
        from clickreel.flink.gateway_client import RestGateway
        from clickreel.flink.statement_splitter import split_statements
        from clickreel.flink.workspace import Workspace

        gateway, fold = RestGateway(self._url), ChangelogView()
        (statement,) = split_statements(_SQL)
        with Workspace(gateway, self._profile, self._settings, self._known, tables=[self._table]) as workspace:
            began = time.perf_counter()
            with workspace.query(statement) as query:
                for batch in query:
                    fold.add(batch)
            seconds = time.perf_counter() - began
        gateway.disconnect()
        return seconds, {str(minute): int(count) for minute, count in fold.rows()}

    def bare(self) -> tuple[float, dict[str, int]]:
        """The same by a loop over the gateway's interface."""
        from clickreel.flink import catalog
        from clickreel.flink.gateway_client import format_timestamp

        with httpx.Client(base_url=f"{self._url}/v3", timeout=30, trust_env=False) as http:
            options = {"properties": catalog.session_options(self._settings)}
            session = http.post("/sessions", json=options).json()["sessionHandle"]
            table = catalog.create_table_sql(self._table, self._profile, self._settings)
            for sql in (*catalog.catalog_statements(), table):
                _pages(http, session, sql)
            began = time.perf_counter()
            rows = _pages(http, session, _SQL)
            seconds = time.perf_counter() - began
            http.delete(f"/sessions/{session}")
        return seconds, {format_timestamp(minute, 3): int(count) for minute, count in rows}


def _pages(http: httpx.Client, session: str, sql: str) -> list[list[Any]]:
    posted = http.post(f"/sessions/{session}/statements", json={"statement": sql}).json()
    path = f"/sessions/{session}/operations/{posted['operationHandle']}"
    rows: list[list[Any]] = []
    page = 0
    while True:
        answer = http.get(f"{path}/result/{page}?rowFormat=JSON").raise_for_status().json()
        if answer["resultType"] == "NOT_READY":
            time.sleep(0.02)
            continue
        rows += [row["fields"] for row in answer["results"]["data"]]
        if answer["resultType"] == "EOS":
            http.delete(f"{path}/close")
            return rows
        page += 1
        if not answer["results"]["data"]:
            time.sleep(0.02)


def _clickhouse(profile: Profile, topic: str, events: int) -> dict[str, int]:
    """The minutes as ClickHouse counts them in the ingested topic."""
    from clickreel.ingest.run_ingest import IngestOptions, run_ingest
    from clickreel.ingest.settings import IngestSettings
    from clickreel.warehouse import migrate
    from clickreel.warehouse.client import connect

    name = f"bench_{uuid.uuid4().hex[:8]}"
    profile = replace(profile, clickhouse_database=name)
    client = connect(profile, create=True)
    migrate.migrate(client)
    settings = IngestSettings(topic=topic, group=name, metrics_port=-1)
    report = run_ingest(profile, settings, IngestOptions(until_caught_up=True), stop=threading.Event())
    assert report.rows == events, f"{report.rows} of {events} were landed"
    rows = client.rows("SELECT toString(toStartOfMinute(_timestamp)), count() FROM dvd_clicks GROUP BY 1")
    client.close()
    return {f"{minute}.000": int(count) for minute, count in rows}
