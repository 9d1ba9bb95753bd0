"""The commands of the stack as a user types them, in homes of their own."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from pathlib import Path

import pytest

from clickreel.process import Process
from tests.local.conftest import Cli, until

# A command that hangs must not hang the run.
pytestmark = [pytest.mark.stack, pytest.mark.timeout(600)]


def _supervisor(cli: Cli) -> Process:
    """The home's one supervisor."""
    entry = json.loads((cli.home / "supervisor.json").read_text())
    return Process(entry["pid"], entry["start_time"])


def test_a_stack_lives_through_up_crash_up_and_down(cli: Cli) -> None:
    """Start, find again, lose the supervisor to `kill -9`, start again on the same address, end, delete."""
    first = cli("up", "--detach", "--only", "kafka", "--json")
    assert first.returncode == 0, first.stderr
    assert json.loads(first.stdout)["ok"]
    kafka = cli.status()["parts"]["kafka"]
    assert kafka["state"] == "running"

    again = cli("up", "--detach", "--only", "kafka")
    assert again.returncode == 0
    assert "kafka" in again.stderr
    assert "clickreel messages" in again.stderr
    assert "clickreel trending" not in again.stderr  # nothing is landed
    assert cli.status()["parts"]["kafka"]["pid"] == kafka["pid"]

    everything = cli.processes()
    _supervisor(cli).signal(signal.SIGKILL)
    until(lambda: not any(process.alive() for process in everything))
    lost = cli.status()["parts"]["kafka"]
    assert (lost["state"], lost["reason"]) == ("failed", "it ended with its supervisor, which was killed")
    assert "clickreel up --detach" in lost["hint"]
    assert cli("status").returncode == 1

    assert cli("up", "--detach", "--only", "kafka").returncode == 0
    restarted = cli.status()["parts"]["kafka"]
    assert (restarted["state"], restarted["address"]) == ("running", kafka["address"])
    assert restarted["pid"] != kafka["pid"]
    assert "Kafka Server started" in cli("logs", "kafka").stdout

    everything = cli.processes()
    # Nothing was written beside the home (Java reads the name of the folder in its own way).
    assert (cli.home / "data" / "kafka" / "log" / "meta.properties").exists()

    down = cli("down", "--purge", "--json")
    assert down.returncode == 0, down.stderr
    answer = json.loads(down.stdout)
    assert answer["ended"] == ["kafka"]
    assert answer["deleted_bytes"] > 0
    assert not any(process.alive() for process in everything)
    assert not cli.home.exists()


def test_ctrl_c_ends_a_stack_in_the_foreground(cli: Cli) -> None:
    """It says what it ended, keeps the data, and leaves with 130."""
    process = cli.start("up", "--only", "clickhouse", "--json")
    assert process.stdout is not None
    assert json.loads(process.stdout.readline())["parts"][2]["state"] == "running"
    everything = cli.processes()
    assert len(everything) == 3
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=200)
    assert process.returncode == 130
    assert "ended clickhouse" in err
    assert not any(one.alive() for one in everything)
    assert (cli.home / "data" / "clickhouse").is_dir()


def test_down_from_elsewhere_ends_a_stack_in_the_foreground(cli: Cli) -> None:
    """The foreground `up` leaves with 0: nothing went wrong."""
    process = cli.start("up", "--only", "clickhouse", "--json")
    assert process.stdout is not None
    process.stdout.readline()
    assert cli("down").returncode == 0
    _, err = process.communicate(timeout=200)
    assert process.returncode == 0
    assert "all services were ended" in err


def test_a_service_that_dies_is_named_and_started_again(cli: Cli) -> None:
    """`up` in the foreground says who died and how, and what to type; `status` keeps the evidence."""
    process = cli.start("up", "--only", "clickhouse", "--json")
    assert process.stdout is not None
    process.stdout.readline()
    before = cli.status()["parts"]["clickhouse"]
    os.kill(before["pid"], signal.SIGKILL)
    until(lambda: cli.service("clickhouse").restarts == 1)
    until(lambda: cli.service("clickhouse").state == "running")
    again = cli.status()["parts"]["clickhouse"]
    assert (again["address"], again["exit_code"]) == (before["address"], 128 + signal.SIGKILL)
    assert again["pid"] != before["pid"]
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert "clickhouse ended by signal 9" in err
    assert "clickreel logs clickhouse" in err
    assert "clickhouse was started again (restart 1)" in err


