"""Statements outlive, are listed by, and are stopped from other processes than the one that runs them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from clickreel.cli.sql_engines import connect_recorded
from clickreel.errors import UsageError
from clickreel.events import Deliveries
from clickreel.flink import statement_control
from clickreel.flink.flink_cluster import FlinkCluster
from clickreel.flink.gateway_client import RestGateway
from clickreel.flink.sql_errors import FlinkError
from clickreel.flink.statement_store import FAILED, FINISHED, LOST, STOPPED, StatementStore
from clickreel.local.home import Home
from clickreel.local.stack import Stack
from tests.flink.conftest import Open, at_rest, one

Stream = tuple[str, Deliveries]


def command(*arguments: str, **variables: str) -> subprocess.Popen[str]:
    """Start a command of clickreel."""
    return subprocess.Popen(
        [sys.executable, "-m", "clickreel", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **variables},
    )


def sql_on(topic: str, query: str) -> str:
    """Statements that read a topic under the name `t`."""
    return f"create temporary table t with ('topic' = '{topic}') like dvd_clicks (overwriting options); {query}"


def eventually(holds: Callable[[], object], seconds: float = 60) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture
def cluster(open_workspace: Open, stream: Stream) -> FlinkCluster:
    """The local gateway's cluster."""
    found = open_workspace(stream[0]).cluster()
    assert found is not None
    return found


def state(home: Home, name: str) -> str:
    """State of a statement, as its record says."""
    entry = StatementStore(home.data("flink")).get(name)
    return entry.state if entry else ""


def test_ctrl_c_stops_the_query_within_a_second_and_frees_its_slot(
    home: Home, stream: Stream, cluster: FlinkCluster
) -> None:
    """The command ends with 130, its statement is STOPPED, and the slot is free."""
    before = at_rest(cluster)
    process = command("sql", "-e", sql_on(stream[0], "select * from t"), "--csv", "--name", "interrupted")
    assert process.stdout is not None
    for _ in ("header", "first row"):
        process.stdout.readline()
    begun = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert time.monotonic() - begun < 3  # half a second on a machine that does nothing else
    assert process.returncode == 130, said
    assert "Traceback" not in said
    assert state(home, "interrupted") == STOPPED
    assert at_rest(cluster) == before


def test_queries_stopped_while_they_start_leave_the_cluster_alone(
    open_workspace: Open, stream: Stream, cluster: FlinkCluster
) -> None:
    """Flink's result sink brings its whole cluster down when it is cancelled while it is opened; so it is not."""
    before = at_rest(cluster)
    workspace = open_workspace(stream[0], until_now=False)
    for after_s in (0.0, 0.1, 0.2, 0.4):
        with workspace.query(one("select * from dvd_clicks where film_id < 0")):
            time.sleep(after_s)
    assert at_rest(cluster) == before


def test_a_query_is_stopped_from_another_process(home: Home, stream: Stream, cluster: FlinkCluster) -> None:
    """`statement stop` ends it, and the command that ran it says so and ends well."""
    process = command("sql", "-e", sql_on(stream[0], "select * from t"), "--csv", "--name", "elsewhere")
    assert process.stdout is not None
    process.stdout.readline()
    assert [
        entry.name
        for entry in statement_control.list_statements(StatementStore(home.data("flink")), connect_recorded)
        if entry.is_running
    ] == ["elsewhere"]
    assert (
        statement_control.stop_statement(StatementStore(home.data("flink")), "elsewhere", connect_recorded).state
        == STOPPED
    )
    _, said = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "elsewhere was stopped" in said
    assert at_rest(cluster)


def test_a_killed_command_leaves_no_query_behind(home: Home, stream: Stream, cluster: FlinkCluster) -> None:
    """The gateway supervisor stops queries whose process is gone."""
    process = command("sql", "-e", sql_on(stream[0], "select * from t"), "--csv", "--name", "orphan")
    assert process.stdout is not None
    process.stdout.readline()
    process.kill()
    process.communicate(timeout=60)
    eventually(lambda: state(home, "orphan") == STOPPED)
    assert at_rest(cluster)


def test_an_insert_runs_on_is_listed_and_stopped(home: Home, stream: Stream, cluster: FlinkCluster) -> None:
    """It outlives its command; its state is asked of the cluster; stopping it frees its slot."""
    before = at_rest(cluster)
    target = "create temporary table sink (film_id int) with ('connector' = 'blackhole');"
    process = command(
        "sql", "-e", sql_on(stream[0], f"{target} insert into sink select film_id from t"), "--name", "copying"
    )
    _, said = process.communicate(timeout=60)
    assert process.returncode == 0, said
    assert "copying runs" in said
    assert cluster.slots().free == before.free - 1
    listed = command("statement", "list", "--json")
    answer, _ = listed.communicate(timeout=60)
    (entry,) = json.loads(answer)["statements"]
    assert (entry["name"], entry["state"], entry["kind"]) == ("copying", "RUNNING", "insert")
    assert (
        statement_control.stop_statement(StatementStore(home.data("flink")), "copying", connect_recorded).state
        == STOPPED
    )
    assert at_rest(cluster) == before


