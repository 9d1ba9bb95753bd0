"""The profile: where Kafka, the registry, ClickHouse and Flink are, and how to log in. The only thing that differs from laptop to cloud.

It is read from a ``client.properties`` as librdkafka's users write it: ``name=value`` lines, ``#`` comments, plus the keys of other
services in :data:`EXTRAS`. This module checks the addresses; :mod:`clickreel.stream.kafka_clients` asks librdkafka about its settings.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit, urlunsplit

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
_CREDENTIALS_SOURCE = "basic.auth.credentials.source"
# Other spellings: Java's name of the mechanism, and the registry's keys as they stand in the configuration of a Java client.
_ALIASES = {
    "sasl.mechanism": "sasl.mechanisms",
    "schema.registry.basic.auth.user.info": "basic.auth.user.info",
    "schema.registry.basic.auth.credentials.source": _CREDENTIALS_SOURCE,
}
PLACEHOLDERS = frozenset(
    {
        "<BOOTSTRAP HOST:PORT>",
        "<KAFKA API KEY>",
        "<KAFKA API SECRET>",
        "<REGISTRY ADDRESS>",
        "<REGISTRY API KEY>:<REGISTRY API SECRET>",
        "<CLICKHOUSE ADDRESS>",
        "<CLICKHOUSE PASSWORD>",
        "<GATEWAY ADDRESS>",
    }
)
"""The values of ``client.properties.template`` that have to be replaced. Any other text may be somebody's password."""
_SECRET = re.compile(
    r"passw|pwd|secret|token|user\.info|\.pem$|private|jaas|oauthbearer\.config|credential|access_key|api_?key",
    re.IGNORECASE,
)
_MASK = "********"
_CLICKHOUSE_PARAMETERS = {
    "user": "clickhouse_user",
    "username": "clickhouse_user",
    "password": "clickhouse_password",
    "database": "clickhouse_database",
}
_DEFAULT = "default"
# The guarantees of the producer; a profile cannot weaken them.
_PRODUCER: Mapping[str, Any] = {"enable.idempotence": True, "acks": "all"}
_PRODUCER_ONLY = frozenset(
    {
        "enable.idempotence",
        "acks",
        "request.required.acks",
        "compression.type",
        "compression.codec",
        "linger.ms",
        "queue.buffering.max.ms",
        "batch.size",
        "batch.num.messages",
        "partitioner",
        "retries",
        "message.timeout.ms",
        "delivery.timeout.ms",
        "request.timeout.ms",
        "transactional.id",
        "queue.buffering.max.messages",
        "queue.buffering.max.kbytes",
        "message.send.max.retries",
    }
)
# Settings of the connection that librdkafka has and Java's clients cannot be given: ignoring one would connect in another way.
_NOT_IN_JAVA = re.compile(
    r"ssl\.(cipher\.suites|curves\.list|sigalgs\.list|crl\.location|engine\.\w+|providers|ca\.certificate\.stores)|sasl\.kerberos\..+"
)


