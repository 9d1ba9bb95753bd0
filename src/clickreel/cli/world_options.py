"""The options that tell which world is meant, and the world they give."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from clickreel.simulate.world import World

Seed = Annotated[
    int | None, typer.Option("--seed", help="The same seed and settings give the same events. [default: 1]")
]
Rate = Annotated[float | None, typer.Option("--rate", help="Constant rate, events per second.")]
MeanRate = Annotated[
    float | None,
    typer.Option(
        "--mean-rate",
        help="Mean rate, events per second, varying over the day and week. [default: 2, with 7,000 people]",
    ),
]
Users = Annotated[int | None, typer.Option("--users", help="Number of users. [default: 7,000, or what the rate needs]")]
Films = Annotated[
    str | None,
    typer.Option(
        "--films", help="CSV of your own films (film_id,film_title), or how many to generate. [default: 1000]"
    ),
]
Run = Annotated[str | None, typer.Option("--run", help="Name of the run. [default: derived from seed and settings]")]
Scenario = Annotated[str | None, typer.Option("--scenario", help="A named scenario: calm, viral-film, tiny, ...")]
Flaws = Annotated[str | None, typer.Option("--flaws", help="Deliberate defects: late=2%,duplicate=0.5%,malformed=0.1%")]


def world(**flags: Any) -> World:
    """The world of the given options; what is not given comes from environment, project file and default.

    Args:
        **flags: ``films`` as given to ``--films``, the rest by the names of the fields of ``WorldSettings``; ``None`` is not given.

    Raises:
        UsageError: The settings are impossible, or the films cannot be read.
    """
    from clickreel.simulate import scenarios
    from clickreel.simulate.films_csv import read_csv
    from clickreel.simulate.world import World

    films = flags.pop("films", None)
    if films is not None:
        flags["films" if films.isdigit() else "films_csv"] = int(films) if films.isdigit() else films
    found = scenarios.load(flags)
    return World(found, read_csv(Path(found.films_csv)) if found.films_csv else None)
