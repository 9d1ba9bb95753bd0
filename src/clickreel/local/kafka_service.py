"""Service ``kafka``: Apache Kafka, one node that is broker and controller at once (KRaft)."""

from __future__ import annotations

import base64
import os
import subprocess
import uuid
from importlib.resources import files
from pathlib import Path

from clickreel.errors import MissingError
from clickreel.local import jars, ports
from clickreel.local.service import JAVA_ENVIRONMENT, Launch, Service, StartContext, jvm, keep_version


def _properties(data: Path, port: int, controller: int) -> dict[str, str]:
    # The internal topics live on one node; `min.insync.replicas` above 1 would make them refuse every write.
    alone = ("offsets.topic", "transaction.state.log", "share.coordinator.state.topic")
    return {
        "process.roles": "broker,controller",
        "node.id": "1",
        "listeners": f"PLAINTEXT://{ports.HOST}:{port},CONTROLLER://{ports.HOST}:{controller}",
        "advertised.listeners": f"PLAINTEXT://{ports.HOST}:{port}",
        "controller.listener.names": "CONTROLLER",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "controller.quorum.bootstrap.servers": f"{ports.HOST}:{controller}",
        "log.dirs": str(data / "log"),
        **{f"{topic}.replication.factor": "1" for topic in alone},
        "transaction.state.log.min.isr": "1",
        "share.coordinator.state.topic.min.isr": "1",
        # 50 partitions of the offsets topic cost a second at the first consumer and serve nobody on one node.
        "offsets.topic.num.partitions": "4",
        "transaction.state.log.num.partitions": "4",
        "share.coordinator.state.topic.num.partitions": "4",
        "group.initial.rebalance.delay.ms": "0",
        # A misspelt topic must be an error, not a new topic.
        "auto.create.topics.enable": "false",
        "num.network.threads": "2",
        "num.io.threads": "4",
        "num.recovery.threads.per.data.dir": "2",
        "log.cleaner.dedupe.buffer.size": str(16 << 20),
        # Raised once a consumer is there; the default of 5 s delays a clean stop by as much.
        "controlled.shutdown.max.retries": "1",
        # A node that starts again after a crash waits this long for its old registration to expire (default: 9 s). Here there is no other node.
        "broker.session.timeout.ms": "3000",
        "broker.heartbeat.interval.ms": "500",
        "unstable.api.versions.enable": "false",
    }


def _launch(where: StartContext) -> Launch:
    home, version = where.home, jars.version("kafka")
    port = ports.take(home, "kafka", where.settings.kafka_port)
    controller = ports.take(home, "kafka-controller")
    data = home.data("kafka")
    keep_version(data, "kafka", version)
    file = data / "server.properties"
    lines = (f"{key}={_escaped(value)}" for key, value in _properties(data, port, controller).items())
    file.write_text("\n".join(lines) + "\n", encoding="ascii")
    path = ":".join(map(str, jars.classpath("kafka")))
    logging = {"log4j2.configurationFile": str(files("clickreel.local").joinpath("log4j2.properties"))}

    def command(heap_mb: int, *program: str) -> tuple[str, ...]:
        # The tool shares the broker's archive: it loads some of the same classes.
        return jvm(home, "kafka", heap_mb=heap_mb, program=("-cp", path, *program), properties=logging)

    if not (data / "log" / "meta.properties").exists():
        _format(data, command(128, "kafka.tools.StorageTool"), file)
    return Launch(
        argv=command(where.settings.kafka_heap_mb, "kafka.Kafka", str(file)),
        address=f"{ports.HOST}:{port}",
        env=JAVA_ENVIRONMENT,
        version=version,
    )


def _escaped(value: str) -> str:
    """A value of a properties file: Java reads such files as Latin-1, and would put the data of ``/home/zoé`` into ``/home/zoÃ©``."""
    units = memoryview(value.encode("utf-16-le")).cast("H")
    return "".join(chr(unit) if 32 <= unit < 127 and unit != 0x5C else f"\\u{unit:04x}" for unit in units)


def _format(data: Path, tool: tuple[str, ...], file: Path) -> None:
    """Give an empty data folder its cluster id."""
    # An id that begins with a dash would be taken for an option (one in 64); Kafka's own ids never do.
    cluster = "-"
    while cluster.startswith("-"):
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
    # `--standalone` makes this node the whole controller quorum.
    done = subprocess.run(
        [*tool, "format", "--standalone", "-t", cluster, "-c", str(file)],
        env={**os.environ, **JAVA_ENVIRONMENT},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        said = (
            done.stderr.strip() or done.stdout.strip() or f"{tool[0]} ended with code {done.returncode}"
        ).splitlines()[-1]
        raise MissingError(f"Kafka's data folder {data} cannot be prepared: {said}", hint="clickreel doctor")


def _answers(address: str) -> bool:
    """An answer to a metadata request: an open port alone comes seconds before the broker serves."""
    if not ports.listening(int(address.rpartition(":")[2])):
        return False
    from clickreel.stream.kafka_clients import is_serving

    return is_serving(address)


KAFKA = Service("kafka", _launch, _answers, jars=("kafka",))
