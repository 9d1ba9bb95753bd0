"""What a start does once the services it needs are ready: the topic, the contract, the films.

What the tasks use is imported when they run: it takes a second, and ``status`` needs none of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from clickreel import settings
from clickreel.local.home import Home
from clickreel.local.local_profile import profile
from clickreel.local.run_options import given_profile, remembered, streamed_run
from clickreel.local.service import InitTask, StartContext
from clickreel.quantities import quantity

if TYPE_CHECKING:
    from clickreel.stream.topic_settings import TopicSettings

# The contract that was registered from this home.
_REGISTERED = "contract.json"


def _topic_settings() -> TopicSettings:
    from clickreel.stream.topic_settings import TopicSettings

    return settings.load(TopicSettings, "topic")


def topic_name() -> str:
    """The topic that the stack streams to."""
    return _topic_settings().name


def _make_topic(where: StartContext) -> str:
    """Create the topic, and make sure that it keeps the past that the run begins with."""
    from clickreel import timespec
    from clickreel.stream import retention, topic_admin
    from clickreel.stream.cluster import Cluster
    from clickreel.stream.send_schedule import wall_clock

    broker = Cluster(profile(where.home))
    state, _, drifted = topic_admin.ensure_topic(broker, _topic_settings())
    note = f", differs from the settings in {len(drifted)}: clickreel topic check" if drifted else ""
    start = remembered(where.home).get("from")
    if start is not None and not given_profile(where.home):
        now_ms = wall_clock()
        raised = retention.keep_backfill(broker, state, timespec.instant_ms(str(start), now_ms, "--from"), now_ms)
        note += f", {raised}" if raised else ""
    return f"{state.name}, {quantity(state.partitions, 'partition')}{note}"


def drift(home: Home) -> list[str]:
    """What differs between the topic as it is and as the settings want it, one text each."""
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
    from clickreel.ingest.run_ingest import credentials
    from clickreel.stream.saved_runs import load_run
    from clickreel.warehouse import film_dimension
    from clickreel.warehouse.client import connect

    saved = load_run(where.home.path, streamed_run(where.home) or "")
    if saved is None:
        return "no run, no films"
    target = profile(where.home)
    loaded = film_dimension.load(connect(target), saved.films(), credentials=credentials(target))
    return quantity(loaded, "film")


TOPIC = InitTask("topic", _make_topic, needs=("kafka",))
CONTRACT = InitTask("contract", _register_contract, needs=("registry", "kafka"), already_done=_contract_is_registered)
FILMS = InitTask("films", _load_films, needs=("clickhouse", "ingest", "producer"))
