"""The film dimension: ``dvd_films_loaded``, filled as a whole; the dictionary and ``ref_dim_film`` over it."""

from __future__ import annotations

import datetime as dt
import uuid
from pathlib import Path

from clickreel.simulate import films, films_csv
from clickreel.simulate.films import Catalogue
from clickreel.warehouse.client import Client
from clickreel.warehouse.migrate import migrations

TABLE = "dvd_films_loaded"
DICTIONARY = "dvd_films"


def catalogue(csv: Path | None = None, *, count: int = 1000, seed: int = 1) -> Catalogue:
    """The films of a CSV file, or invented ones."""
    return films_csv.read_csv(csv) if csv is not None else films.invent(count, seed)


def load(client: Client, catalogue: Catalogue, *, credentials: str = "") -> int:
    """Replace the films.

    Readers see the films of before until all of the new ones are there, then these: never both, so a join meets each film once.

    Args:
        client: The database.
        catalogue: The films.
        credentials: See :func:`clickreel.warehouse.migrate.migrate`; for a dictionary that somebody has dropped and that is made again.

    Returns:
        How many films there are now.
    """
    now = dt.datetime.now(dt.UTC)
    columns = (
        "film_id",
        "film_title",
        "release_year",
        "length_min",
        "rating",
        "rental_duration",
        "categories",
        "loaded_at",
    )
    rows = zip(
        catalogue.film_id.tolist(),
        catalogue.title,
        catalogue.year.tolist(),
        catalogue.length.tolist(),
        catalogue.rating,
        catalogue.rental_days or [0] * len(catalogue),
        map(list, catalogue.categories),
        [now] * len(catalogue),
        strict=True,
    )
    staging = f"{TABLE}_{uuid.uuid4().hex[:12]}"
    client.command(f"CREATE TABLE {staging} AS {TABLE}")
    try:
        client.insert(staging, columns, list(rows))
        client.command(f"ALTER TABLE {TABLE} REPLACE PARTITION tuple() FROM {staging}")
    finally:
        client.command(f"DROP TABLE {staging}")
    if not int(client.command(f"EXISTS DICTIONARY {DICTIONARY}")):
        restore_dictionary(client, credentials)
    client.command(f"SYSTEM RELOAD DICTIONARY {DICTIONARY}")
    return len(catalogue)


def restore_dictionary(client: Client, credentials: str = "") -> None:
    """Make the dictionary as the migrations made it."""
    statements = [one for migration in migrations() for one in migration.statements(client.database, credentials)]
    client.command([one for one in statements if one.startswith(f"CREATE OR REPLACE DICTIONARY {DICTIONARY}")][-1])
