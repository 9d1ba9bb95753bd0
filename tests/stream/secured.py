"""A Kafka that asks for credentials: SASL/PLAIN with and without TLS, for the tests of profiles."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from confluent_kafka.admin import AdminClient

from clickreel.local import jars, java

USER, PASSWORD = "KEY-1", "s3cret=#value"


@dataclass(frozen=True)
class Secured:
    """Addresses of one broker.

    Attributes:
        plain: Without credentials (``PLAINTEXT``).
        sasl: ``SASL_PLAINTEXT``.
        tls: ``SASL_SSL``.
        certificate: The authority that signed its certificate: itself.
    """

    plain: str
    sasl: str
    tls: str
    certificate: Path


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def secured(folder: Path) -> Iterator[Secured]:
    """Run one."""
    plain, controller, sasl, tls = (free_port() for _ in range(4))
    certificate = _certificate(folder)
    login = f'org.apache.kafka.common.security.plain.PlainLoginModule required user_{USER}="{PASSWORD}";'
    config = folder / "server.properties"
    config.write_text(
        "\n".join(
            [
                "process.roles=broker,controller",
                "node.id=1",
                f"listeners=P://127.0.0.1:{plain},C://127.0.0.1:{controller},S://127.0.0.1:{sasl},T://127.0.0.1:{tls}",
                f"advertised.listeners=P://127.0.0.1:{plain},S://127.0.0.1:{sasl},T://127.0.0.1:{tls}",
                "listener.security.protocol.map=P:PLAINTEXT,C:PLAINTEXT,S:SASL_PLAINTEXT,T:SASL_SSL",
                "controller.listener.names=C",
                "inter.broker.listener.name=P",
                f"controller.quorum.bootstrap.servers=127.0.0.1:{controller}",
                f"log.dirs={folder / 'data'}",
                "offsets.topic.replication.factor=1",
                "offsets.topic.num.partitions=1",
                "transaction.state.log.replication.factor=1",
                "transaction.state.log.min.isr=1",
                "group.initial.rebalance.delay.ms=0",
                "sasl.enabled.mechanisms=PLAIN",
                f"listener.name.s.plain.sasl.jaas.config={login}",
                f"listener.name.t.plain.sasl.jaas.config={login}",
                "listener.name.t.ssl.keystore.type=PEM",
                f"listener.name.t.ssl.keystore.location={folder / 'broker.pem'}",
            ]
        ),
        encoding="utf-8",
    )
    with run_kafka(folder, config, f"127.0.0.1:{plain}"):
        yield Secured(f"127.0.0.1:{plain}", f"127.0.0.1:{sasl}", f"127.0.0.1:{tls}", certificate)


@contextlib.contextmanager
def run_kafka(folder: Path, config: Path, address: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a broker of a configuration, and wait until it answers at an address."""
    command = [str(java.java()), "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
    command += ["-cp", ":".join(str(path) for path in jars.classpath("kafka"))]
    format_ = ["kafka.tools.StorageTool", "format", "--standalone", "-t", "AAAAAAAAAAAAAAAAAAAAAQ", "-c", str(config)]
    with (folder / "kafka.log").open("wb") as log:
        subprocess.run([*command, *format_], check=True, stdout=log, stderr=log)
        process = subprocess.Popen([*command, "kafka.Kafka", str(config)], stdout=log, stderr=log)
        try:
            _await(address, process)
            yield process
        finally:
            process.kill()
            process.wait()


def _certificate(folder: Path) -> Path:
    openssl = shutil.which("openssl")
    assert openssl, "openssl makes the broker's certificate"
    key, certificate = folder / "key.pem", folder / "cert.pem"
    names = "subjectAltName=DNS:localhost,IP:127.0.0.1"
    request = [
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=localhost",
        "-addext",
        names,
    ]
    subprocess.run([openssl, *request, "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True)
    (folder / "broker.pem").write_bytes(key.read_bytes() + certificate.read_bytes())
    return certificate


def _await(address: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 180
    admin = AdminClient({"bootstrap.servers": address, "log_level": 0})
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(Exception):
            admin.list_topics(timeout=1)
            return
    raise AssertionError("the Kafka did not start; see its kafka.log")
