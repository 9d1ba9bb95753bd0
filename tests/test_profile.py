"""The profile: read as the seed's users write it, refused by line, secrets never shown."""

from __future__ import annotations

from pathlib import Path

import pytest
from confluent_kafka import Consumer

from clickreel.cli.app import run
from clickreel.errors import UsageError
from clickreel.profile import PLACEHOLDERS, Profile, mask_address, read
from clickreel.stream.kafka_clients import create_client, read_profile

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
        ("just some words", "line 15 is not NAME=VALUE"),
        ("=x", "line 15 is not NAME=VALUE"),
        (
            "flink.gateway.url=<GATEWAY ADDRESS>",
            "line 15: flink.gateway.url still holds the template's placeholder <GATEWAY ADDRESS>",
        ),
        (
            "flink.gateway.url=http://127.0.0.1:abc",
            "line 15: flink.gateway.url holds 'http://127.0.0.1:abc', which is no address",
        ),
        ("flink.gateway.url=http://127.0.0.1:70000", "line 15: flink.gateway.url holds"),
        (
            "flink.gateway.url=http://",
            "line 15: flink.gateway.url holds 'http://', which is no address: it has no valid host",
        ),
        (
            "flink.gateway.url=localhost:8083",
            "line 15: flink.gateway.url holds 'localhost:8083', which is no address: it does",
        ),
        ("flink.gateway.url=http://[::1:8083", "line 15: flink.gateway.url holds"),
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


@pytest.mark.parametrize("written", ["plain", "Plain", "scram-sha-512"])
def test_a_mechanism_may_be_written_in_any_case(tmp_path: Path, written: str) -> None:
    """As the security protocol may be."""
    path = write(tmp_path, SEED.format(mechanism="sasl.mechanism").replace("=PLAIN", f"={written}"))
    assert read_profile(path).kafka["sasl.mechanisms"] == written.upper()


@pytest.mark.parametrize("between", [":", " : ", " ", "\t", "=", " = "])
def test_lines_may_be_written_in_each_of_javas_ways(tmp_path: Path, between: str) -> None:
    """A file of a Java client; the first separator counts, the others belong to the value."""
    written = ("bootstrap.servers", "PLAINTEXT://a:1,[::1]:2"), ("sasl.password", "p=q:r s")
    path = write(tmp_path, "\n".join(f"{name}{between}{value}" for name, value in written))
    assert dict(read(path).kafka) == dict(written)


@pytest.mark.parametrize("line", ["s3cret: word", "hunter2 word", "my.secret word"])
def test_a_password_that_was_pasted_alone_is_not_shown(tmp_path: Path, line: str) -> None:
    """It is no setting, whatever stands in it."""
    path = write(tmp_path, SEED.format(mechanism="sasl.mechanisms") + line + "\n")
    with pytest.raises(UsageError) as caught:
        read(path)
    assert line.split(maxsplit=1)[0].rstrip(":") not in caught.value.message + caught.value.hint


@pytest.mark.parametrize("address", ["kafka://a:1", "http://a:1", "a:1,ssl2://b:2"])
def test_a_broker_that_speaks_no_kafka_is_refused_by_line(tmp_path: Path, address: str) -> None:
    """Librdkafka would leave it out and say that there is none."""
    path = write(tmp_path, f"# ours\nbootstrap.servers={address}\n")
    with pytest.raises(UsageError, match=r"line 2: bootstrap.servers holds '.*', which is no address"):
        read(path)


def test_the_template_itself_is_refused_by_its_first_placeholder() -> None:
    """Someone who forgets to fill it in is told what and where."""
    with pytest.raises(
        UsageError, match=r"bootstrap.servers still holds the template's placeholder <BOOTSTRAP HOST:PORT>"
    ):
        read(TEMPLATE)


def test_the_template_filled_in_is_a_profile(tmp_path: Path) -> None:
    """Every name in the template, the commented ones too, is one that is known."""
    text = TEMPLATE.read_text(encoding="utf-8").replace("#clickhouse", "clickhouse").replace("#flink", "flink")
    text = text.replace("#schema", "schema").replace("#basic", "basic")
    for placeholder in PLACEHOLDERS:
        text = text.replace(f"={placeholder}", "=http://x:1" if "ADDRESS" in placeholder else "=x:1")
    assert read_profile(write(tmp_path, text)).flink_gateway_url == "http://x:1"


