"""The catalogue: which films there are. Invented from a seed, or the user's own from a CSV file."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clickreel.errors import UsageError
from clickreel.simulate.draws import Purpose, child, draw, root, text_key

CATEGORIES = (
    "Action", "Adventure", "Animation", "Comedy", "Crime", "Documentary", "Drama", "Family",
    "Fantasy", "Foreign", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller",
)  # fmt: skip
RATINGS = ("G", "PG", "PG-13", "R", "NC-17")
FILMS_MAX = 100_000
_ID_MAX = 2**31 - 1  # film_id is an int32 column
_ERRORS_SHOWN = 3

_MOODS = (
    "Amber", "Bitter", "Borrowed", "Broken", "Burning", "Copper", "Crooked", "Distant", "Drowned", "Electric", "Faithful", "Fallen",
    "Feral", "Foreign", "Forgotten", "Gentle", "Gilded", "Hollow", "Hungry", "Idle", "Innocent", "Iron", "Last", "Lonely", "Lucky",
    "Midnight", "Minor", "Modest", "Narrow", "Northern", "Paper", "Patient", "Perfect", "Quiet", "Restless", "Reluctant", "Salt",
    "Scarlet", "Second", "Secret", "Silent", "Silver", "Slow", "Stolen", "Stubborn", "Sunken", "Tender", "Unwritten", "Velvet", "Wild",
)  # fmt: skip
_THINGS = (
    "Account", "Afternoon", "Alibi", "Anthem", "Apprentice", "Archive", "Astronaut", "Bargain", "Bridge", "Carnival", "Cartographer",
    "Chapel", "Choir", "Clockmaker", "Coast", "Compass", "Conductor", "Detour", "Diver", "Echo", "Empire", "Engine", "Falcon", "Ferry",
    "Forecast", "Garden", "Glacier", "Guest", "Harbour", "Heir", "Horizon", "Inheritance", "Island", "Juggler", "Kingdom", "Lantern",
    "Letter", "Lighthouse", "Locksmith", "Machine", "Mountain", "Neighbour", "Orchard", "Orchestra", "Passenger", "Pharmacy", "Pilot",
    "Promise", "Quarry", "Railway", "Recipe", "River", "Saboteur", "Season", "Signal", "Sisters", "Snowfall", "Station", "Stranger",
    "Tailor", "Theatre", "Tide", "Trespass", "Umbrella", "Verdict", "Voyage", "Waltz", "Weather", "Winter", "Witness",
)  # fmt: skip


@dataclass(frozen=True)
class Catalogue:
    """The films, one entry per film in each tuple or array.

    Attributes:
        film_id: Ids, all different, from 1 up (int32[n]).
        title: Titles.
        year: Year of release; 0 where it is not known (int16[n]).
        length: Minutes; 0 where it is not known (int16[n]).
        rating: One of :data:`RATINGS`, or empty.
        categories: The categories of each film, the main one first.
    """

    film_id: NDArray[np.int32]
    title: tuple[str, ...]
    year: NDArray[np.int16]
    length: NDArray[np.int16]
    rating: tuple[str, ...]
    categories: tuple[tuple[str, ...], ...]

    def __post_init__(self) -> None:
        """Columns of one length, with at least one film."""
        assert self.film_id.dtype == np.int32
        assert len(self.film_id) == len(self.title) == len(self.categories) > 0

    def __len__(self) -> int:
        """Number of films."""
        return len(self.film_id)

    def category_names(self) -> tuple[str, ...]:
        """All categories that occur, sorted."""
        return tuple(sorted({name for names in self.categories for name in names}))

    def digest(self) -> str:
        """16 hex digits that change with any film, title or category: part of a run's name."""
        lines = zip(self.film_id.tolist(), self.title, self.categories, strict=True)
        return hashlib.sha256("\n".join(map(repr, lines)).encode()).hexdigest()[:16]

    def rows(self) -> Iterator[dict[str, object]]:
        """The films as records, for files and JSON."""
        columns = (
            self.film_id.tolist(),
            self.title,
            self.year.tolist(),
            self.length.tolist(),
            self.rating,
            self.categories,
        )
        for film_id, title, year, length, rating, categories in zip(*columns, strict=True):
            yield {
                "film_id": film_id,
                "film_title": title,
                "release_year": year or None,
                "length_min": length or None,
                "rating": rating or None,
                "categories": "|".join(categories),
            }


