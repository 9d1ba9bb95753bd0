"""Clients of librdkafka: made in one place, and what librdkafka refuses about their settings said with file and line."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from confluent_kafka import Consumer, KafkaException, Producer
from confluent_kafka.admin import AdminClient

from clickreel.errors import UsageError
from clickreel.profile import Profile, read

Client = TypeVar("Client", Producer, Consumer, AdminClient)
Settings = Mapping[str, Any]

log = logging.getLogger(__name__)

# A close takes a round trip; with a group coordinator that is away it waits for it, in some states without end.
_CLOSE_S = 5.0


def read_profile(path: str | Path) -> Profile:
    """Read a ``client.properties`` and let librdkafka check its settings.

    Raises:
        UsageError: See :func:`clickreel.profile.read` and :func:`check_settings`.
    """
    profile = read(path)
    check_settings(profile)
    return profile


def check_settings(profile: Profile) -> None:
    """Refuse what no client of this profile could be made with. Nothing is connected.

    Raises:
        UsageError: librdkafka does not know a setting, refuses its value or the combination, or it contradicts what clickreel needs.
            The message names file and line.
    """
    if profile.kafka.get("group.protocol", "classic").lower() != "classic":
        raise UsageError(
            f"{profile.location('group.protocol')}: group.protocol={profile.kafka['group.protocol']} is not supported: the lease of a "
            "producer and the place of an ingest are static members of a classic group",
            hint="remove the line",
        )
    clients: tuple[tuple[Callable[..., Any], Settings], ...] = (
        (Producer, profile.kafka),  # as they stand: what is overridden below should be possible too
        (Producer, profile.producer_config()),
        (Consumer, profile.consumer_config("clickreel")),
        (AdminClient, profile.admin()),
    )
    for kind, config in clients:
        # Without an address the client is made, checked and dropped before it has connected.
        unconnected = {name: value for name, value in config.items() if name != "bootstrap.servers"}
        refused = _refusal(kind, unconnected)
        if refused is not None:
            raise _usage_error(kind, unconnected, profile, refused)


def create_client(kind: Callable[[dict[str, Any]], Client], config: Settings, profile: Profile) -> Client:
    """A client of librdkafka.

    Args:
        kind: Its class.
        config: Its settings, callbacks included.
        profile: Where the settings come from, for messages.

    Raises:
        UsageError: librdkafka refuses the settings; the message names the line of the profile that is the cause.
    """
    try:
        return kind(dict(config))
    except (KafkaException, TypeError, ValueError, AttributeError) as exc:
        raise _usage_error(kind, config, profile, _reason(exc)) from exc


def is_serving(address: str, timeout_s: float = 2.0) -> bool:
    """Whether a broker answers a metadata request; nothing is printed when it does not."""
    quiet: dict[str, Any] = {"error_cb": lambda _: None, "log_level": 0}
    try:
        return bool(AdminClient({"bootstrap.servers": address, **quiet}).list_topics(timeout=timeout_s).brokers)
    except KafkaException:
        return False


def _usage_error(kind: Callable[..., Any], config: Settings, profile: Profile, refused: str) -> UsageError:
    cause = _cause(kind, config, profile, refused)
    where = profile.location(cause)
    said = profile.mask(" ".join(refused.split()))
    if cause and cause not in said:
        said = f"{cause}: {said}"
    return UsageError(f"{where}: {said}", hint=f"correct or remove {cause}" if cause else f"correct {where}")


def _cause(kind: Callable[..., Any], config: Settings, profile: Profile, refused: str) -> str:
    """The setting of the profile that librdkafka refuses; empty when no single one is the cause."""
    names = [name for name in profile.kafka if name in config]
    # A bad name or value is refused alone too, perhaps under the property's other name.
    for name in names:
        alone = _refusal(kind, {name: config[name]})
        if alone is not None and "property" in alone:
            return name
    # A bad combination is accepted without one of its parts; a part that the message names is tried first.
    for name in sorted(names, key=lambda name: name not in refused):
        if _refusal(kind, {other: value for other, value in config.items() if other != name}) is None:
            return name
    return next((name for name in names if name in refused), "")


def _refusal(kind: Callable[..., Any], config: Settings) -> str | None:
    """What librdkafka has against the settings of a client; ``None`` when it takes them."""
    silent = logging.Logger("clickreel.unused", level=logging.CRITICAL + 1)  # noqa: LOG001 - belongs to no tree of loggers
    required = {"group.id": "clickreel"} if kind is Consumer else {}
    try:
        client = kind({**required, **config, "logger": silent})
    except (KafkaException, TypeError, ValueError, AttributeError) as exc:
        return _reason(exc)
    if isinstance(client, Consumer):
        with contextlib.suppress(KafkaException):
            client.close()
    return None


def _reason(exc: Exception) -> str:
    error = exc.args[0] if exc.args else ""
    return str(error.str() if hasattr(error, "str") else exc).strip() or type(exc).__name__


def call_within(seconds: float, call: Callable[[], object]) -> None:
    """Make a call that librdkafka may never return from, and wait for it only so long.

    Raises:
        TimeoutError: It has not returned; its thread is left behind and ends with the process.
    """
    raised: list[BaseException] = []

    def run() -> None:
        try:
            call()
        except BaseException as exc:  # noqa: BLE001 - raised again in the caller's thread
            raised.append(exc)

    thread = threading.Thread(target=run, name="librdkafka", daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        raise TimeoutError
    if raised:
        raise raised[0]


def close_consumer(consumer: Consumer) -> None:
    """Close a consumer; one whose group coordinator is away is left behind, for its close may wait without end."""
    try:
        call_within(_CLOSE_S, consumer.close)
    except TimeoutError:
        log.warning("a consumer did not close in time and is left behind", extra={"seconds": _CLOSE_S})