def test_the_template_works_when_only_the_kafka_lines_are_filled_in(tmp_path: Path) -> None:
    """Registry, ClickHouse and Flink are optional: their lines are comments until somebody needs them."""
    text = TEMPLATE.read_text(encoding="utf-8")
    for placeholder in ("<BOOTSTRAP HOST:PORT>", "<KAFKA API KEY>", "<KAFKA API SECRET>"):
        text = text.replace(placeholder, "127.0.0.1:9")
    profile = read_profile(write(tmp_path, text))
    assert (profile.bootstrap, profile.registry_url, profile.clickhouse_url) == ("127.0.0.1:9", "", "")


def test_every_placeholder_of_the_template_is_known() -> None:
    """Otherwise one that was forgotten would be sent as a password."""
    values = {line.partition("=")[2] for line in TEMPLATE.read_text(encoding="utf-8").splitlines() if "=<" in line}
    assert values == PLACEHOLDERS


@pytest.mark.parametrize(
    "secret", ["ab<c>d9", "<mine>", "{{x}}", "a{{b}}c", "$HOME", "%s", "#1", "a=b", "[/b]", "\\", "\x0b9"]
)
def test_any_other_text_is_a_password(tmp_path: Path, secret: str) -> None:
    """Only the template's own placeholders, as the whole value, are taken for such."""
    text = SEED.format(mechanism="sasl.mechanisms").replace("s3cr=t#4", secret)
    assert read_profile(write(tmp_path, text)).kafka["sasl.password"] == secret.strip()


@pytest.mark.parametrize(
    ("address", "ok"),
    [
        ("a:1,b:2", True),
        ("a, b:2 ,", True),
        ("SASL_SSL://a:9092", True),
        ("[::1]:9092", True),
        ("localhost", True),
        ("a:abc", False),
        ("a:0", False),
        ("a:70000", False),
        ("a b:1", False),
        ("::1:9092", False),
        ("http://a:1/x", False),
    ],
)
def test_broker_addresses_are_checked(tmp_path: Path, address: str, ok: bool) -> None:
    """What cannot be an address would be resolved again and again, and end as a broker that does not answer."""
    path = write(tmp_path, f"# ours\nbootstrap.servers={address}\n")
    if ok:
        assert read(path).bootstrap == address
        return
    with pytest.raises(UsageError, match=r"line 2: bootstrap\.servers holds"):
        read(path)


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
    """Librdkafka refuses the combination; the line that asks for a login is named."""
    with pytest.raises(UsageError, match=r"line 2: .*sasl\.username and sasl\.password must be set"):
        read_profile(write(tmp_path, "bootstrap.servers=a:1\nsecurity.protocol=SASL_SSL\nsasl.mechanisms=PLAIN\n"))


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("sasl.passwort=x", 'No such configuration property: "sasl.passwort"'),
        ("acks=banana", "Invalid value"),
        ("linger.ms=-4", "outside allowed range"),
        ("fetch.max.bytes=100", "`fetch.max.bytes` must be >= `message.max.bytes`"),
        ("group.protocol=consumer", "group.protocol=consumer is not supported"),
        ("max.in.flight=100", "must be set <= 5"),
        ("isolation.level=dirty", "Invalid value"),
        ("error_cb=x", "callable"),
        ("ssl.ca.location=/nonexistent", "ssl.ca.location failed"),
    ],
)
def test_what_librdkafka_refuses_is_said_with_file_and_line(tmp_path: Path, line: str, says: str) -> None:
    """For every kind of client, combinations of settings included; never a traceback."""
    path = write(tmp_path, SEED.format(mechanism="sasl.mechanisms") + line + "\n")
    with pytest.raises(UsageError) as caught:
        read_profile(path)
    assert caught.value.message.startswith(f"{path} line 15: ")
    assert says in caught.value.message
    assert caught.value.hint


def test_settings_that_only_one_client_refuses_name_the_line_too(tmp_path: Path) -> None:
    """A client adds settings of its own: what contradicts them is found by leaving out one line after the other."""
    profile = read_profile(write(tmp_path, "bootstrap.servers=a:1\nclient.id=x\nsession.timeout.ms=20000\n"))
    config = profile.consumer_config("g") | {"max.poll.interval.ms": 10_000}
    with pytest.raises(UsageError, match=r"line 3: .*max\.poll\.interval\.ms"):
        create_client(Consumer, config, profile)


def test_every_reader_reads_what_is_committed_and_ingest_refuses_the_opposite(tmp_path: Path) -> None:
    """A profile of another program may ask for records of aborted transactions."""
    profile = read_profile(write(tmp_path, "bootstrap.servers=a:1\nisolation.level=read_uncommitted\n"))
    assert profile.consumer_config("g")["isolation.level"] == "read_committed"
    with pytest.raises(UsageError, match=r"line 2: isolation\.level=read_uncommitted"):
        profile.require_read_committed()
    Profile({"bootstrap.servers": "a:1"}).require_read_committed()


