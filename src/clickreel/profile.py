"""The profile: where Kafka, the registry, ClickHouse and Flink are, and how to get in. The only thing that differs from laptop to cloud.

It is read from a ``client.properties`` as librdkafka's users write it: ``name=value`` lines, ``#`` comments, plus the few keys of
other services in :data:`EXTRAS`. Whether a Kafka setting exists and its value is possible is asked of librdkafka itself.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clickreel.errors import UsageError

# Keys of a profile that are not librdkafka's, and the field each one fills.
EXTRAS: Mapping[str, str] = {
    "schema.registry.url": "registry_url",
    "basic.auth.user.info": "registry_auth",
    "clickhouse.url": "clickhouse_url",
    "clickhouse.user": "clickhouse_user",
    "clickhouse.password": "clickhouse_password",
    "clickhouse.database": "clickhouse_database",
    "flink.gateway.url": "flink_gateway_url",
}
# Lines that the vendor's template holds and that say nothing here: the registry is always asked with user and password.
_IGNORED = {"basic.auth.credentials.source"}
# `<API key>` in the seed's template, `{{ API_KEY }}` in the vendor's own.
_PLACEHOLDER = re.compile(r"<[^<>]+>|\{\{.*\}\}")
_SECRET = re.compile(r"password|secret|token|user\.info|\.pem$|private|jaas|oauthbearer\.config", re.IGNORECASE)
_MASK = "********"
# The guarantees of the producer; a profile cannot weaken them.
_PRODUCER: Mapping[str, Any] = {"enable.idempotence": True, "acks": "all"}


@dataclass(frozen=True, repr=False)
class Profile:
    """Addresses and credentials of one environment.

    ``str()`` and ``repr()`` mask the secrets, so that a profile can stand in a message or a log.

    Attributes:
        kafka: librdkafka settings common to all its clients; ``bootstrap.servers`` is always among them.
        registry_url: Schema registry (Confluent's API), or empty.
        registry_auth: ``user:password`` of the registry, or empty.
        clickhouse_url: HTTP address of ClickHouse, or empty.
        clickhouse_user: ClickHouse user.
        clickhouse_password: ClickHouse password.
        clickhouse_database: ClickHouse database.
        flink_gateway_url: Flink SQL gateway, or empty.
        source: The file it was read from, for messages; empty when made in memory.
    """

    kafka: Mapping[str, str]
    registry_url: str = ""
    registry_auth: str = ""
    clickhouse_url: str = ""
    clickhouse_user: str = "default"
    clickhouse_password: str = ""
    clickhouse_database: str = "default"
    flink_gateway_url: str = ""
    source: str = field(default="", compare=False)

    @property
    def bootstrap(self) -> str:
        """``bootstrap.servers``, the name by which messages call the cluster."""
        return self.kafka["bootstrap.servers"]

    def producer_config(self) -> dict[str, Any]:
        """Settings of a librdkafka producer: idempotent, acknowledged by all in-sync replicas, whatever the profile says."""
        return {"compression.type": "lz4", **self.kafka, **_PRODUCER}

    def consumer_config(self, group: str) -> dict[str, Any]:
        """Settings of a librdkafka consumer of ``group`` that commits nothing by itself."""
        return {**self._shared(), "group.id": group, "enable.auto.commit": False, "auto.offset.reset": "error"}

    def admin(self) -> dict[str, Any]:
        """Settings of a librdkafka admin client."""
        return self._shared()

    def _shared(self) -> dict[str, Any]:
        """The settings without those of producers, which librdkafka remarks on in every other client."""
        return {name: value for name, value in self.kafka.items() if name not in _PRODUCER_ONLY}

    def java_properties(self) -> dict[str, str]:
        """The same access in the words of Java clients (Flink, Kafka's own tools).

        Only what concerns the connection is translated; librdkafka's tuning has no meaning there.

        Raises:
            UsageError: The profile logs in by a mechanism for which no translation exists.
        """
        out = {"bootstrap.servers": self.bootstrap}
        for ours in ("security.protocol", "client.dns.lookup"):
            if ours in self.kafka:
                out[ours] = self.kafka[ours]
        mechanism = self.kafka.get("sasl.mechanisms")
        if mechanism and self.kafka.get("security.protocol", "").upper().startswith("SASL"):
            out["sasl.mechanism"] = mechanism
            out["sasl.jaas.config"] = self._jaas(mechanism)
        if "ssl.ca.location" in self.kafka:
            out |= {"ssl.truststore.type": "PEM", "ssl.truststore.location": self.kafka["ssl.ca.location"]}
        if "ssl.ca.pem" in self.kafka:
            out |= {"ssl.truststore.type": "PEM", "ssl.truststore.certificates": self.kafka["ssl.ca.pem"]}
        if self.kafka.get("ssl.endpoint.identification.algorithm", "").lower() == "none":
            out["ssl.endpoint.identification.algorithm"] = ""
        return out

    def _jaas(self, mechanism: str) -> str:
        modules = {"PLAIN": "plain.PlainLoginModule", "SCRAM": "scram.ScramLoginModule"}
        module = modules.get(mechanism.upper().split("-")[0])
        if module is None:
            raise UsageError(
                f"sasl.mechanisms={mechanism} cannot be translated for Java clients",
                hint="PLAIN and SCRAM-SHA-256/512 can",
            )

        def quoted(name: str) -> str:
            return '"' + self.kafka.get(name, "").replace("\\", "\\\\").replace('"', '\\"') + '"'

        login = f"username={quoted('sasl.username')} password={quoted('sasl.password')}"
        return f"org.apache.kafka.common.security.{module} required {login};"

    def masked(self) -> dict[str, str]:
        """Every setting by its name in the file, secrets replaced by asterisks."""
        named = {**self.kafka, **{key: getattr(self, attribute) for key, attribute in EXTRAS.items()}}
        return {
            name: _MASK if _SECRET.search(name) else _without_login(value) for name, value in named.items() if value
        }

    def mask(self, text: str) -> str:
        """The text with every secret of this profile blotted out; for messages that come from other libraries."""
        secrets = [value for name, value in self.kafka.items() if _SECRET.search(name)]
        secrets += [self.clickhouse_password, self.registry_auth, *self.registry_auth.split(":", 1)[1:]]
        # Longest first: a short secret may be a part of a longer one. Under four characters it would blot out ordinary words.
        for secret in sorted({s for s in secrets if len(s) >= 4}, key=len, reverse=True):
            text = text.replace(secret, _MASK)
        return text

    def __repr__(self) -> str:
        """Every setting, secrets masked."""
        settings = ", ".join(f"{name}={value}" for name, value in self.masked().items())
        return f"Profile({settings})"


_PRODUCER_ONLY = {
    "enable.idempotence",
    "acks",
    "request.required.acks",
    "compression.type",
    "compression.codec",
    "linger.ms",
}
_PRODUCER_ONLY |= {"queue.buffering.max.ms", "batch.size", "batch.num.messages", "partitioner", "retries"}
_PRODUCER_ONLY |= {"message.timeout.ms", "delivery.timeout.ms", "request.timeout.ms", "transactional.id"}
_PRODUCER_ONLY |= {"queue.buffering.max.messages", "queue.buffering.max.kbytes", "message.send.max.retries"}


def _without_login(value: str) -> str:
    """An address without the ``user:password@`` it may carry."""
    return re.sub(r"://[^/@\s]+@", f"://{_MASK}@", value)


def read(path: str | Path) -> Profile:
    """Read a ``client.properties``.

    Args:
        path: The file.

    Returns:
        The profile; ``sasl.mechanism`` is normalised to ``sasl.mechanisms``.

    Raises:
        UsageError: The file is absent, a line is no setting, holds a placeholder of the template, repeats another one with a
            different value, or names something that librdkafka does not know. The message names file and line.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise UsageError(f"no profile {path}", hint=f"cp client.properties.template {path}, then fill it in") from None
    except (OSError, UnicodeDecodeError) as exc:
        raise UsageError(f"the profile {path} cannot be read: {exc}", hint=f"mend {path}") from exc
    lines = _lines(text, path)
    kafka = {name: value for name, (value, _) in lines.items() if name not in EXTRAS and name not in _IGNORED}
    if not kafka.get("bootstrap.servers"):
        raise UsageError(f"{path} has no bootstrap.servers", hint="add a line bootstrap.servers=HOST:PORT")
    _ask_librdkafka(kafka, {name: f"{path} line {number}" for name, (_, number) in lines.items()}, path)
    extras = {field_: lines[key][0] for key, field_ in EXTRAS.items() if key in lines and lines[key][0]}
    return Profile(kafka=kafka, source=str(path), **extras)


def _lines(text: str, path: Path) -> dict[str, tuple[str, int]]:
    """Settings by name with the number of their line."""
    found: dict[str, tuple[str, int]] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        bare = line.strip()
        if not bare or bare.startswith(("#", "!")):
            continue
        name, equals, value = (part.strip() for part in bare.partition("="))
        where = f"{path} line {number}"
        if not equals or not name:
            # The line is not shown: it may be a password pasted alone.
            raise UsageError(
                f"{where} is not NAME=VALUE", hint="write NAME=VALUE, or begin the line with # if it is a comment"
            )
        name = {"sasl.mechanism": "sasl.mechanisms"}.get(name, name)
        if placeholder := _PLACEHOLDER.search(value):
            raise UsageError(
                f"{where}: {name} still holds the template's placeholder {placeholder.group()}",
                hint=f"put the real value of {name} into {path}, or remove the line",
            )
        if name in found and found[name][0] != value:
            raise UsageError(
                f"{where}: {name} was set otherwise on line {found[name][1]}", hint="keep one of the two lines"
            )
        found[name] = (value, number)
    return found


def _ask_librdkafka(kafka: dict[str, str], where: dict[str, str], path: Path) -> None:
    """Let librdkafka judge the settings, all together and, when it objects, one by one to find the line."""
    objection = _objection(kafka)
    if objection is None:
        return
    named = next((name for name in kafka if name in objection and name in where), None)
    profile = Profile(kafka=kafka)
    for name, value in kafka.items():
        alone = _objection({name: value})
        # An objection to a property holds alone too, perhaps under the property's other name; one to a combination does not.
        if alone is not None and "property" in alone:
            raise UsageError(f"{where[name]}: {profile.mask(alone)}", hint=f"mend or remove {name} in {path}")
    raise UsageError(
        f"{where[named] if named else path}: librdkafka refuses the settings: {profile.mask(objection)}",
        hint=f"mend {path}",
    )


def _objection(settings: Mapping[str, str]) -> str | None:
    """What librdkafka says against the settings; ``None`` when it takes them. No connection is made."""
    import logging

    from confluent_kafka import KafkaException, Producer

    quiet = logging.getLogger("clickreel.profile")
    quiet.disabled = True
    # Without an address the client is built, judged and dropped again before it has asked anybody anything.
    judged = {name: value for name, value in settings.items() if name != "bootstrap.servers"}
    try:
        Producer(judged, logger=quiet)
    except KafkaException as exc:
        return str(exc.args[0].str() if hasattr(exc.args[0], "str") else exc).strip()
    except (TypeError, ValueError) as exc:
        return str(exc)
    return None
