"""The parts and tasks that are clickreel's own: ClickHouse's front, topic, contract, ingest, producer."""

from __future__ import annotations

import sys
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clickreel.local import ports
from clickreel.local.home import Home
from clickreel.local.service import InitTask, Launch, Service, StartContext

if TYPE_CHECKING:
    from clickreel.stream.topic_admin import TopicSettings

# Options of `up` that are the producer's, in the order in which they are passed on.
RUN_OPTIONS = ("rate", "mean_rate", "seed", "from", "speed", "films", "users", "scenario", "flaws", "run")
# The run's options and the profile, as `up` was last given them.
RUN_FILE = "run.json"
# Our own parts ask the home where to stream; a profile in the environment of `up` is in the home's memory already. A crash inside a
# library (librdkafka, the ClickHouse engine) says in the log where Python was.
_ENVIRONMENT = {"CLICKREEL_PROFILE": "", "PYTHONFAULTHANDLER": "1"}
# The contract that was registered from this home.
_REGISTERED = "contract.json"


def _exists(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def _clickreel(*arguments: str) -> tuple[str, ...]:
    return (sys.executable, "-m", "clickreel", *arguments)


def _clickhouse(where: StartContext) -> Launch:
    port = ports.take(where.home, "clickhouse", where.settings.clickhouse_port)
    data = where.home.data("clickhouse")
    return Launch(
        (sys.executable, "-m", "clickreel.local.clickhouse", "--data", str(data), "--port", str(port)),
        address=f"http://{ports.HOST}:{port}",
        env=_ENVIRONMENT,
        version=f"chDB {metadata.version('chdb')}",
    )


def _clickhouse_ready(address: str) -> bool:
    return ports.answers(f"{address}/ping")


def _console(where: StartContext) -> Launch:
    port = ports.take(where.home, "console", where.settings.console_port)
    return Launch(_clickreel("console", f"--port={port}"), address=f"http://{ports.HOST}:{port}", env=_ENVIRONMENT)


def given_profile(home: Home) -> str:
    """The ``client.properties`` that ``up`` was given, or empty when it streams to the local Kafka."""
    return str(home.read(RUN_FILE).get("profile") or "")


def provided(home: Home) -> frozenset[str]:
    """The parts that the given profile's services take the place of."""
    named = given_profile(home)
    if not named:
        return frozenset()
    from clickreel.profile import read

    given = read(Path(named))
    return frozenset({"kafka", "registry"} | ({"clickhouse"} if given.clickhouse_url else set()))


def _producer(where: StartContext) -> Launch:
    options: dict[str, Any] = where.home.read(RUN_FILE)
    flags = [f"--{name.replace('_', '-')}={options[name]}" for name in RUN_OPTIONS if options.get(name) is not None]
    return Launch(_clickreel("produce", *flags), env=_ENVIRONMENT)


def _ingest(where: StartContext) -> Launch:
    del where
    return Launch(_clickreel("ingest"), env=_ENVIRONMENT)


def _topic_settings() -> TopicSettings:
    from clickreel import settings
    from clickreel.stream.topic_admin import TopicSettings

    return settings.load(TopicSettings, "topic")


def topic_name() -> str:
    """The topic that the stack streams to."""
    return _topic_settings().name if TOPIC.available() else "dvd_clicks"


def _make_topic(where: StartContext) -> str:
    from clickreel.local.stack import profile
    from clickreel.stream import topic_admin
    from clickreel.stream.cluster import Cluster

    state, _, drifted = topic_admin.ensure_topic(Cluster(profile(where.home)), _topic_settings())
    note = f", differs from the settings in {len(drifted)}: clickreel topic check" if drifted else ""
    return f"{state.name}, {state.partitions} partitions{note}"


def drift(home: Home) -> list[str]:
    """What differs between the topic as it is and as the settings want it, one text each."""
    from clickreel.local.stack import profile
    from clickreel.stream import topic_admin
    from clickreel.stream.cluster import Cluster

    wanted = _topic_settings()
    found = Cluster(profile(home)).topic(wanted.name)
    if found is None:
        return [f"there is no topic {wanted.name}"]
    return [f"{one.setting} is {one.real}, wanted {one.wanted}" for one in topic_admin.find_drift(wanted, found)]


def _contract(home: Home) -> dict[str, Any]:
    """What is registered where, to know later whether it still is."""
    from clickreel.contract.publish import ours

    return {"topic": topic_name(), "profile": given_profile(home), "key": ours("key").body, "value": ours("value").body}


def _contract_is_registered(home: Home) -> bool:
    """The local registry keeps what it was given, and takes 3 s of processor time to say so: the stream need not wait for that."""
    return not given_profile(home) and home.read(_REGISTERED) == _contract(home)


def _register_contract(where: StartContext) -> str:
    from clickreel.contract.publish import publish
    from clickreel.contract.schema_registry import HttpRegistry
    from clickreel.local.stack import profile

    target = profile(where.home)
    if not target.registry_url:
        return "the profile names no registry"
    with HttpRegistry(target.registry_url, target.registry_auth) as registry:
        states = publish(registry, topic_name())
    where.home.write(_REGISTERED, _contract(where.home))
    known = ((state.registered.subject, state.registered.version) for state in states if state.registered)
    return ", ".join(f"{subject} version {version}" for subject, version in known)


def _load_films(where: StartContext) -> str:
    """The films of the run that is streamed, so that answers have titles; the producer has written down which they are."""
    from clickreel.local.run_options import run
    from clickreel.local.stack import profile
    from clickreel.stream.saved_runs import load_run
    from clickreel.warehouse import film_dimension as films
    from clickreel.warehouse.client import connect

    saved = load_run(where.home.path, run(where.home) or "")
    if saved is None:
        return "no run, no films"
    return f"{films.load(connect(profile(where.home)), saved.films()):,} films"


CLICKHOUSE = Service(
    "clickhouse", _clickhouse, _clickhouse_ready, available=lambda: _exists("clickreel.local.clickhouse.__main__")
)
TOPIC = InitTask("topic", _make_topic, needs=("kafka",), available=lambda: _exists("clickreel.stream.topic_admin"))
CONTRACT = InitTask("contract", _register_contract, needs=("registry", "kafka"), already_done=_contract_is_registered)
INGEST = Service(
    "ingest",
    _ingest,
    needs=("kafka", "clickhouse", "topic"),
    available=lambda: _exists("clickreel.cli.ingest_commands"),
)
CONSOLE = Service(
    "console", _console, ports.answers, needs=("kafka",), available=lambda: _exists("clickreel.cli.console")
)
PRODUCER = Service(
    "producer",
    _producer,
    needs=("kafka", "topic", "contract"),
    available=lambda: _exists("clickreel.cli.produce_commands"),
)
FILMS = InitTask(
    "films", _load_films, needs=("ingest", "producer"), available=lambda: _exists("clickreel.warehouse.film_dimension")
)