def test_a_taken_port_is_two_lines_and_leaves_nothing(cli: Cli) -> None:
    """Exit code 3, no process, no record."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = str(other.getsockname()[1])
        done = cli("up", "--detach", "--only", "clickhouse", CLICKREEL_LOCAL_CLICKHOUSE_PORT=port)
    assert done.returncode == 3
    assert f"error: port {port} for clickhouse is taken by another program" in done.stderr
    assert "hint: " in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(cli.home.glob("services/*.json"))


def test_a_broken_java_is_two_lines_and_leaves_nothing(cli: Cli, tmp_path: Path) -> None:
    """A Java that cannot start anything is told from a Kafka that ended."""
    broken = tmp_path / "bin" / "java"
    broken.parent.mkdir()
    broken.write_text("#!/bin/sh\necho 'Error: could not find libjava.so' >&2\nexit 2\n")
    broken.chmod(0o755)
    done = cli("up", "--detach", "--only", "kafka", CLICKREEL_JAVA_HOME=str(tmp_path))
    assert done.returncode == 3, done.stderr
    assert "could not find libjava.so" in done.stderr
    assert not list(cli.home.glob("services/*.json"))


def test_no_network_and_an_empty_cache_is_two_lines(cli: Cli, tmp_path: Path) -> None:
    """Exit code 3, and the hint names both ways out."""
    done = cli("up", "--detach", "--only", "kafka", CLICKREEL_CACHE=str(tmp_path), CLICKREEL_JARS="http://127.0.0.1:9")
    assert done.returncode == 3
    assert "which is not in the cache" in done.stderr
    assert "CLICKREEL_JARS" in done.stderr
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_the_doctor_says_what_is_wrong_and_what_fixes_it(cli: Cli, tmp_path: Path) -> None:
    """Each fault has its hint; without a fault the exit code is 0."""
    well = cli("doctor", "--json")
    assert well.returncode == 0, well.stdout
    assert {"java", "jars", "ports", "disk", "memory", "clock", "kafka", "registry"} <= {
        check["name"] for check in json.loads(well.stdout)["checks"]
    }
    ill = cli("doctor", "--json", CLICKREEL_JAVA_HOME=str(tmp_path))
    assert ill.returncode == 3
    (fault,) = [check for check in json.loads(ill.stdout)["checks"] if check["ok"] is False]
    assert fault["name"] == "java"
    assert fault["hint"]


def test_an_unknown_part_is_a_usage_error(cli: Cli) -> None:
    """With the services that there are."""
    for arguments in (("up", "--detach", "--only", "zookeeper"), ("logs", "zookeeper")):
        done = cli(*arguments)
        assert done.returncode == 2
        assert "there is no service 'zookeeper'" in done.stderr


def test_a_profile_whose_kafka_is_away_changes_nothing(cli: Cli, tmp_path: Path) -> None:
    """The run of before is not ended for one that cannot begin, and the next `up` does not go to that Kafka."""
    profile = tmp_path / "client.properties"
    profile.write_text("bootstrap.servers=127.0.0.1:1\n")
    refused = cli("up", "--detach", "--profile", str(profile))
    assert refused.returncode == 4
    assert refused.stderr.splitlines()[0].startswith("error: Kafka at 127.0.0.1:1 does not answer")
    assert not (cli.home / "run.json").exists()


def test_purge_deletes_only_what_a_home_holds(cli: Cli) -> None:
    """A home set to a wrong folder costs nothing."""
    (cli.home / "thesis.txt").write_text("years of work")
    (cli.home / "data").mkdir()
    (cli.home / "data" / "file").write_text("x" * 1000)
    assert json.loads(cli("down", "--purge", "--json").stdout)["deleted_bytes"] == 1000
    assert [path.name for path in cli.home.iterdir()] == ["thesis.txt"]


def test_purge_follows_a_data_folder_that_was_moved_to_another_disk(cli: Cli, tmp_path: Path) -> None:
    """Its contents go, the folder itself is somebody's."""
    (tmp_path / "kafka").mkdir()
    (tmp_path / "kafka" / "segment").write_text("x" * 1000)
    (cli.home / "data").symlink_to(tmp_path)
    done = cli("down", "--purge", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["deleted_bytes"] == 1000
    assert not list(tmp_path.iterdir())
    assert not cli.home.exists()


def test_a_home_may_be_named_like_markup(cli: Cli, tmp_path: Path) -> None:
    """Brackets in its path are letters, wherever it is printed."""
    home = tmp_path / "a [/b] [red] home"
    env = {"CLICKREEL_HOME": str(home)}
    try:
        assert cli("up", "--detach", "--only", "clickhouse", **env).returncode == 0
        assert str(home) in cli("status", **env).stdout
        assert str(home) in cli("doctor", **env).stderr
    finally:
        done = cli("down", "--purge", **env)
    assert done.returncode == 0, done.stderr
    assert f"in {home}" in done.stderr


def test_down_interrupts_an_up_that_is_still_starting(cli: Cli) -> None:
    """Nothing comes up behind its back."""
    process = cli.start("up", "--detach", "--only", "kafka", "--only", "clickhouse")
    until((cli.home / "lock.json").exists)
    down = cli("down")
    assert down.returncode == 0, down.stderr
    process.communicate(timeout=120)
    assert process.returncode == 130
    assert {part["state"] for part in cli.status()["parts"].values()} == {"stopped"}
    assert not any(one.alive() for one in cli.processes())


def test_a_down_that_overtakes_an_up_is_heeded(cli: Cli) -> None:
    """Typed in this order; the first is not as far as the lock when the second has done its work."""
    cli.home.mkdir(exist_ok=True)
    up = cli.start("up", "--detach", "--only", "clickhouse")
    up.send_signal(signal.SIGSTOP)
    begun = time.monotonic()
    until(lambda: time.monotonic() > begun + 0.05)  # two beginnings within a tick of 10 ms are one
    down = cli("down")
    assert down.returncode == 0, down.stderr
    up.send_signal(signal.SIGCONT)
    _, said = up.communicate(timeout=120)
    assert (up.returncode, said.splitlines()[0]) == (
        1,
        "error: clickreel down was typed after this up: nothing was started",
    )
    assert cli.status()["parts"]["clickhouse"]["state"] == "stopped"
    assert cli("up", "--detach", "--only", "clickhouse").returncode == 0


def test_a_second_up_asks_the_first_ones_supervisor(cli: Cli) -> None:
    """Whoever starts a service, one process supervises all of them: the death of any leaves the others alone."""
    assert cli("up", "--detach", "--only", "clickhouse").returncode == 0
    supervisor = _supervisor(cli)
    assert cli("up", "--detach", "--only", "kafka").returncode == 0
    assert _supervisor(cli) == supervisor
    for victim, other in (("clickhouse", "kafka"), ("kafka", "clickhouse"), ("clickhouse", "kafka")):
        before = cli.status()["parts"]
        os.kill(before[victim]["pid"], signal.SIGKILL)
        until(lambda: cli.service(victim).restarts > before[victim]["restarts"])  # noqa: B023
        until(lambda: cli.service(victim).state == "running")  # noqa: B023
        after = cli.status()["parts"]
        assert after[other]["pid"] == before[other]["pid"]
        assert after[victim]["address"] == before[victim]["address"]
    assert _supervisor(cli) == supervisor
    assert supervisor.alive()


def test_a_paused_service_is_named_and_up_does_not_wait_for_it(cli: Cli) -> None:
    """SIGSTOP: alive by its process id, of no use to anybody."""
    assert cli("up", "--detach", "--only", "clickhouse").returncode == 0
    pid = cli.status()["parts"]["clickhouse"]["pid"]
    os.kill(pid, signal.SIGSTOP)
    paused = cli.status()
    assert (paused["parts"]["clickhouse"]["state"], paused["parts"]["clickhouse"]["hint"]) == (
        "paused",
        f"kill -CONT {pid}",
    )
    assert not paused["ok"]
    up = cli("up", "--detach", "--only", "clickhouse")
    assert up.returncode == 4
    assert "clickhouse is paused" in up.stderr
    assert f"kill -CONT {pid}" in up.stderr
    doctor = cli("doctor", "--json")
    (fault,) = [check for check in json.loads(doctor.stdout)["checks"] if check["ok"] is False]
    assert (fault["name"], fault["hint"]) == ("clickhouse", f"kill -CONT {pid}")
    os.kill(pid, signal.SIGCONT)
    until(lambda: cli.service("clickhouse").state == "running")
    assert cli.status()["parts"]["clickhouse"]["pid"] == pid


def test_a_token_is_shown_only_when_asked_for(cli: Cli) -> None:
    """Other programs need it to use the local services; a screen that is shared does not."""
    assert cli("up", "--detach", "--only", "clickhouse").returncode == 0
    token = (cli.home / "token").read_text()
    assert token not in cli("status").stdout + cli("status", "--json").stdout
    assert token in cli("status", "--show-secrets").stdout


def test_two_ups_at_once_start_each_part_once(cli: Cli) -> None:
    """The second waits for the first and finds all running."""
    both = [cli.start("up", "--detach", "--only", "clickhouse", "--json") for _ in range(2)]
    answers = [process.communicate(timeout=200) for process in both]
    assert [process.returncode for process in both] == [0, 0], answers
    pids = {json.loads(out)["parts"][2]["pid"] for out, _ in answers}
    assert len(pids) == 1
    until(lambda: len(cli.processes()) == 3)


def test_two_homes_run_side_by_side(cli: Cli, tmp_path: Path) -> None:
    """Nothing is shared but the cache: ending one leaves the other alone."""
    other = Cli(tmp_path / "other", {**cli.env, "CLICKREEL_HOME": str(tmp_path / "other")})
    try:
        assert [one("up", "--detach", "--only", "clickhouse").returncode for one in (cli, other)] == [0, 0]
        first, second = (one.status()["parts"]["clickhouse"] for one in (cli, other))
        assert first["address"] != second["address"]
        assert cli("down").returncode == 0
        assert other.status()["parts"]["clickhouse"]["state"] == "running"
    finally:
        assert other("down").returncode == 0


def test_a_killed_up_in_the_foreground_leaves_nothing(cli: Cli) -> None:
    """`kill -9` of the terminal's process takes the stack along."""
    process = cli.start("up", "--only", "clickhouse", "--json")
    assert process.stdout is not None
    process.stdout.readline()
    everything = cli.processes()
    process.kill()
    process.communicate()
    until(lambda: not any(one.alive() for one in everything))


def test_logs_follow_what_is_written_later(cli: Cli) -> None:
    """Until it is interrupted; a log that is begun anew is read from its start."""
    log = cli.home / "logs" / "kafka.log"
    log.parent.mkdir()
    log.write_text("before\n")
    process = cli.start("logs", "kafka", "--follow")
    assert process.stdout is not None
    assert process.stdout.readline() == "before\n"
    with log.open("a") as file:
        file.write("after\n")
    assert process.stdout.readline() == "after\n"
    log.write_text("new\n")
    assert process.stdout.readline() == "new\n"
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=10)
    assert process.returncode == 130


def test_a_home_whose_path_the_parts_would_cut_is_refused(cli: Cli, tmp_path: Path) -> None:
    """Kafka separates folders by commas, Java by colons."""
    done = cli("up", "--detach", CLICKREEL_HOME=str(tmp_path / "a,b"))
    assert done.returncode == 2
    assert "holds ','" in done.stderr
