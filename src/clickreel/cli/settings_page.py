"""The page of settings: every field of every stage, from the dataclasses that hold them."""

from __future__ import annotations

import dataclasses
from typing import Any

from clickreel.flink.settings import FlinkSettings
from clickreel.ingest.settings import IngestSettings
from clickreel.local.clickhouse.settings import ClickHouseSettings
from clickreel.local.settings import LocalSettings
from clickreel.log_setup import LogSettings
from clickreel.settings import variable
from clickreel.simulate.settings import WorldSettings
from clickreel.stream.produce_request import ProducerSettings
from clickreel.stream.topic_settings import TopicSettings

# By the table of the project file, in the order of the data's path.
SECTIONS: dict[str, type[Any]] = {
    "world": WorldSettings,
    "topic": TopicSettings,
    "producer": ProducerSettings,
    "ingest": IngestSettings,
    "flink": FlinkSettings,
    "local": LocalSettings,
    "local_clickhouse": ClickHouseSettings,
    "log": LogSettings,
}
# What is read before any project file, or says where things are.
_PLACES = {
    "CLICKREEL_HOME": "Folder of the local stack's data and state; by default the platform's folder for a user's data.",
    "CLICKREEL_PROJECT": "The project file; by default `clickreel.toml` in the working directory, which may be absent.",
    "CLICKREEL_PROFILE": "A `client.properties`: the Kafka, registry, ClickHouse and Flink of every command; by default the local stack.",
    "CLICKREEL_CACHE": "Folder of the fetched programs of the local stack; by default the platform's cache folder.",
    "CLICKREEL_JARS": "Folder or mirror from which these programs are taken.",
    "CLICKREEL_JAVA_HOME": "A Java 21 or newer to use instead of the one that is installed with clickreel.",
    "CLICKREEL_CONSOLE_TOKEN": "The token that the console asks for, instead of one that it makes.",
    "CLICKREEL_DEBUG": "Any value: show tracebacks of errors.",
}


def page() -> str:
    """The page ``docs/reference/settings.md``."""
    lines = [
        "# Settings",
        "",
        "Written by `make docs` from the code. A value is taken from, first found wins: the option of a command, the environment variable,",
        "the table of the project file `clickreel.toml`, the default.",
        "",
    ]
    for section, settings in SECTIONS.items():
        lines += [f"## `[{section}]`", "", "| key | variable | default | meaning |", "|---|---|---|---|"]
        lines += [_row(section, field) for field in dataclasses.fields(settings) if "doc" in field.metadata]
        lines.append("")
    lines += ["## Places", "", "| variable | meaning |", "|---|---|"]
    lines += [f"| `{name}` | {meaning} |" for name, meaning in _PLACES.items()]
    return "\n".join(lines) + "\n"


def _row(section: str, field: dataclasses.Field[Any]) -> str:
    default = "" if field.default in ("", None) else f"`{_as_typed(field.default)}`"
    meaning = f"{field.metadata['doc']}{_bounds(field)}".replace("|", "\\|").replace("\n", " ")
    return f"| `{field.name}` | `{variable(section, field)}` | {default} | {meaning} |"


def _as_typed(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


def _bounds(field: dataclasses.Field[Any]) -> str:
    if field.metadata["choices"]:
        return f" One of: {', '.join(f'`{choice}`' for choice in field.metadata['choices'] if choice)}."
    low, high = field.metadata["minimum"], field.metadata["maximum"]
    limits = [f"{word} {bound:,g}" for word, bound in (("at least", low), ("at most", high)) if bound is not None]
    return f" Allowed: {', '.join(limits)}." if limits else ""
