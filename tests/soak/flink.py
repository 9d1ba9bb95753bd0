"""Run and stop, a hundred times: memory stays flat, and no slot, thread, file or session is left.

``make soak-flink``, or ``python -m tests.soak.flink --rounds 100``. Real Kafka, real gateway. Every round opens a workspace, runs the
topic's first query until its first rows, and leaves it; every fourth is stopped while it starts, every fifth is an aggregation.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import psutil

from clickreel.flink import catalog
from clickreel.flink.flink_cluster import FlinkCluster, find_cluster
from clickreel.flink.gateway_client import RestGateway
from clickreel.flink.settings import FlinkSettings
from clickreel.flink.statement_splitter import split_statements
from clickreel.flink.statement_store import StatementStore
from clickreel.flink.workspace import Workspace
from clickreel.local.home import Home
from clickreel.local.java import java
from clickreel.local.stack import Stack
from clickreel.profile import Profile

# Classes and buffers that every kind of statement needs once are loaded by then.
WARM_ROUNDS = 10
_SAMPLE = "select $rowtime, event_id, user_id from `default`.`cluster_0`.`dvd_clicks` limit 20"
_COUNT = "select device, count(*) from dvd_clicks group by device"
_NOTHING = "select * from dvd_clicks where film_id < 0"


@dataclass(frozen=True)
class Standing:
    """What Java holds at rest.

    Attributes:
        live_mb: Memory of what is still in use: heap after a collection, and classes.
        resident_mb: Memory of the process; its heap grows up to its bound before anything is collected.
        threads: Threads.
        files: Entries of its temporary folder.
        slots_taken: Slots that something holds, the keep-alive job's own included.
    """

    live_mb: int
    resident_mb: int
    threads: int
    files: int
    slots_taken: int


def soak(
    stack: Stack,
    profile: Profile,
    table: catalog.TopicTable,
    rounds: int,
    report: Callable[[str], None],
    *,
    warm: int = WARM_ROUNDS,
) -> list[Standing]:
    """Run and stop.

    Args:
        stack: A stack whose part ``flink`` runs.
        profile: Its Kafka.
        table: ``dvd_clicks``, over a topic with records.
        rounds: How often.
        report: Told now and then how it stands.
        warm: Rounds before the first look.

    Returns:
        What Java held after the warm rounds, and then after every tenth of the rounds.
    """
    gateway, known = (
        RestGateway(stack.address("flink"), auth=stack.home.login()),
        StatementStore(stack.home.data("flink")),
    )
    session = gateway.open_session({})
    cluster = find_cluster(gateway, session)
    assert cluster is not None
    seen: list[Standing] = []
    for number in range(1, warm + rounds + 1):
        with Workspace(gateway, profile, FlinkSettings(), known, tables=[table]) as workspace:
            sql = _NOTHING if number % 4 == 0 else _COUNT if number % 5 == 0 else _SAMPLE
            with workspace.query(split_statements(sql)[0]) as query:
                for batch in query:
                    if batch or sql == _NOTHING:
                        break
        known.tidy()
        if number >= warm and (number - warm) % (rounds // 10 if rounds >= 20 else rounds) == 0:
            seen.append(standing(stack, cluster))
            report(f"round {number}: {seen[-1]}")
    gateway.close_session(session)
    gateway.disconnect()
    cluster.disconnect()
    return seen


def standing(stack: Stack, cluster: FlinkCluster) -> Standing:
    """What Java holds, once what was stopped has left."""
    deadline = time.monotonic() + 10
    while (slots := cluster.slots()).free < slots.total - 1 and time.monotonic() < deadline:
        time.sleep(0.05)
    record = stack.record("flink")
    assert record is not None
    (process,) = psutil.Process(record.pid).children()
    files = sum(1 for _ in (stack.home.work("flink") / "tmp").rglob("*"))
    return Standing(
        _live_mb(process.pid), process.memory_info().rss >> 20, process.num_threads(), files, slots.total - slots.free
    )


def _live_mb(pid: int) -> int:
    """Heap that survives a collection, and metaspace."""
    jcmd = java().with_name("jcmd")
    for command in ("GC.run", "GC.heap_info"):
        done = subprocess.run([jcmd, str(pid), command], capture_output=True, text=True, check=True, timeout=60)
    # "def new generation   total 9216K, used 812K", "tenured generation ...", "Metaspace       used 90112K"
    used = re.findall(r"(?:generation|Metaspace)\s.*?used (\d+)K", done.stdout)
    assert len(used) == 3, done.stdout
    return sum(map(int, used)) >> 10


def verdict(seen: list[Standing], *, slack_mb: int = 16) -> list[str]:
    """What is not as it should be after the rounds; empty when all is.

    Args:
        seen: What :func:`soak` gave.
        slack_mb: How much the memory in use may grow: compiled statements and soft references come and go.
    """
    first, last = seen[0], seen[-1]
    wrong = []
    if last.slots_taken != 1:
        wrong.append(f"{last.slots_taken - 1} slots are taken")
    if last.files > first.files:
        wrong.append(f"{last.files - first.files} files are left")
    if last.threads > first.threads + 8:
        wrong.append(f"{last.threads - first.threads} threads more")
    if last.live_mb > first.live_mb + slack_mb:
        wrong.append(f"memory in use grew from {first.live_mb} to {last.live_mb} MB")
    return wrong


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")


def main(arguments: list[str]) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=100)
    options = parser.parse_args(arguments)
    from clickreel.simulate.settings import WorldSettings
    from clickreel.simulate.world import World
    from tests.flink.conftest import HOUR_MS, START_MS, Topics

    with tempfile.TemporaryDirectory(prefix="clickreel-soak-") as folder:
        stack = Stack(Home(Path(folder)))
        try:
            stack.ensure(["kafka", "flink"], attached=True)
            profile = Profile({"bootstrap.servers": stack.address("kafka")})
            world = World(WorldSettings(seed=7, films=60, users=300))
            topic = Topics(profile).fill(world.deliveries(START_MS + 8 * HOUR_MS, START_MS + 20 * HOUR_MS))
            own = catalog.contract_table()
            table = replace(own, topic=topic)
            seen = soak(stack, profile, table, options.rounds, _say)
        finally:
            stack.down()
    wrong = verdict(seen)
    answer = {"rounds": options.rounds, "first": asdict(seen[0]), "last": asdict(seen[-1]), "wrong": wrong}
    sys.stdout.write(json.dumps(answer) + "\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
