"""The user's own films from a CSV file, as spreadsheets, pandas, psql and MySQL write them."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from clickreel.errors import UsageError
from clickreel.foreign_text import printable
from clickreel.simulate.draws import text_key
from clickreel.simulate.films import CATEGORIES, FILMS_MAX, Catalogue

_ID_MAX = 2**31 - 1  # film_id is an int32 column
_ERRORS_SHOWN = 3
_READ = frozenset(
    [
        "film_id",
        "film_title",
        "title",
        "release_year",
        "year",
        "length_min",
        "length",
        "rating",
        "rental_duration",
        "categories",
        "category",
        "category_name",
    ]
)
_DELIMITERS = ",;\t|"
# A column that is not used may hold a poster or a plot: the module's own limit is 131,072 characters.
_FIELD_MAX = 64_000_000
# Stands behind the file's last row; a quote that is never closed swallows it.
_END = "\x03end of film catalogue"
_BYTE_ORDER_MARKS = ((b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
# How MySQL writes NULL.
_NULL = re.compile(r"(?:(?<=[,;\t|\n])|^)\\N(?=[,;\t|\r\n]|$)")


def read_csv(path: Path) -> Catalogue:
    """Read the user's own films.

    The file has a header line. ``film_id`` and ``film_title`` (or ``title``) are needed; ``release_year`` (or ``year``), ``length_min``
    (or ``length``), ``rating``, ``rental_duration`` and ``categories`` (or ``category``; several are parted by ``|`` or ``;``) are used when
    present, other columns are ignored. With a column ``category_name`` a film may have a row for each of its categories. Fields are separated by commas, semicolons, tabs or bars, whatever the header line uses; UTF-8 and UTF-16. A film
    without a category gets one drawn from its title, so that it has a place on a shelf.

    Raises:
        UsageError: The file cannot be read or a row is bad. Nothing is skipped: the message names the lines at fault and how many there are.
    """
    text = _NULL.sub("", _text(path))
    if text[:4].lower() == "sep=":  # Excel's note to itself
        text = text.partition("\n")[2]
    rows = _rows(path, text)
    faults: list[str] = []
    films: dict[int, dict[str, str]] = {}
    for line, row in rows:
        fault = row if isinstance(row, str) else _fault(row, films)
        if fault:
            faults.append(f"line {line}: {fault}")
        elif isinstance(row, dict):
            film = _number(row["film_id"].strip()) or 0
            if film in films:
                films[film]["category_name"] += "|" + row["category_name"]
            else:
                films[film] = row
    if faults:
        shown = "; ".join(faults[:_ERRORS_SHOWN])
        more = f"; and {len(faults) - _ERRORS_SHOWN} more" if len(faults) > _ERRORS_SHOWN else ""
        raise UsageError(f"{path} {shown}{more}", hint="fix these lines or take them out")
    if not films:
        raise UsageError(f"{path} holds no films", hint="one line per film after the header: film_id,film_title")
    if len(films) > FILMS_MAX:
        raise UsageError(f"{path} holds {len(films):,} films", hint=f"allowed: at most {FILMS_MAX:,}")
    return _catalogue(films)


def _text(path: Path) -> str:
    try:
        data = path.read_bytes()
        encoding = next((name for mark, name in _BYTE_ORDER_MARKS if data.startswith(mark)), "utf-8-sig")
        return data.decode(encoding)
    except FileNotFoundError:
        raise UsageError(
            f"no file {path}", hint="--films takes a CSV file with the columns film_id,film_title"
        ) from None
    except (OSError, UnicodeDecodeError) as exc:
        raise UsageError(f"cannot read {path}: {exc}", hint="--films takes a CSV file in UTF-8 or UTF-16") from exc


def _rows(path: Path, text: str) -> Iterator[tuple[int, dict[str, str] | str]]:
    """The rows with their lines, by the header's names; for a row that is none, what is wrong with it.

    Raises:
        UsageError: The header line lacks a column that is needed.
    """
    delimiter, header = _header(path, text)
    # MySQL escapes quotes by a backslash, everybody else doubles them.
    escape = "\\" if '\\"' in text else None
    limit = csv.field_size_limit(_FIELD_MAX)
    try:
        # io.StringIO keeps every character: only a line feed or a carriage return outside of quotes ends a row.
        lines = io.StringIO(f"{text}\n{_END}", newline="")
        reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=True, escapechar=escape)
        next(reader)
        begins = reader.line_num + 1
        for cells in reader:
            if cells == [_END]:
                return
            if any(_END in cell for cell in cells):
                yield begins, "a quote is opened and never closed"
                return
            begins = reader.line_num + 1
            if any(cell.strip() for cell in cells):  # a spreadsheet's empty rows
                yield reader.line_num, _row(header, cells)
    except csv.Error as exc:
        yield reader.line_num, str(exc)
    finally:
        csv.field_size_limit(limit)


def _row(header: list[str], cells: list[str]) -> dict[str, str] | str:
    beyond = cells[len(header) :]
    if len(cells) < len(header) or any(cell.strip() for cell in beyond):
        return "more or fewer fields than the header line"
    row: dict[str, str] = {}
    for name, cell in zip(header, cells, strict=False):
        # A join's result may hold film_id twice, and columns that are ignored as often as it likes.
        if name in _READ and row.get(name, cell).strip() != cell.strip():
            return f"two columns are named {name} and differ"
        row[name] = cell
    return row


def _header(path: Path, text: str) -> tuple[str, list[str]]:
    """The delimiter that the header line uses, and the columns' names."""
    found: list[tuple[str, list[str]]] = []
    for delimiter in _DELIMITERS:
        first = next(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True), [])
        names = [name.strip().strip('"').strip().lower() for name in first]
        found.append((delimiter, names))
        if "film_id" in names and {"film_title", "title"} & set(names):
            return delimiter, names
    names = max((names for _, names in found), key=len)
    said = f"has the columns {printable(','.join(names), 300)}" if names else "is empty"
    raise UsageError(f"{path} {said}", hint="film_id and film_title are needed in the header line")


