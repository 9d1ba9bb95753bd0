"""What Kafka's refusals mean, in words. Errors of librdkafka become clickreel's here and nowhere else."""

# librdkafka's own error codes begin with an underscore; they are public.
# ruff: noqa: SLF001

from __future__ import annotations

import collections
import logging
import re
from typing import Any

from confluent_kafka import KafkaError

from clickreel import log_setup
from clickreel.errors import ClickreelError, UnreachableError, UsageError
from clickreel.profile import Profile

log = logging.getLogger("clickreel.librdkafka")

# Codes of librdkafka by what the caller does next: give up at once, stop writing, report.
FATAL_ERRORS = {KafkaError._AUTHENTICATION, KafkaError.SASL_AUTHENTICATION_FAILED, KafkaError._SSL}
LOST = {KafkaError._FATAL, KafkaError.FENCED_INSTANCE_ID, KafkaError.UNKNOWN_MEMBER_ID, KafkaError.ILLEGAL_GENERATION}
REFUSED = {
    KafkaError._AUTHENTICATION,
    KafkaError.SASL_AUTHENTICATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
}

_NOT_ALLOWED = {
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
}
_INVALID = {
    KafkaError.TOPIC_ALREADY_EXISTS,
    KafkaError.INVALID_REPLICATION_FACTOR,
    KafkaError.INVALID_PARTITIONS,
    KafkaError.INVALID_CONFIG,
    KafkaError.TOPIC_EXCEPTION,
    KafkaError.POLICY_VIOLATION,
    KafkaError.INVALID_TIMESTAMP,
    KafkaError.MSG_SIZE_TOO_LARGE,
    KafkaError.INVALID_REQUEST,
    KafkaError._INVALID_ARG,
}
_GONE = {
    KafkaError._TRANSPORT,
    KafkaError._ALL_BROKERS_DOWN,
    KafkaError._TIMED_OUT,
    KafkaError._RESOLVE,
    KafkaError.REQUEST_TIMED_OUT,
    KafkaError.BROKER_NOT_AVAILABLE,
    KafkaError.LEADER_NOT_AVAILABLE,
}


class ClientErrors:
    """What a client has complained of: its last log lines and the errors that its callbacks brought."""

    def __init__(self) -> None:
        self.lines: collections.deque[str] = collections.deque(maxlen=50)
        self.errors: collections.deque[KafkaError] = collections.deque(maxlen=50)
        self.fatal: KafkaError | None = None
        # Outside the tree of loggers: a person's terminal shows our words for these lines, and the log of a service the lines too.
        self.logger = logging.Logger("librdkafka")  # noqa: LOG001
        handler = logging.Handler()
        handler.emit = self._keep  # type: ignore[method-assign]
        self.logger.addHandler(handler)

    def _keep(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())
        if log_setup.is_service():
            log.log(record.levelno, "%s", record.getMessage())

    def record(self, error: KafkaError) -> None:
        """Keep an error of the client's background threads."""
        self.errors.append(error)
        if error.fatal():
            self.fatal = error

    def codes(self) -> set[int]:
        """The codes of the errors record so far."""
        return {error.code() for error in self.errors}

    def config(self) -> dict[str, Any]:
        """What a client needs to complain here instead of on stderr."""
        return {"error_cb": self.record, "logger": self.logger}


def explain(error: KafkaError, profile: Profile, client_errors: ClientErrors, topic: str = "") -> ClickreelError:
    """What an error of librdkafka means for the person at the keyboard."""
    where = profile.source or "the profile"
    known = {error.code(), *client_errors.codes()}
    said = profile.mask(" ".join((error.str() or "").split()))
    if known & {KafkaError._AUTHENTICATION, KafkaError.SASL_AUTHENTICATION_FAILED}:
        user = profile.kafka.get("sasl.username", "")
        texts = " ".join([said, *(one.str() or "" for one in client_errors.errors)])
        offered = re.search(r"broker's supported mechanisms: *([\w,-]*)", texts)
        if offered is not None:
            return _unsupported_mechanism(offered[1], profile)
        if "OAUTHBEARER token" in texts:
            problem = profile.mask(texts.rpartition("OAUTHBEARER token: ")[2])
            return UnreachableError(
                f"no token to log in to Kafka at {profile.bootstrap}: {problem}",
                hint=f"check the lines sasl.oauthbearer.* in {where}",
            )
        return UnreachableError(
            f"Kafka at {profile.bootstrap} refuses the credentials of sasl.username {user!r}",
            hint=f"check sasl.username, sasl.password and sasl.mechanisms in {where}",
        )
    if KafkaError._SSL in known:
        reason = next((line for line in reversed(client_errors.lines) if "SSL" in line or "ertificate" in line), said)
        return UnreachableError(
            f"no TLS connection to Kafka at {profile.bootstrap}: {profile.mask(_short(reason))}",
            hint=f"check security.protocol and ssl.ca.location in {where}",
        )
    if error.code() in {KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC}:
        return missing(topic, profile.bootstrap)
    if error.code() in _NOT_ALLOWED:
        return ClickreelError(
            f"Kafka at {profile.bootstrap} does not allow this for {topic or 'this user'}: {said}",
            hint="give the user the rights that docs name: topic read, write, describe; group read",
        )
    if error.code() in _INVALID:
        return UsageError(f"Kafka at {profile.bootstrap} refuses: {said}", hint="clickreel topic describe")
    if error.code() in _GONE:
        reason = next(
            (line for line in reversed(client_errors.lines) if "onnect" in line or "esolve" in line or "SSL" in line),
            "",
        )
        check = "bootstrap.servers" + (" and security.protocol" if "isconnect" in reason else "")
        return UnreachableError(
            f"Kafka at {profile.bootstrap} does not answer" + (f" ({_short(reason)})" if reason else ""),
            hint=f"check {check} in {where}" if profile.source else "clickreel up --detach, or: clickreel status",
        )
    return ClickreelError(f"Kafka at {profile.bootstrap}: {said}", hint="clickreel doctor")


def _unsupported_mechanism(offered: str, profile: Profile) -> UnreachableError:
    """The error for a listener without SASL, or with other mechanisms than the profile's."""
    if not offered:
        protocol = profile.kafka.get("security.protocol", "")
        plain = "SSL" if protocol.upper() == "SASL_SSL" else "PLAINTEXT"
        return UnreachableError(
            f"the listener of Kafka at {profile.bootstrap} does not speak SASL, and the profile asks for security.protocol={protocol}",
            hint=f"set security.protocol={plain} ({profile.location('security.protocol')}), or take the address of a SASL listener",
        )
    mechanism = profile.kafka.get("sasl.mechanisms", "GSSAPI")
    return UnreachableError(
        f"Kafka at {profile.bootstrap} does not offer the SASL mechanism {mechanism}; it offers {offered}",
        hint=f"set sasl.mechanisms={offered.split(',', maxsplit=1)[0]} ({profile.location('sasl.mechanisms')})",
    )


def missing(topic: str, address: str) -> ClickreelError:
    """The error for a topic that is not there."""
    return ClickreelError(f"there is no topic {topic} at {address}", hint=f"clickreel topic create --topic {topic}")


def _short(line: str) -> str:
    """The end of a log line of librdkafka, which is where it says what happened."""
    text = " ".join(line.rsplit("]: ", maxsplit=1)[-1].split())
    return re.sub(r" \(after .*", "", text.split("/bootstrap: ")[-1])[:200]