@dataclass(frozen=True, repr=False)
class Profile:
    """Addresses and credentials of one environment.

    A login inside an address (``user:password@``, ``?user=&password=``) is moved to the field that holds it, so no address of a
    profile contains a secret. ``str()`` and ``repr()`` mask the secrets, so that a profile can stand in a message or a log.

    Attributes:
        kafka: librdkafka settings common to all its clients; ``bootstrap.servers`` is always among them.
        registry_url: Schema registry (Confluent's API), or empty; several addresses of one registry are separated by commas.
        registry_auth: ``user:password`` of the registry, or empty.
        clickhouse_url: HTTP address of ClickHouse, or empty.
        clickhouse_user: ClickHouse user.
        clickhouse_password: ClickHouse password.
        clickhouse_database: ClickHouse database.
        clickhouse_embedded: Whether it is the local stack's engine, whose dictionaries read its tables without a login.
        flink_gateway_url: Flink SQL gateway, or empty.
        flink_gateway_auth: ``user:password`` of the gateway, or empty.
        source: The file it was read from, for messages; empty when made in memory.
        lines: By setting: its line in ``source``.
    """

    kafka: Mapping[str, str]
    registry_url: str = ""
    registry_auth: str = ""
    clickhouse_url: str = ""
    clickhouse_user: str = _DEFAULT
    clickhouse_password: str = ""
    clickhouse_database: str = _DEFAULT
    clickhouse_embedded: bool = False
    flink_gateway_url: str = ""
    flink_gateway_auth: str = ""
    source: str = field(default="", compare=False)
    lines: Mapping[str, int] = field(default_factory=dict, compare=False)

    def __post_init__(self) -> None:
        """Move logins out of the addresses."""
        for attribute, change in _without_logins(self).items():
            object.__setattr__(self, attribute, change)

    @property
    def bootstrap(self) -> str:
        """``bootstrap.servers``, the name by which messages call the cluster."""
        return self.kafka["bootstrap.servers"]

    def location(self, name: str = "") -> str:
        """Where a setting stands: file and line, or the file, or ``the profile``."""
        line = self.lines.get(name)
        return f"{self.source} line {line}" if self.source and line else self.source or "the profile"

    def producer_config(self) -> dict[str, Any]:
        """Settings of a librdkafka producer: idempotent, acknowledged by all in-sync replicas, whatever the profile says."""
        return {"compression.type": "lz4", **self.kafka, **_PRODUCER}

    def consumer_config(self, group: str) -> dict[str, Any]:
        """Settings of a librdkafka consumer of ``group`` that commits nothing by itself and reads what is committed only."""
        return {
            **self._shared(),
            "group.id": group,
            "enable.auto.commit": False,
            "auto.offset.reset": "error",
            "isolation.level": "read_committed",
        }

    def admin(self) -> dict[str, Any]:
        """Settings of a librdkafka admin client."""
        return self._shared()

    def _shared(self) -> dict[str, Any]:
        """The settings without those of producers, of which librdkafka warns in every other client."""
        return {name: value for name, value in self.kafka.items() if name not in _PRODUCER_ONLY}

    def require_read_committed(self) -> None:
        """Refuse a profile that asks for records of transactions that were aborted.

        Raises:
            UsageError: ``isolation.level`` is ``read_uncommitted``.
        """
        if self.kafka.get("isolation.level") == "read_uncommitted":
            raise UsageError(
                f"{self.location('isolation.level')}: isolation.level=read_uncommitted would land records of aborted transactions",
                hint="remove the line: every reader here reads what is committed",
            )

    def java_properties(self) -> dict[str, str]:
        """The same access in the words of Java clients (Flink, Kafka's own tools).

        Only what concerns the connection is translated; librdkafka's tuning has no meaning there.

        Raises:
            UsageError: A setting of the connection has no counterpart; the message names file and line.
        """
        out = {"bootstrap.servers": self.bootstrap}
        for ours in ("security.protocol", "client.dns.lookup"):
            if ours in self.kafka:
                out[ours] = self.kafka[ours]
        if "security.protocol" in out:
            out["security.protocol"] = out[
                "security.protocol"
            ].upper()  # librdkafka takes it in any case, Java does not
        protocol = out.get("security.protocol", "PLAINTEXT")
        if protocol.startswith("SASL"):
            mechanism = self.kafka.get("sasl.mechanisms", "GSSAPI")
            out["sasl.mechanism"] = mechanism
            out["sasl.jaas.config"] = self._jaas(mechanism)
        if protocol.endswith("SSL"):
            out |= self._java_truststore() | self._java_keystore()
        return out

    def _java_truststore(self) -> dict[str, str]:
        """Whom the client trusts."""
        for name in self.kafka:
            if _NOT_IN_JAVA.fullmatch(name):
                raise self._untranslated(name, f"remove {name}, or use a command that needs no Java client")
        if self.kafka.get("enable.ssl.certificate.verification", "true").lower() in {"false", "f", "0"}:
            raise self._untranslated(
                "enable.ssl.certificate.verification",
                "name the authority that signed the certificate in ssl.ca.location",
            )
        out = {}
        location = self.kafka.get("ssl.ca.location", "probe")
        if location != "probe":
            if Path(location).is_dir():
                raise self._untranslated("ssl.ca.location", "name a PEM file instead of a folder")
            out = {"ssl.truststore.type": "PEM", "ssl.truststore.location": str(Path(location).absolute())}
        if "ssl.ca.pem" in self.kafka:
            out = {"ssl.truststore.type": "PEM", "ssl.truststore.certificates": self.kafka["ssl.ca.pem"]}
        if self.kafka.get("ssl.endpoint.identification.algorithm", "").lower() == "none":
            out["ssl.endpoint.identification.algorithm"] = ""
        return out

    def _java_keystore(self) -> dict[str, str]:
        """The client's own certificate and key."""
        if "ssl.keystore.location" in self.kafka:  # librdkafka takes PKCS#12 only
            out = {
                "ssl.keystore.type": "PKCS12",
                "ssl.keystore.location": str(Path(self.kafka["ssl.keystore.location"]).absolute()),
            }
            if "ssl.keystore.password" in self.kafka:
                out["ssl.keystore.password"] = self.kafka["ssl.keystore.password"]
            return out
        certificate = self._pem("ssl.certificate.pem", "ssl.certificate.location", "CERTIFICATE")
        key = self._pem("ssl.key.pem", "ssl.key.location", "PRIVATE KEY")
        if not certificate and not key:
            return {}
        if not certificate or not key:
            given, absent = ("ssl.certificate", "ssl.key") if certificate else ("ssl.key", "ssl.certificate")
            name = next(name for name in self.kafka if name.startswith(f"{given}."))
            raise UsageError(
                f"{self.location(name)}: {name} is given without {absent}.location",
                hint=f"add {absent}.location, a PEM file",
            )
        if "BEGIN PRIVATE KEY" not in key and "BEGIN ENCRYPTED PRIVATE KEY" not in key:
            name = "ssl.key.pem" if "ssl.key.pem" in self.kafka else "ssl.key.location"
            raise self._untranslated(
                name, "Java reads PKCS#8: openssl pkcs8 -topk8 -nocrypt -in KEY.pem -out KEY-pkcs8.pem"
            )
        out = {"ssl.keystore.type": "PEM", "ssl.keystore.certificate.chain": certificate, "ssl.keystore.key": key}
        if "ENCRYPTED" in key and "ssl.key.password" in self.kafka:
            out["ssl.key.password"] = self.kafka["ssl.key.password"]
        return out

    def _pem(self, inline: str, location: str, what: str) -> str:
        """The PEM blocks of a kind, out of the setting or out of the file that another one names."""
        if inline in self.kafka:
            name, text = inline, self.kafka[inline].replace("\\n", "\n")
        elif location in self.kafka:
            name = location
            try:
                text = Path(self.kafka[location]).read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError) as exc:
                raise UsageError(
                    f"{self.location(name)}: {name} cannot be read: {exc}", hint=f"correct {name}"
                ) from None
        else:
            return ""
        blocks = re.findall(rf"-----BEGIN [A-Z ]*{what}-----.*?-----END [A-Z ]*{what}-----", text, re.DOTALL)
        if not blocks:
            raise UsageError(f"{self.location(name)}: {name} holds no PEM block {what}", hint=f"correct {name}")
        return "\n".join(blocks) + "\n"

    def _untranslated(self, name: str, hint: str) -> UsageError:
        return UsageError(f"{self.location(name)}: {name} cannot be translated for Java clients", hint=hint)

    def _jaas(self, mechanism: str) -> str:
        modules = {"PLAIN": "plain.PlainLoginModule", "SCRAM": "scram.ScramLoginModule"}
        module = modules.get(mechanism.upper().split("-")[0])
        if module is None:
            raise UsageError(
                f"{self.location('sasl.mechanisms')}: sasl.mechanisms={mechanism} cannot be translated for Java clients",
                hint="PLAIN and SCRAM-SHA-256/512 can",
            )

        def quoted(name: str) -> str:
            return '"' + self.kafka.get(name, "").replace("\\", "\\\\").replace('"', '\\"') + '"'

        login = f"username={quoted('sasl.username')} password={quoted('sasl.password')}"
        return f"org.apache.kafka.common.security.{module} required {login};"

    def masked(self) -> dict[str, str]:
        """Every setting by its name in the file, secrets replaced by asterisks."""
        named = {**self.kafka, **{key: getattr(self, attribute) for key, attribute in EXTRAS.items()}}
        return {name: _MASK if _SECRET.search(name) else mask_address(value) for name, value in named.items() if value}

    def mask(self, text: str) -> str:
        """The text with every secret of this profile replaced by asterisks; for messages that come from other libraries."""
        secrets = [value for name, value in self.kafka.items() if _SECRET.search(name)]
        for login in (self.registry_auth, self.flink_gateway_auth):
            secrets += [login, *login.split(":", 1)[1:]]
        secrets.append(self.clickhouse_password)
        secrets += [quote(secret, safe="") for secret in secrets]
        # Longest first: a short secret may be a part of a longer one. Under four characters it would mask ordinary words.
        for secret in sorted({s for s in secrets if len(s) >= 4}, key=len, reverse=True):
            text = text.replace(secret, _MASK)
        return text

    def __repr__(self) -> str:
        """Every setting, secrets masked."""
        settings = ", ".join(f"{name}={value}" for name, value in self.masked().items())
        return f"Profile({settings})"


