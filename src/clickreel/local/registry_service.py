"""Service ``registry``: Apicurio Registry, which speaks the schema registry's API that Kafka's clients use."""

from __future__ import annotations

import shutil
import sys
import tarfile
from pathlib import Path

from clickreel.errors import MissingError
from clickreel.local import jars, ports, service_guard
from clickreel.local.service import JAVA_ENVIRONMENT, Launch, Service, StartContext, jvm, keep_version

# Where the API of Confluent's registry is served; clients take this whole address.
API = "/apis/ccompat/v7"


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


def _launch(where: StartContext) -> Launch:
    home, version = where.home, jars.version("registry")
    port = ports.take(home, "registry", where.settings.registry_port)
    data = home.data("registry")
    keep_version(data, "registry", version)
    # Quarkus cannot tell our clients from strangers: it listens elsewhere, and the guard at the port that is known.
    hidden = service_guard.hidden_host()
    hidden_port = service_guard.free_port(hidden)
    runner = next(_unpacked(jars.classpath("registry")[0]).rglob("quarkus-run.jar"))
    properties = {
        "quarkus.http.host": hidden,
        "quarkus.http.port": str(hidden_port),
        # A second interface (health, metrics) that is built in and by default open to the whole network on a port of its own.
        "quarkus.management.host": hidden,
        "quarkus.management.port": "0",
        "apicurio.storage.kind": "sql",
        "apicurio.storage.sql.kind": "h2",
        "apicurio.datasource.url": f"jdbc:h2:file:{data / 'registry'}",
        "quarkus.log.level": "WARN",
        'quarkus.log.category."io.apicurio".level': "WARN",
        "quarkus.http.access-log.enabled": "false",
        "quarkus.banner.enabled": "false",
    }
    argv = jvm(
        home,
        "registry",
        heap_mb=where.settings.registry_heap_mb,
        program=("-jar", str(runner)),
        properties=properties,
    )
    guard = (
        *(sys.executable, "-m", "clickreel.local.service_guard", "--port", str(port)),
        *("--upstream", f"{hidden}:{hidden_port}", "--token-file", str(home.token_file), "--ready", f"{API}/subjects"),
    )
    home.token()
    return Launch(
        (*guard, "--", *argv), address=f"http://{ports.HOST}:{port}{API}", env=JAVA_ENVIRONMENT, version=version
    )


def _answers(address: str) -> bool:
    return ports.answers(address.removesuffix(API) + service_guard.READY_PATH)


REGISTRY = Service("registry", _launch, _answers, jars=("registry",))
