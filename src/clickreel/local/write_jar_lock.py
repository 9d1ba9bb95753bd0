"""``python -m clickreel.local.write_jar_lock``: write the lock of jars anew (``make jars-lock``).

For each group the roots below are resolved to all that they need at run time, every file is fetched, and coordinate, size and SHA-256
are written to ``jars.lock.json``. Run it after a version below was changed, and read the difference before it is committed.
"""

from __future__ import annotations

import hashlib
import json
import sys
import tempfile
from pathlib import Path

from clickreel.local.jars import Artifact

KAFKA = "4.3.1"
REGISTRY = "3.3.3"
FLINK = "2.2.1"
# The version that Kafka's own dependency list names for log4j-api and -core: the binding must be of the same one.
LOG4J = "2.25.4"

# First of a group: the artifact whose version is the group's version.
ROOTS: dict[str, tuple[str, ...]] = {
    "kafka": (
        f"org.apache.kafka:kafka_2.13:{KAFKA}",
        f"org.apache.logging.log4j:log4j-core:{LOG4J}",
        f"org.apache.logging.log4j:log4j-slf4j-impl:{LOG4J}",
    ),
    # Kafka's own load generator, only for `clickreel bench produce`.
    "kafka-tools": (
        f"org.apache.kafka:kafka-tools:{KAFKA}",
        f"org.apache.logging.log4j:log4j-slf4j-impl:{LOG4J}",
    ),
    "registry": (f"io.apicurio:apicurio-registry-app:tar.gz:all:{REGISTRY}",),
    "flink": (
        f"org.apache.flink:flink-sql-gateway:{FLINK}",
        f"org.apache.flink:flink-clients:{FLINK}",
        f"org.apache.flink:flink-table-planner-loader:{FLINK}",
        f"org.apache.flink:flink-table-runtime:{FLINK}",
        f"org.apache.flink:flink-table-api-java-bridge:{FLINK}",
        f"org.apache.flink:flink-connector-base:{FLINK}",
        f"org.apache.flink:flink-json:{FLINK}",
        "org.apache.flink:flink-sql-connector-kafka:5.0.0-2.2",
        f"org.apache.logging.log4j:log4j-core:{LOG4J}",
        f"org.apache.logging.log4j:log4j-slf4j-impl:{LOG4J}",
    ),
}


def write(target: Path) -> None:
    """Resolve, fetch, measure, and replace the lock.

    Args:
        target: The lock file.
    """
    from jgo.maven import MavenContext

    groups: dict[str, list[dict[str, object]]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        maven = MavenContext(repo_cache=Path(scratch), timeout=60)
        for group, roots in ROOTS.items():
            groups[group] = [_measured(maven, artifact) for artifact in _resolved(maven, roots)]
            size = sum(int(str(row["size"])) for row in groups[group])
            sys.stderr.write(f"{group}: {len(groups[group])} files, {size / 1e6:.0f} MB\n")
    about = "Written by `make jars-lock` (clickreel.local.write_jar_lock). Do not edit."
    target.write_text(json.dumps({"about": about, "groups": groups}, indent=1) + "\n", encoding="utf-8")


def _resolved(maven: object, roots: tuple[str, ...]) -> list[Artifact]:
    """The roots, then all that they need at run time."""
    artifacts = [Artifact.parse(root) for root in roots]
    if artifacts[0].kind != "jar":  # an application archive carries what it needs
        return artifacts
    seen: dict[tuple[str, str, str], Artifact] = {}
    for root in artifacts:
        # One root at a time: resolved together, the version list of one (log4j's names an old kafka-clients) governs all others.
        inputs, needed = maven.resolver.resolve(  # type: ignore[attr-defined]
            [maven.create_dependency(f"{root.group}:{root.name}:{root.version}")]  # type: ignore[attr-defined]
        )
        for found in [*inputs, *needed]:
            if found.scope in (None, "compile", "runtime"):
                artifact = Artifact(found.groupId, found.artifactId, found.version, found.type, found.classifier or "")
                seen.setdefault((artifact.group, artifact.name, artifact.classifier), artifact)
    return list(seen.values())


def _measured(maven: object, artifact: Artifact) -> dict[str, object]:
    component = maven.project(artifact.group, artifact.name).at_version(artifact.version)  # type: ignore[attr-defined]
    path = Path(component.artifact(artifact.classifier, artifact.kind).resolve())
    data = path.read_bytes()
    return {"coordinate": artifact.coordinate, "size": len(data), "sha256": hashlib.sha256(data).hexdigest()}


if __name__ == "__main__":
    write(Path(__file__).with_name("jars.lock.json"))
