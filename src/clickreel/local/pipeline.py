"""The parts and tasks that are clickreel's own: ClickHouse's front, topic, contract, ingest, producer."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from typing import Any

from clickreel.local import ports
from clickreel.local.home import Home
from clickreel.local.part import Context, Launch, Part, Task

# Options of `up` that are the producer's, in the order in which they are passed on.
RUN_OPTIONS = ("rate", "mean_rate", "seed", "from", "until", "scenario", "speed", "films", "run", "flaws", "profile")


def _exists(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def _clickreel(*arguments: str) -> tuple[str, ...]:
    return (sys.executable, "-m", "clickreel", *arguments)


def _clickhouse(where: Context) -> Launch:
    port = ports.take(where.home, "clickhouse", where.settings.clickhouse_port)
    data = where.home.data("clickhouse")
    return Launch(
        (sys.executable, "-m", "clickreel.local.clickhouse", "--data", str(data), "--port", str(port)),
        address=f"http://{ports.HOST}:{port}",
    )


def _clickhouse_ready(address: str) -> bool:
    return _answers(f"{address}/ping")


def _answers(address: str) -> bool:
    import httpx

    try:
        return httpx.get(address, timeout=2, trust_env=False).is_success
    except httpx.HTTPError:
        return False


def _console(where: Context) -> Launch:
    port = ports.take(where.home, "console", where.settings.console_port)
    return Launch(_clickreel("console", f"--port={port}"), address=f"http://{ports.HOST}:{port}")


def _producer(where: Context) -> Launch:
    options: dict[str, Any] = where.home.read("run.json")
    flags = [f"--{name.replace('_', '-')}={options[name]}" for name in RUN_OPTIONS if options.get(name) is not None]
    return Launch(_clickreel("produce", *flags))


CLICKHOUSE = Part(
    "clickhouse", _clickhouse, _clickhouse_ready, available=lambda: _exists("clickreel.local.clickhouse.__main__")
)
TOPIC = Task("topic", lambda _: "", needs=("kafka",), available=lambda: False)
CONTRACT = Task("contract", lambda _: "", needs=("registry", "kafka"), available=lambda: False)
INGEST = Part(
    "ingest",
    lambda _: Launch(_clickreel("ingest")),
    needs=("clickhouse", "topic"),
    available=lambda: _exists("clickreel.cli.ingest"),
)
CONSOLE = Part("console", _console, _answers, needs=("kafka",), available=lambda: _exists("clickreel.cli.console"))
PRODUCER = Part(
    "producer", _producer, needs=("kafka", "topic", "contract"), available=lambda: _exists("clickreel.cli.produce")
)


def drift(home: Home) -> list[str]:
    """What differs between the topic as it is and as the settings want it, one text each."""
    del home
    return []