def test_the_registry_may_have_several_addresses_and_the_login_of_kafka(tmp_path: Path) -> None:
    """As the configuration of Java clients has it."""
    text = SEED.format(mechanism="sasl.mechanisms").replace("USER_INFO", "SASL_INHERIT")
    text = text.replace("https://user:hunter22@registry.example", "http://one:8081, https://user:hunter22@two/api")
    profile = read(write(tmp_path, text))
    assert profile.registry_url == "http://one:8081,https://two/api"
    assert profile.registry_auth == "KEY123:s3cr=t#4"
    with pytest.raises(UsageError, match=r"line 11: basic\.auth\.credentials\.source=OAUTH is not known"):
        read(write(tmp_path, text.replace("SASL_INHERIT", "OAUTH")))
    with pytest.raises(UsageError, match="SASL_INHERIT needs sasl"):
        read(write(tmp_path, text.replace("sasl.username=KEY123", "")))
    with pytest.raises(UsageError, match=r"line 10: schema\.registry\.url holds 'nowhere'"):
        read(write(tmp_path, text.replace("http://one:8081, ", "nowhere,")))


@pytest.mark.parametrize(
    "url",
    [
        "http://ann:Zx9%2FSecret@127.0.0.1:9/",
        "http://127.0.0.1:9/?user=ann&password=Zx9%2FSecret",
        "http://127.0.0.1:9?username=ann&password=Zx9%2FSecret&database=films",
    ],
)
def test_a_login_inside_an_address_is_used_and_never_shown(tmp_path: Path, url: str) -> None:
    """It is moved to the fields of the login, so that whoever prints the address prints no secret."""
    profile = read(
        write(tmp_path, f"bootstrap.servers=a:1\nclickhouse.url={url}\nflink.gateway.url=http://me:pw12@f:1\n")
    )
    assert (profile.clickhouse_user, profile.clickhouse_password) == ("ann", "Zx9/Secret")
    assert profile.clickhouse_url.rstrip("/") == "http://127.0.0.1:9"
    assert profile.clickhouse_database == ("films" if "films" in url else "default")
    assert (profile.flink_gateway_url, profile.flink_gateway_auth) == ("http://f:1", "me:pw12")
    assert "Secret" not in f"{profile!r} {profile.masked()} {profile.mask('Zx9/Secret and Zx9%2FSecret')}"


def test_a_parameter_that_the_client_does_not_pass_on_is_refused(tmp_path: Path) -> None:
    """Ignored in silence it would look as if it were in force."""
    with pytest.raises(UsageError, match=r"line 2: clickhouse\.url has the parameter 'session_timezone'"):
        read(write(tmp_path, "bootstrap.servers=a:1\nclickhouse.url=http://h:1/?session_timezone=UTC\n"))


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("http://ann:pa/ss@host:1/x", "http://********@host:1/x"),
        ("see http://a:b@h1,http://c:d@e@h2 now", "see http://********@h1,http://********@h2 now"),
        ("http://h/?user=ann&password=a;b,c&x=1", "http://h/?user=ann&password=********&x=1"),
        ("http://h/?Access_Token=t#frag", "http://h/?Access_Token=********"),
        ("http://h/#password=p", "http://h/#password=********"),
        ("a:9092,b:9092 and x=1", "a:9092,b:9092 and x=1"),
    ],
)
def test_addresses_are_masked_in_any_text(text: str, masked: str) -> None:
    """Also where a character should have been encoded: better too much than a part of a password."""
    assert mask_address(text) == masked


@pytest.mark.parametrize(
    "line",
    [
        "bootstrap.servers=ann:Zx9@Secret@h:9092",
        "bootstrap.servers=SASL_SSL://ann:Zx9Secret@h:9092",
        "clickhouse.url=ann:Zx9Secret@h:8123",
        "clickhouse.url=ann:Zx9//Secret@h:8123",
        "clickhouse.url=//ann:Zx9Secret@h:8123",
        "clickhouse.url=jdbc:clickhouse://ann:Zx9Secret@h:8123",
        "clickhouse.url=http://h:1/;password=Zx9Secret",
        "clickhouse.url=http://h:1/#password=Zx9Secret",
        "schema.registry.url=ann:Zx9Secret@h:8081",
        "schema.registry.url=http://h:8081?token=Zx9Secret",
        "flink.gateway.url=http://h:8083/?apikey=Zx9Secret",
    ],
)
def test_a_login_in_an_address_of_another_form_is_refused_without_showing_it(tmp_path: Path, line: str) -> None:
    """Without a scheme, behind a semicolon or a number sign, in a parameter that nobody would pass on."""
    name = line.partition("=")[0]
    first = "" if name == "bootstrap.servers" else "bootstrap.servers=a:1\n"
    with pytest.raises(UsageError, match=rf"line {2 if first else 1}: {name} h") as caught:
        read(write(tmp_path, f"{first}{line}\n"))
    said = caught.value.message + caught.value.hint
    assert "Secret" not in said
    assert "Zx9" not in said


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
        "isolation.level": "read_committed",
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