def mask_address(text: str) -> str:
    """Any text with the logins of the addresses in it masked: ``user:password@`` and parameters such as ``?password=``."""
    # Greedy up to the last @ before the next address: a password may hold a slash or an @ that should have been encoded.
    text = re.sub(r"://(?:(?!://)[^\s\"'])*@", f"://{_MASK}@", text)
    return re.sub(
        r"([?&;#])([^=&;\s]+)=([^&\s\"']*)",
        lambda found: f"{found[1]}{found[2]}={_MASK if _SECRET.search(unquote(found[2])) else found[3]}",
        text,
    )


def _mask_value(value: str) -> str:
    """A value that should have been an address, masked: what stands before an @ is a login, also where no scheme says so."""
    return mask_address(re.sub(r"^((?:[A-Za-z][\w+.-]*:)*//)?.+@", rf"\g<1>{_MASK}@", value))


def _addresses(text: str) -> tuple[str, ...]:
    """The addresses of a comma-separated list."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def split_login(address: str) -> tuple[str, str]:
    """An address without the login it holds, and the login as ``user:password``, or empty."""
    try:
        parts = urlsplit(address)
    except ValueError:  # such as an IPv6 address that is not closed; refused by name where a profile is read
        return address, ""
    login, at, host = parts.netloc.rpartition("@")
    if not at:
        return address, ""
    user, colon, password = login.partition(":")
    return urlunsplit(parts._replace(netloc=host)), unquote(user) + colon + unquote(password)


def _without_logins(profile: Profile) -> dict[str, str]:
    """The fields of a profile that change when the logins are moved out of its addresses."""
    changes: dict[str, str] = {}
    for attribute, auth in (("registry_url", "registry_auth"), ("flink_gateway_url", "flink_gateway_auth")):
        split = [split_login(address) for address in _addresses(getattr(profile, attribute))]
        changes[attribute] = ",".join(address for address, _ in split)
        changes[auth] = getattr(profile, auth) or next((login for _, login in split if login), "")
    url, login = split_login(profile.clickhouse_url)
    found: dict[str, str] = {}
    if login:
        user, _, password = login.partition(":")
        found = {"clickhouse_user": user, "clickhouse_password": password}
    if "?" in url:
        parts = urlsplit(url)
        pairs = parse_qsl(parts.query, keep_blank_values=True)
        found |= {_CLICKHOUSE_PARAMETERS[name]: value for name, value in pairs if name in _CLICKHOUSE_PARAMETERS}
        kept = [(name, value) for name, value in pairs if name not in _CLICKHOUSE_PARAMETERS]
        url = urlunsplit(parts._replace(query=urlencode(kept)))
    changes["clickhouse_url"] = url
    # A line of its own comes first: it is the plainer statement.
    unset = {"clickhouse_user": {"", _DEFAULT}, "clickhouse_password": {""}, "clickhouse_database": {"", _DEFAULT}}
    changes |= {name: value for name, value in found.items() if value and getattr(profile, name) in unset[name]}
    return changes


def read(path: str | Path) -> Profile:
    """Read a ``client.properties``.

    Args:
        path: The file.

    Returns:
        The profile; ``sasl.mechanism`` is normalised to ``sasl.mechanisms``. Whether librdkafka takes its settings is not asked here,
        see :func:`clickreel.stream.kafka_clients.read_profile`.

    Raises:
        UsageError: The file is absent, a line is no setting, holds a placeholder of the template, repeats another one with a
            different value, or holds an address that is none. The message names file and line.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise UsageError(f"no profile {path}", hint=f"cp client.properties.template {path}, then fill it in") from None
    except (OSError, UnicodeDecodeError) as exc:
        raise UsageError(f"the profile {path} cannot be read: {exc}", hint=f"correct {path}") from exc
    lines = _lines(text, path)
    values = {name: value for name, (value, _) in lines.items() if value}
    kafka = {name: value for name, value in values.items() if name not in EXTRAS and name != _CREDENTIALS_SOURCE}
    if not kafka.get("bootstrap.servers"):
        raise UsageError(f"{path} has no bootstrap.servers", hint="add a line bootstrap.servers=HOST:PORT")
    where = {name: f"{path} line {number}" for name, (_, number) in lines.items()}
    _check_brokers(kafka["bootstrap.servers"], where["bootstrap.servers"])
    for name in ("schema.registry.url", "clickhouse.url", "flink.gateway.url"):
        several = name == "schema.registry.url"
        for address in _addresses(values.get(name, "")) if several else filter(None, [values.get(name)]):
            _check_address(name, address, where[name])
    extras: dict[str, Any] = {field_: values[key] for key, field_ in EXTRAS.items() if key in values}
    extras |= _registry_login(values, where)
    numbers = {name: number for name, (_, number) in lines.items()}
    return Profile(kafka=kafka, source=str(path), lines=numbers, **extras)


