"""Services that are clickreel itself: ClickHouse's HTTP interface, ingest, the producer, the console."""

from __future__ import annotations

import sys
from importlib import metadata

from clickreel.local import ports
from clickreel.local.run_options import producer_flags
from clickreel.local.service import Launch, Service, StartContext

# Our own services ask the home where to stream; a profile in the environment of `up` is in the home's memory already. A crash inside a
# library (librdkafka, the ClickHouse engine) says in the log where Python was.
_ENVIRONMENT = {"CLICKREEL_PROFILE": "", "PYTHONFAULTHANDLER": "1"}


def _clickreel(*arguments: str) -> tuple[str, ...]:
    return (sys.executable, "-m", "clickreel", *arguments)


def _clickhouse(where: StartContext) -> Launch:
    port = ports.take(where.home, "clickhouse", where.settings.clickhouse_port)
    data = where.home.data("clickhouse")
    # Not on the command line, which other users of the machine can read.
    login = {
        "CLICKREEL_LOCAL_CLICKHOUSE_USER": "default",
        "CLICKREEL_LOCAL_CLICKHOUSE_PASSWORD": where.home.token(),
        # Looks and changes nothing, within limits: for pages and people.
        "CLICKREEL_LOCAL_CLICKHOUSE_READER": "reader",
        "CLICKREEL_LOCAL_CLICKHOUSE_READER_PASSWORD": where.home.token(),
    }
    return Launch(
        (sys.executable, "-m", "clickreel.local.clickhouse", "--data", str(data), "--port", str(port)),
        address=f"http://{ports.HOST}:{port}",
        env={**_ENVIRONMENT, **login},
        version=f"chDB {metadata.version('chdb')}",
    )


def _clickhouse_answers(address: str) -> bool:
    return ports.answers(f"{address}/ping")


def _producer(where: StartContext) -> Launch:
    return Launch(_clickreel("produce", *producer_flags(where.home)), env=_ENVIRONMENT)


def _ingest(where: StartContext) -> Launch:
    del where
    return Launch(_clickreel("ingest"), env=_ENVIRONMENT)


def _console(where: StartContext) -> Launch:
    port = ports.take(where.home, "console", where.settings.console_port)
    return Launch(
        _clickreel("console", "--port", str(port)),
        address=f"http://{ports.HOST}:{port}",
        env=_ENVIRONMENT,
        version=f"NiceGUI {metadata.version('nicegui')}",
    )


def _console_answers(address: str) -> bool:
    return ports.answers(f"{address}/assets/console.css")  # a page would be built for nobody at every look


CLICKHOUSE = Service("clickhouse", _clickhouse, _clickhouse_answers)
INGEST = Service("ingest", _ingest, needs=("kafka", "clickhouse", "topic"))
PRODUCER = Service("producer", _producer, needs=("kafka", "topic", "contract"))
CONSOLE = Service("console", _console, _console_answers, needs=("kafka", "registry", "clickhouse", "topic"))