def _fault(row: dict[str, str], films: dict[int, dict[str, str]]) -> str:
    """What is wrong with a row; empty when nothing is."""
    text = row["film_id"].strip()
    if not text:
        return "film_id is empty"
    number = _number(text)
    if number is None or not 1 <= number <= _ID_MAX:
        return f"film_id is {printable(text, 40)!r}, not a whole number from 1 to {_ID_MAX}"
    if number in films and not _is_further_category(row, films[number]):
        return f"film_id {text} stands twice"
    if not _title(row):
        return "film_title is empty"
    for names, low, high in ((("release_year", "year"), 1870, 2200), (("length_min", "length"), 1, 2000)):
        value = _field(row, *names)
        number = _number(value)
        if value and (number is None or not low <= number <= high):
            return f"{names[0]} is {printable(value, 40)!r}, not a whole number from {low} to {high}"
    return ""


def _is_further_category(row: dict[str, str], film: dict[str, str]) -> bool:
    """Whether a row differs by its category alone: a table with a row for each film and category."""
    apart = {"category_name", "film_key"}
    return "category_name" in row and all(film[name] == value for name, value in row.items() if name not in apart)


def _number(text: str) -> int | None:
    """A whole number; pandas writes one as 1990.0 where another row of its column has none."""
    whole, _, zeros = text.partition(".")
    is_whole = whole.isascii() and whole.isdigit() and len(whole) < 20 and not zeros.strip("0")
    return int(whole) if is_whole else None


def _field(row: dict[str, str], *names: str) -> str:
    return next(
        (row[name].strip() for name in names if row.get(name, "").strip() not in {"", "NULL", "nan", "NaN"}), ""
    )


def _title(row: dict[str, str]) -> str:
    # "Nan" and "Null" are films, so a title is what it is.
    return next((row[name].strip() for name in ("film_title", "title") if row.get(name, "").strip()), "")


def _catalogue(films: dict[int, dict[str, str]]) -> Catalogue:
    rows = list(films.values())
    categories = []
    for row in rows:
        names = [
            name.strip() for name in _field(row, "categories", "category", "category_name").replace(";", "|").split("|")
        ]
        names = [name for name in names if name] or [CATEGORIES[text_key(_title(row)) % len(CATEGORIES)]]
        categories.append(tuple(dict.fromkeys(names)))
    return Catalogue(
        film_id=np.array(list(films), np.int32),
        title=tuple(_title(row) for row in rows),
        year=np.array([_number(_field(row, "release_year", "year")) or 0 for row in rows], np.int16),
        length=np.array([_number(_field(row, "length_min", "length")) or 0 for row in rows], np.int16),
        rating=tuple(_field(row, "rating") for row in rows),
        categories=tuple(categories),
        rental_days=tuple(_number(_field(row, "rental_duration")) or 0 for row in rows),
    )