def _registry_login(values: Mapping[str, str], where: Mapping[str, str]) -> dict[str, str]:
    """The registry's login by ``basic.auth.credentials.source``, as Confluent's clients read it."""
    source = values.get(_CREDENTIALS_SOURCE, "USER_INFO").upper()
    if source in {"USER_INFO", "URL"}:
        return {}
    place = where[_CREDENTIALS_SOURCE]
    if source != "SASL_INHERIT":
        raise UsageError(
            f"{place}: {_CREDENTIALS_SOURCE}={values[_CREDENTIALS_SOURCE]} is not known",
            hint="USER_INFO (with basic.auth.user.info), URL or SASL_INHERIT",
        )
    user, password = values.get("sasl.username"), values.get("sasl.password")
    if not user or not password:
        raise UsageError(
            f"{place}: {_CREDENTIALS_SOURCE}=SASL_INHERIT needs sasl.username and sasl.password",
            hint="add them, or write basic.auth.user.info=USER:PASSWORD and remove this line",
        )
    return {"registry_auth": f"{user}:{password}"}


# Java's other ways to write a line. Only of names that begin like a setting: a password that was pasted alone is no setting.
_JAVA_LINE = re.compile(
    r"((?:basic|bootstrap|clickhouse|client|flink|sasl|schema|security|session|ssl)\.[a-z0-9._-]+)(\s*:\s*|\s+(?!=))(.*)"
)
# Kafka's words for how a listener speaks.
_LISTENERS = ("plaintext", "ssl", "sasl_plaintext", "sasl_ssl")