def secured(tmp_path: Path, **settings: str) -> Profile:
    """A profile with TLS, and these settings from line 3 on."""
    lines = "".join(f"{name.replace('_', '.')}={value}\n" for name, value in settings.items())
    return read(write(tmp_path, f"bootstrap.servers=a:1\nsecurity.protocol=ssl\n{lines}"))


def test_a_client_certificate_is_translated_for_java(tmp_path: Path) -> None:
    """Two files of PEM become a keystore; the key has to be PKCS#8, which is all that Java reads."""
    certificate, key, old = tmp_path / "c.pem", tmp_path / "k.pem", tmp_path / "old.pem"
    block = "-----BEGIN {0}-----\nAAAA\n-----END {0}-----\n"
    certificate.write_text("Bag Attributes\n" + block.format("CERTIFICATE") * 2, encoding="utf-8")
    key.write_text(block.format("PRIVATE KEY"), encoding="utf-8")
    old.write_text(block.format("RSA PRIVATE KEY"), encoding="utf-8")
    found = secured(
        tmp_path, ssl_certificate_location=str(certificate), ssl_key_location=str(key), ssl_ca_location=str(certificate)
    )
    assert found.java_properties() == {
        "bootstrap.servers": "a:1",
        "security.protocol": "SSL",
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(certificate),
        "ssl.keystore.type": "PEM",
        "ssl.keystore.certificate.chain": block.format("CERTIFICATE").rstrip() + "\n" + block.format("CERTIFICATE"),
        "ssl.keystore.key": block.format("PRIVATE KEY"),
    }
    bundle = secured(tmp_path, ssl_keystore_location="/x/me.p12", ssl_keystore_password="p12pw")  # noqa: S106
    assert bundle.java_properties()["ssl.keystore.type"] == "PKCS12"
    for settings, says in (
        (
            {"ssl_certificate_location": str(certificate), "ssl_key_location": str(old)},
            "line 4: ssl.key.location cannot be translated",
        ),
        ({"ssl_certificate_location": str(certificate)}, "line 3: ssl.certificate.location is given without ssl.key"),
        (
            {"ssl_certificate_location": str(key), "ssl_key_location": str(key)},
            "line 3: .* holds no PEM block CERTIFICATE",
        ),
        ({"ssl_certificate_location": "/nonexistent", "ssl_key_location": str(key)}, "line 3: .* cannot be read"),
        ({"ssl_cipher_suites": "x"}, "line 3: ssl.cipher.suites cannot be translated"),
        ({"ssl_ca_location": str(tmp_path)}, "line 3: ssl.ca.location cannot be translated"),
        (
            {"enable_ssl_certificate_verification": "false"},
            "line 3: enable.ssl.certificate.verification cannot be translated",
        ),
    ):
        with pytest.raises(UsageError, match=says):
            secured(tmp_path, **settings).java_properties()


@pytest.mark.parametrize(
    "command", [("trending",), ("funnel",), ("dead-letters", "list"), ("export", "flink"), ("export", "connect-sink")]
)
def test_no_command_prints_a_password_of_an_address(
    command: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nobody answers there, and the error names the address without it."""
    path = write(
        tmp_path, "bootstrap.servers=127.0.0.1:9\nclickhouse.url=http://127.0.0.1:9/?user=ann&password=Zx9Secret\n"
    )
    assert run([*command, "--profile", str(path)]) in {0, 4}
    out, err = capsys.readouterr()
    assert "127.0.0.1" in out + err
    assert "Secret" not in out + err


def test_a_port_that_is_none_is_a_usage_error_of_its_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """For every command, before anything is asked."""
    path = write(tmp_path, "bootstrap.servers=127.0.0.1:9\nclickhouse.url=http://127.0.0.1:abc\n")
    assert run(["trending", "--profile", str(path)]) == 2
    assert f"{path} line 2: clickhouse.url holds 'http://127.0.0.1:abc'" in capsys.readouterr().err
