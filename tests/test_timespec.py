"""Times and spans as people write them."""

from __future__ import annotations

import pytest

from clickreel import timespec
from clickreel.errors import UsageError

NOW = 1_764_000_000_000  # 2025-11-24 16:00:00 UTC


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("14d", 14 * 86_400_000),
        ("1.5h", 5_400_000),
        ("90 m", 5_400_000),
        ("1d12h", 129_600_000),
        ("250ms", 250),
        ("2W", 1_209_600_000),
    ],
)
def test_spans(text: str, ms: int) -> None:
    """Units from milliseconds to weeks, one or several."""
    assert timespec.span_ms(text) == ms


@pytest.mark.parametrize("text", ["", "14", "d", "14 fortnights", "0d", "-3d", "1h?"])
def test_what_is_no_span_is_refused_with_the_forms(text: str) -> None:
    """The message says which option it was."""
    with pytest.raises(UsageError, match="--retention is"):
        timespec.span_ms(text, "--retention")


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("now", NOW),
        ("6h", NOW - 21_600_000),
        ("2025-11-24T16:00", NOW),
        ("2025-11-24 16:00:00.000", NOW),
        ("2025-11-24T18:00+02:00", NOW),
        ("2025-11-24T16:00:00Z", NOW),
        ("1764000000000", NOW),
        ("2025-11-24", NOW - 16 * 3_600_000),
    ],
)
def test_instants(text: str, ms: int) -> None:
    """Relative, ISO (UTC unless it says otherwise), and milliseconds since 1970."""
    assert timespec.instant_ms(text, NOW) == ms


@pytest.mark.parametrize("text", ["yesterday", "2025-13-01", "12", ""])
def test_what_is_no_instant_is_refused(text: str) -> None:
    """A small number is an offset to some and a year to others: refused."""
    with pytest.raises(UsageError, match="--from is"):
        timespec.instant_ms(text, NOW, "--from")


def test_instants_and_spans_read_well() -> None:
    """What is printed can be read back."""
    assert timespec.format_instant(NOW + 5) == "2025-11-24 16:00:00.005"
    assert timespec.instant_ms(timespec.format_instant(NOW + 5), 0) == NOW + 5
    assert [timespec.format_duration(ms) for ms in (3_200, 840_000, 23_400_000, 1_209_600_000)] == [
        "3.2 s",
        "14 min",
        "6.5 h",
        "14 d",
    ]


@pytest.mark.parametrize("text", ["99999999999d", "36526d", "9" * 400 + "d"])
def test_a_span_that_no_calendar_holds_is_refused_in_words(text: str) -> None:
    """Alone and as a time before now; never an overflow."""
    with pytest.raises(UsageError, match="longer than 100 years"):
        timespec.span_ms(text, "--since")
    with pytest.raises(UsageError, match="longer than 100 years"):
        timespec.instant_ms(text, NOW, "--from")


@pytest.mark.parametrize("text", ["1969-12-31", "253402300800000", "9" * 30, "100y"])
def test_a_time_outside_of_the_calendar_is_refused_in_words(text: str) -> None:
    """Kafka takes negative timestamps for something else."""
    with pytest.raises(UsageError, match="--from is"):
        timespec.instant_ms(text, NOW, "--from")


def test_an_instant_that_no_calendar_holds_is_shown_as_its_number() -> None:
    """A record's timestamp is whatever its producer wrote."""
    assert timespec.format_instant(253_402_300_800_000) == "253402300800000"
    assert timespec.format_instant(-(10**18)) == "-1000000000000000000"
