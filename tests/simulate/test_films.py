"""The catalogue: invented films, and the user's own."""

from pathlib import Path

import numpy as np
import pytest

from clickreel.errors import UsageError
from clickreel.simulate.films import CATEGORIES, RATINGS, invent
from clickreel.simulate.films_csv import read_csv
from clickreel.simulate.settings import WorldSettings
from clickreel.simulate.world import World
from tests.simulate.worlds import DAY_MS, MONDAY_MS


def written(folder: Path, text: str) -> Path:
    """A CSV file."""
    path = folder / "films.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_invented_films_are_complete_and_different() -> None:
    """A thousand films: ids from 1, no two titles equal, each with year, length, rating and one to three categories."""
    films = invent(1000, seed=1)
    assert films.film_id.tolist() == list(range(1, 1001))
    assert len(set(films.title)) == 1000
    assert set(films.rating) == set(RATINGS)
    assert {name for names in films.categories for name in names} == set(CATEGORIES)
    assert {len(names) for names in films.categories} <= {1, 2, 3}
    assert all(len(set(names)) == len(names) for names in films.categories)
    assert films.year.min() >= 1930
    assert 50 <= films.length.min() < films.length.max() <= 180


def test_films_follow_from_their_seed() -> None:
    """The same seed gives the same films, another seed others."""
    assert invent(50, 3).digest() == invent(50, 3).digest() != invent(50, 4).digest()


@pytest.mark.parametrize("count", [1, 2, 25_000])
def test_small_and_large_catalogues_can_be_invented(count: int) -> None:
    """Titles stay different beyond the number of combinations."""
    assert len(set(invent(count).title)) == count


@pytest.mark.parametrize("count", [0, -1, 100_001])
def test_an_impossible_number_of_films_is_refused(count: int) -> None:
    """With what is allowed."""
    with pytest.raises(UsageError) as caught:
        invent(count)
    assert "from 1 to 100,000" in caught.value.hint


def test_own_films_are_read_with_all_that_is_known(tmp_path: Path) -> None:
    """The needed columns, the optional ones under either name, others ignored, a missing category drawn from the title."""
    path = written(
        tmp_path,
        "\ufefffilm_id,film_title,year,length,rating,category,stars\n"
        '7,"Rain, Again",1999,101,PG,Drama|Crime,5\n12,Plain,,,,,\n',
    )
    films = read_csv(path)
    assert films.film_id.tolist() == [7, 12]
    assert films.title == ("Rain, Again", "Plain")
    assert films.year.tolist() == [1999, 0]
    assert films.length.tolist() == [101, 0]
    assert films.categories[0] == ("Drama", "Crime")
    assert films.categories[1][0] in CATEGORIES
    assert [row["film_title"] for row in films.rows()] == ["Rain, Again", "Plain"]


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ("x,A", "line 2: film_id is 'x'"),
        ("0,A", "line 2: film_id is '0'"),
        ("-3,A", "line 2: film_id is '-3'"),
        ("2147483648,A", "line 2: film_id is '2147483648'"),
        (",A", "line 2: film_id is empty"),
        ("1,", "line 2: film_title is empty"),
        ("1,A\n2,B\n1,C", "line 4: film_id 1 stands twice"),
        ("1,A,x", "line 2: more or fewer fields"),
        ("1", "line 2: more or fewer fields"),
        ("a,A\nb,B\nc,C\nd,D", "and 1 more"),
    ],
)
def test_a_bad_row_is_refused_with_its_line(tmp_path: Path, rows: str, told: str) -> None:
    """Nothing is skipped; the message names line, column and value."""
    with pytest.raises(UsageError) as caught:
        read_csv(written(tmp_path, f"film_id,film_title\n{rows}\n"))
    assert told in caught.value.message
    assert caught.value.exit_code == 2
    assert caught.value.hint


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "is empty"),
        ("id,name\n1,A\n", "has the columns id,name"),
        ("film_id,film_title\n", "holds no films"),
        ("film_id,film_title,year\n1,A,soon\n", "release_year is 'soon'"),
        ("film_id,film_title,length_min\n1,A,0\n", "length_min is '0'"),
        ("film_id,film_title,film_title\n1,A,B\n", "two columns are named film_title and differ"),
    ],
)
def test_a_file_that_is_no_catalogue_is_refused(tmp_path: Path, text: str, told: str) -> None:
    """In words, with what is needed."""
    with pytest.raises(UsageError, match=told):
        read_csv(written(tmp_path, text))


def test_a_file_that_is_not_there_or_no_text_is_refused(tmp_path: Path) -> None:
    """Absent, a folder, bytes that are not UTF-8."""
    with pytest.raises(UsageError, match="no file"):
        read_csv(tmp_path / "absent.csv")
    with pytest.raises(UsageError, match="cannot read"):
        read_csv(tmp_path)
    (tmp_path / "latin.csv").write_bytes(b"film_id,film_title\n1,Am\xe9lie\n")
    with pytest.raises(UsageError, match="cannot read"):
        read_csv(tmp_path / "latin.csv")


def test_a_world_shows_its_own_films_and_no_others(tmp_path: Path) -> None:
    """Ids of the user's choosing, however far apart."""
    ids = [5, 77, 1001, 2_000_000_000]
    rows = "\n".join(f"{i},Film {i}" for i in ids)
    made = World(WorldSettings(users=200), read_csv(written(tmp_path, f"film_id,film_title\n{rows}\n")))
    events = made.events(MONDAY_MS, MONDAY_MS + DAY_MS)
    assert np.unique(events.film).tolist() == ids


@pytest.mark.parametrize(
    ("text", "titles"),
    [
        ('film_id,film_title\n1,"Le\rVoyage"\n', ("Le\rVoyage",)),
        ('film_id,film_title\n1,"Two\nLines"\n2,B\n', ("Two\nLines", "B")),
        ("film_id,film_title\n1,A\x1cB\n", ("A\x1cB",)),
        ('"film_id" , "film_title"\n"1" , "A, B"\n', ("A, B",)),
        ("\ufefffilm_id;film_title;year\r\n1;Amélie;2001\r\n;;\r\n", ("Amélie",)),
        ("sep=;\r\nfilm_id;film_title\r\n1;A\r\n", ("A",)),
        ("film_id\ttitle\trating\n1\tA\tPG\n", ("A",)),
        (",film_id,film_title,release_year\n0,1,A,1990.0\n1,2,B,\n", ("A", "B")),
        ('film_id,film_title,release_year\n1,"Say \\"Ah\\"",\\N\n', ('Say "Ah"',)),
        ('film_id,film_title\n1,"Say ""Ah"""\n', ('Say "Ah"',)),
        ("film_id,film_title,plot\n1,A," + "x" * 200_000 + "\n", ("A",)),
        ("film_id,film_title\n1,A,,,\n,,,,\n", ("A",)),
    ],
    ids=[
        "carriage-return",
        "lines",
        "x1c",
        "spaces",
        "excel",
        "sep",
        "tabs",
        "pandas",
        "mysql",
        "psql",
        "long",
        "empty",
    ],
)
def test_catalogues_are_read_as_programs_write_them(tmp_path: Path, text: str, titles: tuple[str, ...]) -> None:
    """Spreadsheets, pandas, psql and MySQL; columns that are not used may hold anything."""
    path = tmp_path / "films.csv"
    path.write_bytes(text.encode())
    assert read_csv(path).title == titles
    path.write_bytes(text.removeprefix("\ufeff").encode("utf-16"))
    assert read_csv(path).title == titles
