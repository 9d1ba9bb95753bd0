"""The film dimension: ``ref_dim_film``, filled as a whole, and the dictionary over it."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

from clickreel.simulate import films
from clickreel.simulate.films import Catalogue
from clickreel.warehouse.client import Client

TABLE = "ref_dim_film"
DICTIONARY = "dvd_films"


def catalogue(csv: Path | None = None, *, count: int = 1000, seed: int = 1) -> Catalogue:
    """The films of a CSV file, or invented ones."""
    return films.read_csv(csv) if csv is not None else films.invent(count, seed)


def load(client: Client, catalogue: Catalogue) -> int:
    """Replace the films.

    Readers see the films of before until the last row is in: a load is one insert, and the newest load is the one that counts.

    Returns:
        How many films there are now.
    """
    now = dt.datetime.now(dt.UTC)
    columns = ("film_id", "film_title", "release_year", "length_min", "rating", "categories", "loaded_at")
    rows = zip(
        catalogue.film_id.tolist(),
        catalogue.title,
        catalogue.year.tolist(),
        catalogue.length.tolist(),
        catalogue.rating,
        map(list, catalogue.categories),
        [now] * len(catalogue),
        strict=True,
    )
    client.insert(TABLE, columns, list(rows))
    client.command(f"SYSTEM RELOAD DICTIONARY {DICTIONARY}")
    return len(catalogue)