def invent(count: int = 1000, seed: int = 1) -> Catalogue:
    """Films that do not exist: titles are all different, one to three categories each.

    Args:
        count: How many, from 1 to 100,000.
        seed: Same seed, same films.

    Raises:
        UsageError: The count is out of range.
    """
    if not 1 <= count <= FILMS_MAX:
        raise UsageError(f"a catalogue of {count} films", hint=f"allowed: from 1 to {FILMS_MAX:,} films")
    key = child(root(seed, Purpose.FILMS), np.arange(count))
    # Newer films are more numerous: exponential age, about 14 years on average, none before 1930.
    age = np.minimum(-np.log(draw(key, 0)) * 14, 95)
    rating = np.searchsorted(np.cumsum([0.12, 0.24, 0.34, 0.25]), draw(key, 1))
    length = 60 + 110 * np.sqrt(draw(key, 2) * draw(key, 3))
    return Catalogue(
        film_id=np.arange(1, count + 1, dtype=np.int32),
        title=_titles(count, seed),
        year=(2025 - age).astype(np.int16),
        length=length.astype(np.int16),
        rating=tuple(RATINGS[code] for code in rating),
        categories=_invented_categories(key),
    )


def _titles(count: int, seed: int) -> tuple[str, ...]:
    """The first ``count`` of all combinations of a mood, a form and a thing, in a keyed order; a sequel's number after that."""
    forms = ("The {0} {1}", "{0} {1}", "A {0} {1}", "{1} of the {0} Year", "No {0} {1}", "Before the {0} {1}")
    size = len(forms) * len(_MOODS) * len(_THINGS)
    order = np.argsort(child(root(seed, Purpose.FILMS, 1), np.arange(size)), kind="stable")
    titles = []
    for number in range(count):
        part, place = divmod(number, size)
        rest, form = divmod(int(order[place]), len(forms))
        mood, thing = divmod(rest, len(_THINGS))
        title = forms[form].format(_MOODS[mood], _THINGS[thing])
        if title.startswith("A ") and title[2] in "AEIOU":
            title = "An" + title[1:]
        titles.append(title if part == 0 else f"{title} {part + 1}")
    return tuple(titles)


def _invented_categories(key: NDArray[np.uint64]) -> tuple[tuple[str, ...], ...]:
    """One to three categories; a second is usual, and neighbours in meaning come together more often than by chance."""
    akin = {"Comedy": "Romance", "Romance": "Drama", "Drama": "Foreign", "Crime": "Thriller", "Thriller": "Mystery", "Horror": "Mystery",
            "Action": "Adventure", "Adventure": "Fantasy", "Animation": "Family", "Family": "Comedy", "Sci-Fi": "Action",
            "Fantasy": "Family", "Musical": "Comedy", "Mystery": "Crime", "Foreign": "Drama", "Documentary": "Foreign"}  # fmt: skip
    first = (draw(key, 4) * len(CATEGORIES)).astype(int)
    other = (draw(key, 5) * len(CATEGORIES)).astype(int)
    how_many = draw(key, 6)
    films = []
    for main, extra, u in zip(first, other, how_many, strict=True):
        names = [CATEGORIES[main]]
        if u > 0.35:
            names.append(akin[names[0]])
        if u > 0.8 and CATEGORIES[extra] not in names:
            names.append(CATEGORIES[extra])
        films.append(tuple(names))
    return tuple(films)