def test_an_insert_that_ends_is_known_to_have_ended(open_workspace: Open, stream: Stream, home: Home) -> None:
    """A bounded one is FINISHED; one that breaks says why, at once and in the list."""
    workspace = open_workspace(stream[0])
    workspace.execute(one("create temporary table sink (film_id int) with ('connector' = 'blackhole')"))
    good = workspace.execute(one("insert into sink select film_id from dvd_clicks")).started
    assert good is not None
    statements = StatementStore(home.data("flink"))
    eventually(lambda: statement_control.read_statement(statements, good.name, connect_recorded).state == FINISHED)
    with pytest.raises(FlinkError, match="/ by zero"):
        workspace.execute(one("insert into sink select film_id / (film_id - film_id) from dvd_clicks"), name="broken")
    listed = statement_control.read_statement(statements, "broken", connect_recorded)
    assert (listed.state, listed.error) == (FAILED, "/ by zero")


def test_names_are_unique_while_they_run(home: Home) -> None:
    """A taken name and an impossible one are refused; numbers go up."""
    statements = StatementStore(home.data("flink"))
    first = statements.begin("select 1", "query", name="mine")
    with pytest.raises(UsageError, match="a statement named mine runs already"):
        statements.begin("select 2", "query", name="mine")
    with pytest.raises(UsageError, match="cannot be the name"):
        statements.begin("select 2", "query", name="../mine")
    statements.end(first.name, STOPPED)
    assert statements.begin("select 2", "query", name="mine").sql == "select 2"
    statements.end("mine", STOPPED)
    numbered = [statements.begin("select 3", "query") for _ in range(3)]
    assert len({entry.name for entry in numbered}) == 3
    for entry in numbered:
        statements.end(entry.name, FINISHED)


def test_only_the_last_fifty_that_ended_are_remembered(tmp_path: Path) -> None:
    """What runs is never forgotten."""
    statements = StatementStore(tmp_path)
    kept = statements.begin("select 0", "query", name="kept")
    for number in range(60):
        statements.end(statements.begin("select 1", "query", name=f"old-{number}").name, FINISHED)
    statements.tidy()
    names = [entry.name for entry in statements]
    assert kept.name in names
    assert len(names) == 51


def test_a_few_rounds_of_run_and_stop_leave_nothing(stack: Stack, open_workspace: Open, stream: Stream) -> None:
    """The short form of `make soak-flink`: no slot, thread or file is left."""
    from tests.soak import flink as soaking

    workspace = open_workspace(stream[0])
    seen = soaking.soak(stack, workspace.profile, workspace.tables["dvd_clicks"], 6, lambda _line: None, warm=2)
    assert soaking.verdict(seen, slack_mb=64) == []


def test_a_workspace_that_waits_for_an_answer_uses_the_gateway(
    monkeypatch: pytest.MonkeyPatch, open_workspace: Open, stream: Stream
) -> None:
    """The tables of a session are no statements of the list; a gateway that ends when idle must not end under them."""
    workspace = open_workspace(stream[0])
    statements, fetch, idle = workspace.statements, workspace.gateway.fetch, list[float]()
    used = statements.folder / "used"
    long_ago = time.time() - 300

    def noted(*asked: Any) -> Any:
        idle.append(statements.idle_s())
        os.utime(used, (long_ago, long_ago))
        return fetch(*asked)

    os.utime(used, (long_ago, long_ago))
    monkeypatch.setattr(workspace.gateway, "fetch", noted)
    workspace.execute(one("SHOW TABLES"))
    statements.touch()
    assert idle
    assert max(idle) < 60


# The last of the folder, for it leaves no gateway, and starting one takes half a minute of processor time.
def test_a_gateway_that_dies_under_a_query_is_named_comes_back_and_ends_when_idle(
    home: Home, stack: Stack, stream: Stream, gateway: RestGateway
) -> None:
    """The query ends with a clear message, the list says LOST, and the next statement starts the gateway anew at the same address."""
    process = command("sql", "-e", sql_on(stream[0], "select * from t"), "--csv", "--name", "bereft")
    assert process.stdout is not None
    process.stdout.readline()
    record = stack.record("flink")
    assert record is not None
    os.kill(record.pid, signal.SIGKILL)  # the gateway supervisor; Java must follow it
    _, said = process.communicate(timeout=60)
    assert process.returncode == 4
    assert "ended while bereft ran" in said
    assert "run the statement again" in said
    again = command("sql", "-e", "select 1", "--csv")
    answer, said = again.communicate(timeout=240)
    assert answer == "EXPR$0\n1\n", said
    assert stack.address("flink") == gateway.url
    assert state(home, "bereft") == LOST
    assert [
        entry.name
        for entry in statement_control.list_statements(StatementStore(home.data("flink")), connect_recorded)
        if entry.is_running
    ] == []
    started = stack.record("flink")
    assert started is not None
    assert started.pid != record.pid
    # Nothing of the one that was killed is left: its planner and RPC jars alone are 60 MB.
    left = [path.name for path in (home.work("flink") / "tmp").iterdir() if "planner" in path.name]
    assert len(left) == 1
    # That one may be the supervisor's. The next is told to end after twenty seconds without a statement, and to leave nothing.
    stack.stop("flink")
    brief = command("sql", "-e", "select 1", "--csv", CLICKREEL_FLINK_IDLE_STOP_S="20")
    answer, said = brief.communicate(timeout=240)
    assert answer == "EXPR$0\n1\n", said
    idle = stack.record("flink")
    assert idle is not None
    eventually(lambda: stack.record("flink") is None, 90)
    eventually(lambda: not idle.alive())
    assert not (home.work("flink") / "tmp").exists()
    assert {part.name: part.state for part in stack.status()}["flink"] == "stopped"
