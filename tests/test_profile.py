"""The profile: read as the seed's users write it, refused by line, secrets never shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from clickreel.errors import UsageError
from clickreel.profile import Profile, read

TEMPLATE = Path(__file__).parents[1] / "client.properties.template"
SEED = """\
# Required connection configs for Kafka producer, consumer, and admin
bootstrap.servers=broker.example:9092
security.protocol=SASL_SSL
{mechanism}=PLAIN
sasl.username=KEY123
sasl.password=s3cr=t#4

session.timeout.ms=45000
client.id=dvd-clicks
schema.registry.url=https://user:hunter22@registry.example
basic.auth.credentials.source=USER_INFO
basic.auth.user.info=SRKEY:SRSECRET
clickhouse.url=https://ch.example:8443
clickhouse.password=chpass99
"""


def write(tmp_path: Path, text: str) -> Path:
    """A client.properties with this text."""
    path = tmp_path / "client.properties"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("mechanism", ["sasl.mechanism", "sasl.mechanisms"])
def test_the_seeds_file_is_read_with_either_name_of_the_mechanism(tmp_path: Path, mechanism: str) -> None:
    """Kafka settings are librdkafka's; those of the other services are taken out; '=' and '#' may stand in a value."""
    profile = read(write(tmp_path, SEED.format(mechanism=mechanism)))
    assert dict(profile.kafka) == {
        "bootstrap.servers": "broker.example:9092",
        "security.protocol": "SASL_SSL",
        "sasl.mechanisms": "PLAIN",
        "sasl.username": "KEY123",
        "sasl.password": "s3cr=t#4",
        "session.timeout.ms": "45000",
        "client.id": "dvd-clicks",
    }
    assert profile.registry_auth == "SRKEY:SRSECRET"
    assert profile.clickhouse_url == "https://ch.example:8443"
    assert profile.clickhouse_user == "default"


def test_windows_line_ends_a_byte_order_mark_and_spaces_do_no_harm(tmp_path: Path) -> None:
    """An editor on another system is no reason to refuse a file."""
    path = tmp_path / "client.properties"
    path.write_bytes(b"\xef\xbb\xbfbootstrap.servers = a:1 \r\n  # comment\r\n\r\nacks=all\r\n")
    assert dict(read(path).kafka) == {"bootstrap.servers": "a:1", "acks": "all"}


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("sasl.passwort=x", 'line 15: No such configuration property: "sasl.passwort"'),
        ("acks=banana", "line 15: Invalid value"),
        ("linger.ms=-4", "line 15: "),
        ("just some words", "line 15 is not NAME=VALUE"),
        ("=x", "line 15 is not NAME=VALUE"),
        (
            "ssl.key.password=<KEY PASSWORD>",
            "line 15: ssl.key.password still holds the template's placeholder <KEY PASSWORD>",
        ),
        (
            "flink.gateway.url={{ GATEWAY }}",
            "line 15: flink.gateway.url still holds the template's placeholder {{ GATEWAY }}",
        ),
        ("sasl.mechanism=SCRAM-SHA-256", "line 15: sasl.mechanisms was set otherwise on line 4"),
    ],
)
def test_a_bad_line_is_refused_by_file_and_number(tmp_path: Path, line: str, says: str) -> None:
    """The message names the line; the hint says what to do."""
    path = write(tmp_path, SEED.format(mechanism="sasl.mechanisms") + line + "\n")
    with pytest.raises(UsageError) as caught:
        read(path)
    assert f"{path} {says}" in caught.value.message
    assert caught.value.hint


def test_the_template_itself_is_refused_by_its_first_placeholder() -> None:
    """Someone who forgets to fill it in is told what and where."""
    with pytest.raises(
        UsageError, match=r"bootstrap.servers still holds the template's placeholder <BOOTSTRAP HOST:PORT>"
    ):
        read(TEMPLATE)


def test_the_template_filled_in_is_a_profile(tmp_path: Path) -> None:
    """Every name in the template, the commented ones too, is one that is known."""
    text = TEMPLATE.read_text(encoding="utf-8").replace("#clickhouse", "clickhouse").replace("#flink", "flink")
    lines = [f"{line.split('=')[0]}=x:1" if "<" in line and "=" in line else line for line in text.splitlines()]
    assert read(write(tmp_path, "\n".join(lines))).flink_gateway_url == "x:1"


@pytest.mark.parametrize("text", ["", "# nothing\n", "acks=all\n"])
def test_a_profile_without_an_address_is_refused(tmp_path: Path, text: str) -> None:
    """There is no sensible default: localhost would hide the mistake."""
    with pytest.raises(UsageError, match=r"has no bootstrap\.servers"):
        read(write(tmp_path, text))


def test_an_absent_profile_names_the_template() -> None:
    """The hint is the command that makes one."""
    with pytest.raises(UsageError, match="no profile") as caught:
        read("/nonexistent/client.properties")
    assert "client.properties.template" in caught.value.hint


def test_credentials_that_are_missing_altogether_are_said_before_connecting(tmp_path: Path) -> None:
    """Librdkafka objects to the combination; no single line is to blame."""
    with pytest.raises(UsageError, match=r"sasl\.username and sasl\.password must be set"):
        read(write(tmp_path, "bootstrap.servers=a:1\nsecurity.protocol=SASL_SSL\nsasl.mechanisms=PLAIN\n"))


def test_secrets_are_masked_wherever_a_profile_is_printed(tmp_path: Path) -> None:
    """str, repr, masked() and any text that passes through mask()."""
    profile = read(write(tmp_path, SEED.format(mechanism="sasl.mechanisms")))
    wrapped = {"a": [profile]}
    for printed in (
        str(profile),
        repr(wrapped),
        f"{profile.masked()}",
        profile.mask("s3cr=t#4 chpass99 SRKEY:SRSECRET"),
    ):
        for secret in ("s3cr=t#4", "SRSECRET", "chpass99", "hunter22"):
            assert secret not in printed
    assert profile.masked()["sasl.username"] == "KEY123"


def test_a_profile_cannot_weaken_the_producer() -> None:
    """acks=1 in a file of another program must not lose events here."""
    config = Profile(kafka={"bootstrap.servers": "a:1", "acks": "1", "enable.idempotence": "false"}).producer_config()
    assert (config["acks"], config["enable.idempotence"]) == ("all", True)


def test_consumers_do_not_get_the_settings_of_producers() -> None:
    """Librdkafka would remark on each of them, in every client."""
    profile = Profile(kafka={"bootstrap.servers": "a:1", "acks": "all", "linger.ms": "5", "client.id": "x"})
    assert profile.consumer_config("g") == {
        "bootstrap.servers": "a:1",
        "client.id": "x",
        "group.id": "g",
        "enable.auto.commit": False,
        "auto.offset.reset": "error",
    }


def test_java_clients_get_a_jaas_line_with_quotes_escaped() -> None:
    """A password may hold quotes and backslashes."""
    profile = Profile(
        kafka={
            "bootstrap.servers": "a:1",
            "security.protocol": "SASL_SSL",
            "sasl.mechanisms": "PLAIN",
            "sasl.username": "k",
            "sasl.password": 'a"b\\c',
            "linger.ms": "5",
        }
    )
    assert profile.java_properties() == {
        "bootstrap.servers": "a:1",
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "PLAIN",
        "sasl.jaas.config": (
            'org.apache.kafka.common.security.plain.PlainLoginModule required username="k" password="a\\"b\\\\c";'
        ),
    }