def read_csv(path: Path) -> Catalogue:
    """Read the user's own films.

    The file has a header line. ``film_id`` and ``film_title`` (or ``title``) are needed; ``release_year`` (or ``year``), ``length_min``
    (or ``length``), ``rating`` and ``categories`` (or ``category``; several are parted by ``|`` or ``;``) are used when present, other columns are ignored.
    A film without a category gets one drawn from its title, so that it has a place on a shelf.

    Raises:
        UsageError: The file cannot be read or a row is bad. Nothing is skipped: the message names the lines at fault and how many there are.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise UsageError(
            f"no file {path}", hint="--films takes a CSV file with the columns film_id,film_title"
        ) from None
    except (OSError, UnicodeDecodeError) as exc:
        raise UsageError(f"cannot read {path}: {exc}", hint="--films takes a CSV file in UTF-8") from exc
    reader = csv.DictReader(text.splitlines(), strict=True)
    header = [name.strip().lower() for name in reader.fieldnames or []]
    reader.fieldnames = header
    if "film_id" not in header or not {"film_title", "title"} & set(header):
        found = f"has the columns {','.join(header)}" if header else "is empty"
        raise UsageError(f"{path} {found}", hint="film_id and film_title are needed in the header line")
    faults: list[str] = []
    films: dict[int, dict[str, str]] = {}
    try:
        for row in reader:
            fault = _fault(row, films)
            if fault:
                faults.append(f"line {reader.line_num}: {fault}")
            else:
                films[int(row["film_id"])] = row
    except csv.Error as exc:
        faults.append(f"line {reader.line_num}: {exc}")
    if faults:
        shown = "; ".join(faults[:_ERRORS_SHOWN])
        more = f"; and {len(faults) - _ERRORS_SHOWN} more" if len(faults) > _ERRORS_SHOWN else ""
        raise UsageError(f"{path} {shown}{more}", hint="mend these lines or take them out")
    if not films:
        raise UsageError(f"{path} holds no films", hint="one line per film after the header: film_id,film_title")
    if len(films) > FILMS_MAX:
        raise UsageError(f"{path} holds {len(films):,} films", hint=f"allowed: at most {FILMS_MAX:,}")
    return _own_catalogue(films)


def _fault(row: dict[str, str], films: dict[int, dict[str, str]]) -> str:
    """What is wrong with a row; empty when nothing is."""
    if None in row or None in row.values():
        return "more or fewer fields than the header line"
    text = row["film_id"].strip()
    if not text:
        return "film_id is empty"
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= _ID_MAX):
        return f"film_id is {text!r}, not a whole number from 1 to {_ID_MAX}"
    if int(text) in films:
        return f"film_id {text} stands twice"
    if not _title(row):
        return "film_title is empty"
    for names, low, high in ((("release_year", "year"), 1870, 2200), (("length_min", "length"), 1, 2000)):
        value = _field(row, *names)
        if value and not (value.isascii() and value.isdigit() and low <= int(value) <= high):
            return f"{names[0]} is {value!r}, not a whole number from {low} to {high}"
    return ""


def _field(row: dict[str, str], *names: str) -> str:
    return next((row[name].strip() for name in names if row.get(name)), "")


def _title(row: dict[str, str]) -> str:
    return _field(row, "film_title", "title")


def _own_catalogue(films: dict[int, dict[str, str]]) -> Catalogue:
    rows = list(films.values())
    categories = []
    for row in rows:
        names = [name.strip() for name in _field(row, "categories", "category").replace(";", "|").split("|")]
        names = [name for name in names if name] or [CATEGORIES[text_key(_title(row)) % len(CATEGORIES)]]
        categories.append(tuple(dict.fromkeys(names)))
    return Catalogue(
        film_id=np.array(list(films), np.int32),
        title=tuple(_title(row) for row in rows),
        year=np.array([int(_field(row, "release_year", "year") or 0) for row in rows], np.int16),
        length=np.array([int(_field(row, "length_min", "length") or 0) for row in rows], np.int16),
        rating=tuple(_field(row, "rating") for row in rows),
        categories=tuple(categories),
    )
