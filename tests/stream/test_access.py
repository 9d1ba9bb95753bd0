"""Getting in: SASL and TLS to a real Kafka, and each way of not getting in, in words and within ten seconds."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from clickreel.cli.app import run
from clickreel.errors import ClickreelError, UnreachableError
from clickreel.profile import read
from clickreel.stream.cluster import Cluster
from tests.stream.secured import PASSWORD, USER, Secured, free_port, secured


@pytest.fixture(scope="module")
def kafka_with_login(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    """One broker for the module."""
    with secured(tmp_path_factory.mktemp("secured")) as found:
        yield found


def profile(tmp_path: Path, address: str, **settings: str) -> Path:
    """A client.properties for the address, with a login; settings replace or add lines."""
    lines = {
        "bootstrap.servers": address,
        "security.protocol": "SASL_PLAINTEXT",
        "sasl.mechanism": "PLAIN",
        "sasl.username": USER,
        "sasl.password": PASSWORD,
        **{name.replace("_", "."): value for name, value in settings.items()},
    }
    path = tmp_path / "client.properties"
    path.write_text(
        "# ours\n" + "".join(f"{name}={value}\n" for name, value in lines.items() if value), encoding="utf-8"
    )
    return path


@pytest.mark.parametrize("protocol", ["SASL_PLAINTEXT", "SASL_SSL"])
def test_the_same_commands_work_behind_a_login(
    kafka_with_login: Secured, tmp_path: Path, topic: str, protocol: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Create, produce, read: only the profile differs."""
    tls = {"ssl_ca_location": str(kafka_with_login.certificate)} if protocol == "SASL_SSL" else {}
    address = kafka_with_login.tls if tls else kafka_with_login.sasl
    path = str(profile(tmp_path, address, security_protocol=protocol, **tls))
    common = ("--topic", topic, "--profile", path, "--json")
    assert run(["topic", "create", "--retention", "forever", *common]) == 0
    capsys.readouterr()
    assert run(["produce", "--count", "200", "--seed", "7", "--from", "2025-11-24", *common]) == 0
    answer = orjson.loads(capsys.readouterr().out)
    assert (answer["sent"], answer["acknowledged"], answer["failed"]) == (200, 200, 0)
    assert run(["messages", "--from", "earliest", "-n", "200", *common]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 200


def refused(path: Path) -> tuple[ClickreelError, float]:
    """The error that a look at a topic gives, and after how long."""
    since = time.monotonic()
    with pytest.raises(ClickreelError) as caught:
        Cluster(read(path)).topic("dvd_clicks")
    return caught.value, time.monotonic() - since


def test_wrong_credentials_are_said_with_the_user_and_never_the_secret(
    kafka_with_login: Secured, tmp_path: Path
) -> None:
    """At once, naming the lines to check."""
    wrong = {"sasl_password": "wrong-secret"}
    error, seconds = refused(profile(tmp_path, kafka_with_login.sasl, **wrong))
    assert isinstance(error, UnreachableError)
    assert f"refuses the credentials of sasl.username '{USER}'" in error.message
    assert "sasl.password" in error.hint
    assert "wrong-secret" not in error.message + error.hint
    assert seconds < 10


def test_a_listener_without_sasl_and_one_with_other_mechanisms_are_said(
    kafka_with_login: Secured, tmp_path: Path
) -> None:
    """Neither is a question of the password."""
    error, seconds = refused(profile(tmp_path, kafka_with_login.plain))
    assert "does not speak SASL" in error.message
    assert "security.protocol=PLAINTEXT" in error.hint
    assert "line 3" in error.hint
    assert seconds < 10
    error, _ = refused(profile(tmp_path, kafka_with_login.sasl, sasl_mechanism="SCRAM-SHA-256"))
    assert "does not offer the SASL mechanism SCRAM-SHA-256; it offers PLAIN" in error.message


def test_a_token_that_cannot_be_had_is_no_question_of_the_password(kafka_with_login: Secured, tmp_path: Path) -> None:
    """The login's own service is away: its address is said, and the lines to check."""
    lines = {
        "sasl_mechanism": "OAUTHBEARER",
        "sasl_oauthbearer_method": "oidc",
        "sasl_oauthbearer_client_id": "me",
        "sasl_oauthbearer_client_secret": "wrong-secret",
        "sasl_oauthbearer_token_endpoint_url": f"http://127.0.0.1:{free_port()}/token",
    }
    error, seconds = refused(profile(tmp_path, kafka_with_login.sasl, **lines))
    assert "no token to log in" in error.message
    assert "Could not connect" in error.message
    assert "sasl.oauthbearer" in error.hint
    assert "wrong-secret" not in error.message + error.hint
    assert seconds < 10


def test_a_certificate_that_nobody_vouches_for_is_said(kafka_with_login: Secured, tmp_path: Path) -> None:
    """With the setting that names who vouches."""
    error, seconds = refused(profile(tmp_path, kafka_with_login.tls, security_protocol="SASL_SSL"))
    assert "no TLS connection" in error.message
    assert "certificate verify failed" in error.message
    assert "ssl.ca.location" in error.hint
    assert seconds < 10


@pytest.mark.parametrize("protocol", ["PLAINTEXT", "SASL_PLAINTEXT"])
def test_a_wrong_protocol_is_a_broker_that_does_not_answer(
    kafka_with_login: Secured, tmp_path: Path, protocol: str
) -> None:
    """A plain client at a TLS port: the broker hangs up, so the protocol is to be checked too."""
    error, seconds = refused(profile(tmp_path, kafka_with_login.tls, security_protocol=protocol))
    assert isinstance(error, UnreachableError)
    assert seconds < 10


def test_nobody_at_the_address(tmp_path: Path) -> None:
    """Said with the address, within ten seconds."""
    address = f"127.0.0.1:{free_port()}"
    error, seconds = refused(profile(tmp_path, address))
    assert isinstance(error, UnreachableError)
    assert f"Kafka at {address} does not answer" in error.message
    assert "Connection refused" in error.message
    assert "bootstrap.servers" in error.hint
    assert seconds < 10


def test_a_name_that_does_not_exist(tmp_path: Path) -> None:
    """The name is in the message."""
    error, seconds = refused(profile(tmp_path, "broker.invalid:9092"))
    assert isinstance(error, UnreachableError)
    assert "broker.invalid" in error.message
    assert seconds < 10


def test_somebody_who_takes_the_call_and_says_nothing(tmp_path: Path) -> None:
    """An open port that is no Kafka."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        error, seconds = refused(profile(tmp_path, f"127.0.0.1:{silent.getsockname()[1]}"))
    assert isinstance(error, UnreachableError)
    assert seconds < 10


def test_the_commands_exit_with_4_and_two_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No traceback."""
    path = profile(
        tmp_path,
        f"127.0.0.1:{free_port()}",
        security_protocol="",
        sasl_mechanism="",
        sasl_username="",
        sasl_password="",
    )
    assert run(["produce", "--count", "10", "--profile", str(path)]) == 4
    error, hint = capsys.readouterr().err.splitlines()
    assert error.startswith("error: Kafka at ")
    assert hint.startswith("hint: check bootstrap.servers in ")
