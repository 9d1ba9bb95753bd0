"""Service ``flink``: Flink's SQL gateway with a small cluster of its own in the same Java process, started by the first statement.

Its process is :mod:`clickreel.local.flink_process`, which starts Java with the command line made here.
"""

from __future__ import annotations

import sys
from importlib.resources import files
from pathlib import Path

from clickreel.flink.flink_cluster import CLUSTER_PATH_OPTION
from clickreel.local import jars, ports, service_guard
from clickreel.local.home import Home
from clickreel.local.loopback_certificate import STORE_PASSWORD, LoopbackCertificate
from clickreel.local.service import Launch, Service, StartContext, jvm
from clickreel.local.settings import LocalSettings

MAIN = "org.apache.flink.table.gateway.SqlGateway"
# Flink's serializers reach into these packages of Java 21; the list is the one in Flink's own default configuration.
_OPENED = (
    "java.base/java.lang",
    "java.base/java.lang.invoke",
    "java.base/java.lang.reflect",
    "java.base/java.math",
    "java.base/java.net",
    "java.base/java.io",
    "java.base/java.nio",
    "java.base/java.text",
    "java.base/java.time",
    "java.base/java.util",
    "java.base/java.util.concurrent",
    "java.base/java.util.concurrent.atomic",
    "java.base/java.util.concurrent.locks",
    "java.base/sun.net.util",
    "java.base/sun.nio.ch",
)
_EXPORTED = ("java.base/sun.net.util", "java.management/sun.management")


# Below this path the guard serves the cluster's own REST interface.
CLUSTER_PATH = "/cluster"


def configuration(
    *, host: str, gateway_port: int, cluster_port: int, scratch: Path, slots: int, certificate: LoopbackCertificate
) -> dict[str, str]:
    """Flink's configuration: everything on loopback, every temporary file in one folder, memory bounded.

    Args:
        host: The loopback address on which everything listens; our clients come through the guard.
        gateway_port: Where the SQL gateway listens.
        cluster_port: Where the cluster's own REST interface listens (metrics, jobs).
        scratch: Folder of all temporary files.
        slots: Statements that can run at once, the keep-alive job included.
        certificate: Asked of whoever connects, to either REST interface or to the cluster's store of files.
    """
    return {
        **_certified("rest", certificate),
        "security.ssl.rest.authentication-enabled": "true",
        # Flink's own list is for keys of the RSA kind.
        "security.ssl.algorithms": "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
        **_certified("internal", certificate),
        # The cluster's parts share this process: what they say to each other passes no port, and these two cost 3 s of processor time.
        "pekko.ssl.enabled": "false",
        "taskmanager.data.ssl.enabled": "false",
        CLUSTER_PATH_OPTION: CLUSTER_PATH,
        # Flink lets the pages of every origin read its answers; no page needs them.
        "web.access-control-allow-origin": f"http://{host}",
        # Statements go to the cluster that the keep-alive job holds up, not to a new one each: 1 s less a statement.
        "execution.target": "remote",
        "rest.address": host,
        "rest.bind-address": host,
        "rest.port": str(cluster_port),
        "rest.bind-port": str(cluster_port),
        "sql-gateway.endpoint.rest.address": host,
        "sql-gateway.endpoint.rest.bind-address": host,
        "sql-gateway.endpoint.rest.port": str(gateway_port),
        "sql-gateway.endpoint.rest.bind-port": str(gateway_port),
        "sql-gateway.worker.threads.min": "2",
        "jobmanager.bind-host": host,
        # The rows of a statement come over a socket that the in-process worker opens here and announces as localhost: bound to another
        # address, no row ever arrives.
        "taskmanager.bind-host": "127.0.0.1",
        "taskmanager.host": "127.0.0.1",
        "taskmanager.numberOfTaskSlots": str(slots),
        "taskmanager.memory.managed.size": "64m",
        "taskmanager.memory.network.min": "96m",
        "taskmanager.memory.network.max": "96m",
        "io.tmp.dirs": str(scratch),
        "web.submit.enable": "false",
        "table.local-time-zone": "UTC",
        "parallelism.default": "1",
        # Without these two the cluster remembers every statement of the last hour, and memory grows by each.
        "jobstore.max-capacity": "8",
        "jobstore.expiration-time": "300",
        # A statement for which there is no slot must say so soon (default: 5 min).
        "slot.request.timeout": "10000",
        # How old a metric may be; `why no rows` reads them (default: 10 s).
        "metrics.fetcher.update-interval": "1000",
        "classloader.check-leaked-classloader": "false",
        "cluster.io-pool.size": "4",
        "rest.server.numThreads": "2",
    }


def _certified(which: str, certificate: LoopbackCertificate) -> dict[str, str]:
    options = {
        "enabled": "true",
        "keystore": str(certificate.keystore),
        "keystore-type": "PKCS12",
        "keystore-password": STORE_PASSWORD,
        "key-password": STORE_PASSWORD,
        "truststore": str(certificate.keystore),
        "truststore-type": "PKCS12",
        "truststore-password": STORE_PASSWORD,
    }
    return {f"security.ssl.{which}.{name}": value for name, value in options.items()}


def command(home: Home, settings: LocalSettings, scratch: Path) -> tuple[str, ...]:
    """The command line of the gateway's Java process."""
    path = ":".join(map(str, jars.classpath("flink")))
    opened = [f"--add-opens={package}=ALL-UNNAMED" for package in _OPENED]
    exported = [f"--add-exports={package}=ALL-UNNAMED" for package in _EXPORTED]
    return jvm(
        home,
        "flink",
        heap_mb=settings.flink_heap_mb,
        properties={
            "log4j2.configurationFile": str(files("clickreel.local").joinpath("flink-log4j2.properties")),
            "log4j.shutdownHookEnabled": "false",
        },
        program=(
            # Java takes the last of two equal options. Flink, unlike Kafka, computes, so the second compiler pays; but only for what is
            # really hot. On two cores a start and its first query took 9.1 s of processor time with these thresholds, 7.7 s with the
            # first compiler alone, and 13.9 s with Java's own thresholds.
            "-XX:TieredStopAtLevel=4",
            "-XX:Tier4InvocationThreshold=50000",
            "-XX:Tier4MinInvocationThreshold=20000",
            "-XX:Tier4CompileThreshold=100000",
            "-XX:Tier4BackEdgeThreshold=400000",
            # No archive of Flink's own classes: with one the planner, which lives in a class loader of its own, fails in reflection
            # ("Class.getName() because c is null"). The archive of Java's classes stays.
            "-XX:-RecordDynamicDumpInfo",
            # The planner is loaded a second time by the gateway's sessions, and every statement compiles classes of its own.
            "-XX:MaxMetaspaceSize=384m",
            f"-Djava.io.tmpdir={scratch}",
            *opened,
            *exported,
            "-cp",
            path,
            MAIN,
        ),
    )


def _launch(where: StartContext) -> Launch:
    port = ports.take(where.home, "flink", where.settings.flink_port)
    return Launch(
        (sys.executable, "-m", "clickreel.local.flink_process", str(port)),
        address=f"http://{ports.HOST}:{port}",
        version=jars.version("flink"),
    )


def _answers(address: str) -> bool:
    return ports.answers(f"{address}{service_guard.READY_PATH}")


FLINK = Service("flink", _launch, _answers, jars=("flink",), reports_ready=True, restart_after_success=False)
