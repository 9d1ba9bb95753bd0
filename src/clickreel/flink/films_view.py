"""The catalogue of films as a view ``films`` in a session: nothing is written to Kafka, and any gateway can have it.

The rows travel inside the view, as text that is cut at read: a thousand rows of ``VALUES`` take Flink's planner four seconds, the same
films in five texts a tenth of that.
"""

from __future__ import annotations

from clickreel.simulate.films import Catalogue

VIEW = "films"
# A constant of a Java class holds 65,535 bytes: 200 films of under 200 bytes each stay far below.
_CHUNK = 200
_FIELDS = (
    "CAST(SPLIT_INDEX(line, U&'\\0009', 0) AS INT) AS film_id",
    "SPLIT_INDEX(line, U&'\\0009', 1) AS title",
    "NULLIF(CAST(SPLIT_INDEX(line, U&'\\0009', 2) AS INT), 0) AS `year`",
    "NULLIF(CAST(SPLIT_INDEX(line, U&'\\0009', 3) AS INT), 0) AS length_min",
    "NULLIF(SPLIT_INDEX(line, U&'\\0009', 4), '') AS rating",
    "SPLIT_INDEX(line, U&'\\0009', 5) AS categories",
)
COLUMNS = ("film_id", "title", "year", "length_min", "rating", "categories")


def films_view_sql(catalogue: Catalogue) -> str:
    """``CREATE TEMPORARY VIEW films``; ``categories`` is one text, the main category first.

    Args:
        catalogue: The films.
    """
    lines = [
        "\t".join(_plain(str(cell)) for cell in cells)
        for cells in zip(
            catalogue.film_id.tolist(),
            catalogue.title,
            catalogue.year.tolist(),
            catalogue.length.tolist(),
            catalogue.rating,
            map(", ".join, catalogue.categories),
            strict=True,
        )
    ]
    chunks = ["\n".join(lines[at : at + _CHUNK]) for at in range(0, len(lines), _CHUNK)]
    values = ", ".join("('" + chunk.replace("'", "''") + "')" for chunk in chunks)
    return (
        f"CREATE TEMPORARY VIEW {VIEW} AS SELECT {', '.join(_FIELDS)} FROM (VALUES {values}) AS chunks (lines)"
        " CROSS JOIN UNNEST(SPLIT(lines, U&'\\000A')) AS t (line)"
    )


def _plain(cell: str) -> str:
    """Without the two signs that separate."""
    return cell.replace("\t", " ").replace("\n", " ")
