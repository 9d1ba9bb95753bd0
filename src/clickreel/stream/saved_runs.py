"""What was produced from this machine, in ``<home>/runs/<run>.json``: so that nobody has to repeat a run's settings to verify it.

A convenience and nothing else: where a run stands is read from the topic. This is the one way from a run's name to its world and films.
"""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clickreel.errors import UsageError
from clickreel.json_files import read_json, write_json
from clickreel.simulate.films import Catalogue, invent
from clickreel.simulate.films_csv import read_csv
from clickreel.simulate.settings import MODEL_VERSION, WorldSettings
from clickreel.simulate.world import World
from clickreel.stream.produce_request import ProduceStats

FOLDER = "runs"


@dataclass(frozen=True, slots=True)
class SavedRun:
    """A run that was produced from this machine.

    Attributes:
        run: Its name.
        run_tag: The 32 bits that stand for the name in every event id.
        topic: The topic it was produced into.
        start_ms: Event time of its first event, milliseconds since the Unix epoch.
        partitions: How many partitions the topic had when the run began; 0 when that was not written down.
        settings: The world's settings.
        model: Version of the simulator's model that made its events; 1 where that was not written down.
        saved_s: When it was produced last, seconds since the Unix epoch.
    """

    run: str
    run_tag: int
    topic: str
    start_ms: int
    partitions: int
    settings: WorldSettings
    model: int
    saved_s: float

    def films(self) -> Catalogue:
        """The films of its world.

        Raises:
            UsageError: They stand in a CSV file that cannot be read any more.
        """
        csv = self.settings.films_csv
        return read_csv(Path(csv)) if csv else invent(self.settings.films, self.settings.seed)

    def world(self) -> World:
        """Its world.

        Raises:
            UsageError: Its films cannot be read any more.
        """
        return World(dataclasses.replace(self.settings, run=self.run), self.films())


def run_path(home: Path, run: str) -> Path:
    """The file of a run; a name that could leave the folder is flattened."""
    return home / FOLDER / (re.sub(r"[^A-Za-z0-9._-]", "_", run).lstrip(".") + ".json")


def save_run(home: Path, world: World, stats: ProduceStats, profile: str = "") -> Path:
    """Write down a run's settings, and how many partitions it found when it began.

    Args:
        home: The home.
        world: The run's world.
        stats: What the producer knows of the run.
        profile: The profile that was given, for a person who reads the file.
    """
    settings = dataclasses.asdict(world.settings)
    if settings["films_csv"]:
        settings["films_csv"] = str(Path(settings["films_csv"]).absolute())
    before = load_run(home, world.run)
    same = before is not None and (before.topic, before.start_ms) == (stats.topic, stats.start_ms)
    file = run_path(home, world.run)
    file.parent.mkdir(parents=True, exist_ok=True)
    entry = {
        "run": world.run,
        "run_tag": world.run_tag,
        "topic": stats.topic,
        "start_ms": stats.start_ms,
        "partitions": (before.partitions if before is not None and same else 0) or len(stats.offsets),
        "model": MODEL_VERSION,
        "profile": profile,
        "settings": settings,
    }
    write_json(file, entry)
    return file


def load_run(home: Path, run: str) -> SavedRun | None:
    """What :func:`save_run` wrote for a run; ``None`` when this machine has not produced it."""
    return _read(run_path(home, run))


def list_runs(home: Path, topic: str | None = None) -> list[SavedRun]:
    """The runs that were produced from here, the latest first.

    Args:
        home: The home.
        topic: Only those that were produced into this topic.
    """
    found = [run for file in (home / FOLDER).glob("*.json") if (run := _read(file)) is not None]
    return sorted((run for run in found if topic in {None, run.topic}), key=lambda run: -run.saved_s)


def latest_run(home: Path, topic: str, run: str | None = None) -> SavedRun:
    """The run that was produced into a topic last.

    Args:
        home: The home.
        topic: The topic.
        run: This run and no other.

    Raises:
        UsageError: Nothing was produced from here.
    """
    found = [one for one in list_runs(home, topic) if run in {None, one.run}]
    if not found:
        raise UsageError(
            f"no run {run!r} was produced from here into {topic}"
            if run
            else f"no run was produced from here into {topic}",
            hint="give the run's settings and --from, or --foreign to compare Kafka with ClickHouse only",
        )
    return found[0]


def find_renamed(home: Path, world: World, topic: str) -> str | None:
    """The name under which an earlier version has produced the run that this world would continue; ``None`` when there is none.

    The names that versions make from the same settings may differ, and the events do not: such a run goes on under its first name.
    """
    if world.settings.run or load_run(home, world.run):
        return None
    for saved in list_runs(home, topic):
        same = saved.settings.identity() == world.settings.identity() and saved.model == MODEL_VERSION
        if same and saved.settings.run is None and saved.films().digest() == world.catalogue.digest():
            return saved.run
    return None


def _read(file: Path) -> SavedRun | None:
    entry: dict[str, Any] = read_json(file)
    try:
        saved_s = file.stat().st_mtime
        return SavedRun(
            str(entry["run"]),
            int(entry["run_tag"]),
            str(entry["topic"]),
            int(entry["start_ms"]),
            int(entry.get("partitions", 0)),
            _settings(entry["settings"]),
            int(entry.get("model", 1)),
            saved_s,
        )
    except (OSError, KeyError, TypeError, ValueError):
        return None  # not there, or not a run's file


def _settings(saved: dict[str, Any]) -> WorldSettings:
    """The world's settings of a saved run; settings that a later version has dropped are left out."""
    known = {field.name for field in dataclasses.fields(WorldSettings)}
    return WorldSettings(**{name: value for name, value in saved.items() if name in known})
