"""What was produced from this machine, in ``<home>/runs/<run>.json``: so that ``verify`` need not be told the settings again.

A convenience and nothing else: where a run stands is read from the topic.
"""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

from clickreel.simulate.settings import WorldSettings
from clickreel.simulate.world import World
from clickreel.stream.producer import ProduceStats


def path(home: Path, run: str) -> Path:
    """The file of a run; a name that could leave the folder is flattened."""
    return home / "runs" / (re.sub(r"[^A-Za-z0-9._-]", "_", run).lstrip(".") + ".json")


def save(home: Path, world: World, stats: ProduceStats, profile: str = "") -> Path:
    """Write down the settings of a run."""
    settings = dataclasses.asdict(world.settings)
    if settings["films_csv"]:
        settings["films_csv"] = str(Path(settings["films_csv"]).absolute())
    entry = {
        "run": world.run,
        "run_tag": world.run_tag,
        "topic": stats.topic,
        "start_ms": stats.start_ms,
        "profile": profile,
        "settings": settings,
    }
    file = path(home, world.run)
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_suffix(".tmp")
    draft.write_text(json.dumps(entry, indent=1) + "\n", encoding="utf-8")
    draft.replace(file)
    return file


def load(home: Path, run: str) -> dict[str, Any] | None:
    """What :func:`save` wrote for a run; ``None`` when this machine has not produced it."""
    try:
        found = json.loads(path(home, run).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def settings(entry: dict[str, Any]) -> WorldSettings:
    """The world's settings of a saved run; settings that a later version has dropped are left out."""
    known = {field.name for field in dataclasses.fields(WorldSettings)}
    return WorldSettings(**{name: value for name, value in entry["settings"].items() if name in known})
