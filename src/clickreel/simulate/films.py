"""The catalogue: which films there are. Invented from a seed here; :mod:`.films_csv` reads the user's own."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clickreel.errors import UsageError
from clickreel.simulate.draws import Purpose, child, draw, root

CATEGORIES = (
    "Action", "Adventure", "Animation", "Comedy", "Crime", "Documentary", "Drama", "Family",
    "Fantasy", "Foreign", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller",
)  # fmt: skip
RATINGS = ("G", "PG", "PG-13", "R", "NC-17")
FILMS_MAX = 100_000

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
        rental_days: For how many days each is lent, 0 where it is not known; empty when no film's is.
    """

    film_id: NDArray[np.int32]
    title: tuple[str, ...]
    year: NDArray[np.int16]
    length: NDArray[np.int16]
    rating: tuple[str, ...]
    categories: tuple[tuple[str, ...], ...]
    rental_days: tuple[int, ...] = ()

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