def _lines(text: str, path: Path) -> dict[str, tuple[str, int]]:
    """Settings by name with the number of their line."""
    found: dict[str, tuple[str, int]] = {}
    # Not splitlines(): a form feed or U+2028 may stand in a password.
    for number, line in enumerate(re.split(r"\r\n|\r|\n", text), start=1):
        bare = line.strip()
        if not bare or bare.startswith(("#", "!")):
            continue
        java = _JAVA_LINE.fullmatch(bare)
        name, equals, value = java.groups() if java else (part.strip() for part in bare.partition("="))
        where = f"{path} line {number}"
        if not equals or not name:
            # The line is not shown: it may be a password pasted alone.
            raise UsageError(
                f"{where} is not NAME=VALUE", hint="write NAME=VALUE, or begin the line with # if it is a comment"
            )
        name = _ALIASES.get(name, name)
        if name == "sasl.mechanisms":  # written in capitals, which is the only way that the clients take it
            value = value.upper() if value not in PLACEHOLDERS else value
        if value in PLACEHOLDERS:
            raise UsageError(
                f"{where}: {name} still holds the template's placeholder {value}",
                hint=f"put the real value of {name} into {path}, or remove the line",
            )
        if name in found and found[name][0] != value:
            raise UsageError(
                f"{where}: {name} was set otherwise on line {found[name][1]}", hint="keep one of the two lines"
            )
        found[name] = (value, number)
    return found


