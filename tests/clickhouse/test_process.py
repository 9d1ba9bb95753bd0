"""The process: start, stop, crash, memory, and a second one on the same folder."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import psutil
import pytest

from tests.clickhouse.http import Http
from tests.clickhouse.process import ClickHouse, running, start

ROWS = 1000
BATCH = b"".join(b"%d\n" % n for n in range(ROWS))


def test_start_is_quick_and_stop_is_clean(tmp_path: Path) -> None:
    """It listens within 2 s, ends with code 0 at SIGTERM, and finds its data again."""
    before = time.monotonic()
    server = start(tmp_path / "data")
    # 2 s are promised on an idle machine; tests share theirs.
    assert time.monotonic() - before < 6
    http = Http(server.url)
    http.text("CREATE TABLE t (a UInt64) ENGINE = MergeTree ORDER BY a")
    http.post("INSERT INTO t FORMAT CSV", BATCH)
    http.client.close()
    server.process.terminate()
    assert server.process.wait(10) == 0
    with running(tmp_path / "data") as again:
        assert httpx.post(again.url, content="SELECT count() FROM t").text == f"{ROWS}\n"


@pytest.mark.parametrize("sql", ["SELECT sum(sipHash64(number)) FROM numbers(100000000000)", "SELECT sleep(1)"])
def test_stop_with_statements_under_way(tmp_path: Path, sql: str) -> None:
    """SIGTERM waits for a short statement, stops a long one, and ends with code 0 either way."""
    server, answers = start(tmp_path / "data"), list[httpx.Response]()
    client = threading.Thread(target=lambda: answers.append(httpx.post(server.url, content=sql, timeout=30)))
    client.start()
    deadline = time.monotonic() + 10
    while httpx.post(server.url, content="SELECT count() FROM system.processes").text == "1\n":
        assert time.monotonic() < deadline
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(20) == 0
    client.join()
    assert answers[0].status_code == (200 if "sleep" in sql else 500)


def test_a_second_process_is_refused_in_words(tmp_path: Path) -> None:
    """Two processes on one folder: the second says who holds it, and the first goes on."""
    with running(tmp_path / "data") as server:
        second = subprocess.run(
            [sys.executable, "-m", "clickreel.local.clickhouse", "--data", str(tmp_path / "data"), "--port", "0"],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert second.returncode == 1
        assert f"error: another process (pid {server.process.pid}) serves ClickHouse from" in second.stderr
        assert "hint: " in second.stderr
        assert httpx.get(f"{server.url}/ping").text == "Ok.\n"


def test_a_taken_port_is_refused_in_words(tmp_path: Path) -> None:
    """A port that somebody listens on is named."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(AssertionError, match=f"port {port} on 127.0.0.1 is taken"):
            start(tmp_path / "data", port=port)


def _insert_until_killed(server: ClickHouse, acknowledged: list[int]) -> None:
    http = Http(server.url)
    try:
        while http.post("INSERT INTO t FORMAT CSV", BATCH).status_code == 200:
            acknowledged[0] += 1
    except httpx.TransportError:
        pass
    finally:
        http.client.close()


def test_kill_9_under_load_loses_and_halves_nothing(tmp_path: Path) -> None:
    """Killed at any instant while four clients insert: every acknowledged insert is there, and none is there in part."""
    total = 0
    for number in range(4):
        with_kill = start(tmp_path / "data")
        http = Http(with_kill.url)
        http.text(
            "CREATE TABLE IF NOT EXISTS t (a UInt64) ENGINE = MergeTree ORDER BY a SETTINGS fsync_after_insert = 1"
        )
        rows = int(http.text("SELECT count() FROM t"))
        assert rows % ROWS == 0
        assert rows >= total, f"round {number}: {rows} rows, {total} acknowledged"
        # An insert that was under way may be stored without its acknowledgement: at most one a client.
        assert rows <= total + 4 * ROWS
        total, counts = rows, [[0] for _ in range(4)]
        threads = [threading.Thread(target=_insert_until_killed, args=(with_kill, count)) for count in counts]
        for thread in threads:
            thread.start()
        while sum(count[0] for count in counts) < 12 + 7 * number:
            time.sleep(0.001)
        os.kill(with_kill.process.pid, signal.SIGKILL)
        with_kill.process.wait(10)
        for thread in threads:
            thread.join()
        http.client.close()
        total += ROWS * sum(count[0] for count in counts)


def test_memory_is_bounded(tmp_path: Path) -> None:
    """A result larger than the process may become passes through; statements together keep to the limit."""
    with running(tmp_path / "data", environ={"CLICKREEL_LOCAL_CLICKHOUSE_MEMORY_MB": "700"}) as server:
        process, size, most = psutil.Process(server.process.pid), 0, 0
        sql = "SELECT number, toString(number) FROM numbers(40000000) FORMAT Native"
        plain = {"Accept-Encoding": "identity"}
        with httpx.stream("POST", server.url, content=sql, headers=plain, timeout=60) as answer:
            for number, piece in enumerate(answer.iter_raw()):
                size += len(piece)
                if number % 100 == 0:
                    most = max(most, process.memory_info().rss)
        assert size > 600_000_000
        assert most < 500 * 2**20
        large = httpx.post(server.url, content="SELECT length(groupArray(number)) FROM numbers(200000000)", timeout=60)
        assert large.headers["x-clickhouse-exception-code"] == "241"
        assert httpx.get(f"{server.url}/ping").text == "Ok.\n"
