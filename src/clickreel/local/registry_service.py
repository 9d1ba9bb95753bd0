"""Service ``registry``: Apicurio Registry, which speaks the schema registry's API that Kafka's clients use.

Its process is :mod:`clickreel.local.registry_process`, which starts Java with the command line made here.
"""

from __future__ import annotations

import shutil
import sys
import tarfile
from pathlib import Path

from clickreel.errors import MissingError
from clickreel.local import jars, ports, service_guard
from clickreel.local.home import Home
from clickreel.local.service import JAVA_ENVIRONMENT, Launch, Service, StartContext, jvm, keep_version
from clickreel.local.settings import LocalSettings

# Where the API of Confluent's registry is served; clients take this whole address.
API = "/apis/ccompat/v7"
# Headers in which the guard says who asks, and that it is the guard.
USER_HEADER, ROLE_HEADER = "X-Clickreel-User", "X-Clickreel-Role"


def _unpacked(archive: Path) -> Path:
    """The unpacked application, in the cache beside its archive; unpacked in one step, so a half one is never used."""
    sha = next(a for a in jars.lock()["registry"]).sha256
    # Named by the archive's digest: another version never reads this one's files.
    target = jars.folder().parent / "unpacked" / f"registry-{sha[:16]}"
    if (target / ".size").exists() and (target / ".size").read_text() == str(_size(target)):
        return target
    shutil.rmtree(target, ignore_errors=True)
    jars.require_space(target.parent, 3 * archive.stat().st_size)
    beside = target.with_name(f".{target.name}.part")
    shutil.rmtree(beside, ignore_errors=True)
    try:
        with tarfile.open(archive) as packed:
            packed.extractall(beside, filter="data")
    except (OSError, tarfile.TarError) as exc:
        shutil.rmtree(beside, ignore_errors=True)
        raise MissingError(f"cannot unpack {archive.name}: {exc}", hint="clickreel doctor") from exc
    (beside / ".size").write_text(str(_size(beside)))
    beside.replace(target)
    return target


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and path.name != ".size")


def command(home: Home, settings: LocalSettings, host: str, port: int) -> tuple[str, ...]:
    """The command line of Apicurio's Java process.

    Args:
        home: Where its data are.
        settings: How much memory it may take.
        host: The loopback address on which everything of it listens; clients come through the guard.
        port: Its port there.
    """
    runner = next(_unpacked(jars.classpath("registry")[0]).rglob("quarkus-run.jar"))
    properties = {
        "quarkus.http.host": host,
        "quarkus.http.port": str(port),
        # A second interface (health, metrics) that is built in, by default open to the whole network, and asks for nothing.
        "quarkus.management.host-enabled": "false",
        "apicurio.storage.kind": "sql",
        "apicurio.storage.sql.kind": "h2",
        "apicurio.datasource.url": f"jdbc:h2:file:{home.data('registry') / 'registry'}",
        "quarkus.log.level": "WARN",
        'quarkus.log.category."io.apicurio".level': "WARN",
        "quarkus.http.access-log.enabled": "false",
        "quarkus.banner.enabled": "false",
    }
    heap_mb = settings.registry_heap_mb
    return jvm(home, "registry", heap_mb=heap_mb, program=("-jar", str(runner)), properties=properties)


def access_environment(role: str) -> dict[str, str]:
    """Settings by which Apicurio answers only requests that name a role in a header, whatever their path.

    They go to it as environment variables: a process's command line can be read by every user of the machine.

    Args:
        role: The role, known to the guard alone.
    """
    return {
        "APICURIO_AUTHN_PROXY_HEADER_ENABLED": "true",
        "APICURIO_AUTHN_PROXY_HEADER_USERNAME": USER_HEADER,
        "APICURIO_AUTHN_PROXY_HEADER_GROUPS": ROLE_HEADER,
        "QUARKUS_HTTP_AUTH_POLICY_GUARD_ROLES_ALLOWED": role,
        "QUARKUS_HTTP_AUTH_PERMISSION_GUARD_PATHS": "/*",
        "QUARKUS_HTTP_AUTH_PERMISSION_GUARD_POLICY": "guard",
    }


def _launch(where: StartContext) -> Launch:
    home, version = where.home, jars.version("registry")
    port = ports.take(home, "registry", where.settings.registry_port)
    keep_version(home.data("registry"), "registry", version)
    _unpacked(jars.classpath("registry")[0])
    return Launch(
        (sys.executable, "-m", "clickreel.local.registry_process", str(port)),
        address=f"http://{ports.HOST}:{port}{API}",
        env=JAVA_ENVIRONMENT,
        version=version,
    )


def _answers(address: str) -> bool:
    return ports.answers(address.removesuffix(API) + service_guard.READY_PATH)


REGISTRY = Service("registry", _launch, _answers, jars=("registry",))