def _check_brokers(text: str, where: str) -> None:
    """Refuse broker addresses that cannot be any: librdkafka would only try to resolve them, again and again."""
    for address in _addresses(text):
        listener, _, bare = address.rpartition("://")
        found = listener.lower() in {"", *_LISTENERS} and re.fullmatch(
            r"(\[[0-9A-Fa-f:.%\w]+\]|[^\s:/@\[\]]+)(?::(\d+))?", bare
        )
        if not found or (found[2] and not 0 < int(found[2]) < 65_536):
            raise UsageError(
                f"{where}: bootstrap.servers holds {_mask_value(address)!r}, which is no address",
                hint="write HOST:PORT, several separated by commas; the port is 1 to 65535",
            )


def _check_address(name: str, address: str, where: str) -> None:
    """Refuse what is no HTTP address."""
    problem = _address_problem(address)
    if problem:
        raise UsageError(
            f"{where}: {name} holds {_mask_value(address)!r}, which is no address: {problem}",
            hint="write http://HOST:PORT or https://HOST:PORT",
        )
    known = _CLICKHOUSE_PARAMETERS if name == "clickhouse.url" else {}
    for parameter, _ in parse_qsl(urlsplit(address).query, keep_blank_values=True):
        if parameter not in known:
            raise UsageError(
                f"{where}: {name} has the parameter {parameter!r}, which the client does not pass on",
                hint=f"{', '.join([*known, 'a login (http://USER:PASSWORD@HOST)'])} can stand in the address",
            )


def _address_problem(address: str) -> str:
    """Why a text is no HTTP address; empty when it is one. The text itself is not repeated: it may hold a password."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return "its brackets do not match"
    if parts.scheme not in {"http", "https"}:
        return "it does not begin with http:// or https://"
    if parts.fragment or ";" in parts.path:
        return "it goes on behind a # or ;"
    if not parts.hostname or not re.fullmatch(r"[\w.:%~-]+", parts.hostname):
        return "it has no valid host"
    try:
        return "" if parts.port != 0 else "port 0 cannot be reached"
    except ValueError:
        return "its port is no number from 1 to 65535"
