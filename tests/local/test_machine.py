"""What a stack finds on the machine: Java, ports, folders, versions."""

from __future__ import annotations

import socket
import stat
from pathlib import Path

import pytest

from clickreel.errors import MissingError, UnreachableError
from clickreel.local import java, ports
from clickreel.local.home import Home
from clickreel.local.service import keep_version


def program(folder: Path, script: str) -> Path:
    """A `java` of our own under a Java home."""
    path = folder / "bin" / "java"
    path.parent.mkdir(parents=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def test_the_java_of_the_wheel_runs() -> None:
    """Nothing is to be installed."""
    assert int(java.version().split(".")[0]) >= java.OLDEST


def test_another_java_can_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """CLICKREEL_JAVA_HOME wins over the wheel."""
    path = program(tmp_path, "echo 'openjdk version \"25.0.1\" 2025-10-21' >&2")
    monkeypatch.setenv("CLICKREEL_JAVA_HOME", str(tmp_path))
    assert java.java() == path
    assert java.version() == "25.0.1"


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("echo 'openjdk version \"17.0.9\" 2023-10-17' >&2", "is 17.0.9, and 21 or newer is needed"),
        ("echo 'openjdk version \"1.8.0_292\"' >&2", "is 1.8.0_292, and 21 or newer is needed"),
        ("echo 'libjli.so: cannot open shared object file' >&2; exit 127", "does not run: libjli.so"),
        ("exit 1", "does not run: exit code 1"),
    ],
)
def test_a_java_that_cannot_serve_is_said_with_its_mend(tmp_path: Path, script: str, message: str) -> None:
    """Old, broken, silent."""
    with pytest.raises(MissingError, match=message) as caught:
        java.version(program(tmp_path, script))
    assert "CLICKREEL_JAVA_HOME" in caught.value.hint


def test_a_java_home_without_java_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The path at fault is named."""
    monkeypatch.setenv("CLICKREEL_JAVA_HOME", str(tmp_path))
    with pytest.raises(MissingError, match=f"there is no Java at {tmp_path}"):
        java.java()


def test_a_port_is_remembered_and_given_up_when_taken(tmp_path: Path) -> None:
    """Addresses survive down and up, unless somebody else came in between."""
    home = Home(tmp_path / "home")
    home.make()
    port = ports.take(home, "kafka")
    assert ports.take(home, "kafka") == port
    assert ports.take(home, "registry") != port
    with socket.socket() as other:
        other.bind((ports.HOST, port))
        other.listen()
        assert ports.listening(port)
        assert ports.take(home, "kafka") != port


def test_a_fixed_port_that_is_taken_is_refused(tmp_path: Path) -> None:
    """The user asked for this one: another would be a surprise."""
    home = Home(tmp_path / "home")
    home.make()
    with socket.socket() as other:
        other.bind((ports.HOST, 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(MissingError, match=f"port {port} for kafka is taken") as caught:
            ports.take(home, "kafka", port)
    assert "CLICKREEL_LOCAL_KAFKA_PORT" in caught.value.hint
    assert ports.take(home, "kafka", port) == port


def test_nothing_answers_where_nothing_listens() -> None:
    """Port 9 (discard) has no server here."""
    assert not ports.answers("http://127.0.0.1:9/ping")


def test_a_home_is_its_owners_alone(tmp_path: Path) -> None:
    """Messages and credentials of a profile live there."""
    home = Home(tmp_path / "home")
    home.make()
    assert stat.S_IMODE(home.path.stat().st_mode) == 0o700


def test_a_home_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    """A file where the folder should be."""
    (tmp_path / "home").write_text("in the way")
    with pytest.raises(MissingError, match="cannot write the home"):
        Home(tmp_path / "home").make()


def test_one_process_at_a_time_starts_or_stops(tmp_path: Path) -> None:
    """The second waits, then says why it gave up."""
    home = Home(tmp_path / "home")
    with (
        home.locked(),
        pytest.raises(UnreachableError, match="another clickreel is starting or stopping"),
        home.locked(wait_s=0.2),
    ):
        pass
    with home.locked(wait_s=0.2), home.locked(wait_s=0.2, reentrant=True):
        pass


def test_data_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    """An older program could read it wrongly; a newer one may take it over."""
    keep_version(tmp_path, "kafka", "4.3.1")
    keep_version(tmp_path, "kafka", "4.10.0")
    with pytest.raises(
        MissingError, match=r"was written by version 4\.10\.0, and this clickreel has 4\.3\.1"
    ) as caught:
        keep_version(tmp_path, "kafka", "4.3.1")
    assert "down --purge" in caught.value.hint
    assert (tmp_path / "VERSION").read_text() == "4.10.0\n"


def test_a_home_has_one_token_that_only_its_owner_can_read(tmp_path: Path) -> None:
    """Made at first use, the same ever after, another one in another home."""
    home, other = Home(tmp_path / "home"), Home(tmp_path / "other")
    token = home.token()
    assert home.token() == Home(home.path).token() == token
    assert len(token) == 32
    assert other.token() != token
    assert stat.S_IMODE(home.token_file.stat().st_mode) == 0o600
