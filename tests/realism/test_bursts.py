import numpy as np
import pytest

from clickreel.audit.realism import Evidence, Ledger, timeline
from clickreel.audit.realism.burst_detection import (
    RULE,
    bursts,
    episodes,
    fade,
    first_openings,
    hourly_viewers,
    overlap,
    rises,
)
from clickreel.audit.realism.columns import DAY_MS, HOUR_MS
from clickreel.audit.realism.ledger_reader import Bursts, Flaws
from clickreel.insight.rise_detector import Openings
from tests.realism.build import stream

NO_LISTS = np.empty(0, np.int64)
NO_FLAWS = Flaws(np.empty(0, np.uint8), np.empty(0, np.uint64), np.empty(0, np.uint64), NO_LISTS)


def _bursts(*rows: tuple[int, int, int]) -> Bursts:
    film, start, end = zip(*rows, strict=True) if rows else ((), (), ())
    return Bursts(np.array(film, np.int32), np.array(start, np.int64) * HOUR_MS, np.array(end, np.int64) * HOUR_MS)


def _ledger(*rows: tuple[int, int, int]) -> Ledger:
    return Ledger(NO_LISTS.astype(np.uint32), NO_LISTS, NO_LISTS, _bursts(*rows), _bursts(), NO_FLAWS)


def _quiet(rng: np.random.Generator, hours: int = 400, films: int = 50) -> np.ndarray:
    """A day's wave over films of falling popularity, 100 detail views an hour."""
    wave = 100 * (1 + 0.8 * np.sin(2 * np.pi * np.arange(hours) / 24))
    share = np.arange(1, films + 1) ** -0.8
    return rng.poisson(np.outer(wave, share / share.sum()))


def _openings(rng: np.random.Generator, hourly: np.ndarray) -> Openings:
    """People by hour and film, each at a minute of chance."""
    hour, film = np.nonzero(hourly)
    people = hourly[hour, film]
    minute = np.repeat(hour, people) * 60 + rng.integers(0, 60, people.sum())
    cell, count = np.unique(minute * hourly.shape[1] + np.repeat(film, people), return_counts=True)
    return Openings(cell // hourly.shape[1], cell % hourly.shape[1], count, len(hourly) * 60, hourly.shape[1])


def test_a_quiet_world_trends_nowhere() -> None:
    """The rhythm of the day alone raises no alarm."""
    rng = np.random.default_rng(9)
    assert not rises(_openings(rng, _quiet(rng, 408)), RULE).any()


def test_a_film_at_ten_times_its_share_trends_within_three_hours() -> None:
    """And not before it begins; no other does."""
    rng = np.random.default_rng(10)
    counts = _quiet(rng, 408)
    counts[200:212, 30] += 12
    alarms = rises(_openings(rng, counts), RULE)
    assert alarms[:, 30].argmax() in range(200, 203)
    assert not np.delete(alarms, 30, axis=1).any()


def test_nothing_is_said_without_a_baseline() -> None:
    """A burst in the first week is not judged."""
    rng = np.random.default_rng(11)
    counts = _quiet(rng, 408)
    counts[100:110, 30] += 50
    assert not rises(_openings(rng, counts), RULE)[: RULE.baseline_days * 24].any()


def test_alarms_of_one_film_within_a_day_are_one_episode() -> None:
    """Two films, one of them twice."""
    alarms = np.zeros((100, 3), np.bool_)
    alarms[[10, 11, 30, 60], 1] = True
    alarms[5, 2] = True
    assert episodes(alarms).tolist() == [[1, 10, 30], [1, 60, 60], [2, 5, 5]]


def test_overlap_needs_the_film_and_the_time() -> None:
    """With slack at the end only."""
    found = np.array([[1, 10, 12], [2, 10, 12]])
    spans = np.array([[1, 0, 6], [1, 0, 3], [1, 13, 20]])
    assert overlap(found, spans, 4).tolist() == [[True, False, False], [False, False, False]]


@pytest.mark.parametrize("power", [True, False])
def test_the_law_of_a_fade_is_told(power: bool) -> None:
    """A power law of exponent 1, and an exponential of 8 hours, with 500 clicks in the first hour."""
    t = np.arange(96) + 0.5
    rate = 5 + 500 * ((1 + t) ** -1.0 if power else np.exp(-t / 8))
    gain = fade(np.random.default_rng(12).poisson(rate), np.full(96, 5.0))
    assert gain > 10 if power else gain < -10


def _with_burst(rng: np.random.Generator) -> np.ndarray:
    counts = _quiet(rng)
    counts[200:300, 30] += rng.poisson(60 * (1 + np.arange(100) + 0.5) ** -0.9)
    return counts


def _evidence(counts: np.ndarray, ledger: Ledger | None) -> Evidence:
    hour, film = np.nonzero(counts)
    times = counts[hour, film]
    rows = np.repeat(hour, times)
    people = np.arange(1, len(rows) + 1)
    columns = stream(
        ts_ms=rows * HOUR_MS + 1, film=np.repeat(film, times), user=people, session=people, event_type="detail_view"
    )
    return Evidence(columns, timeline(columns), ledger)


def test_a_person_counts_once_an_hour_for_a_film() -> None:
    """However often the film is opened."""
    columns = stream(ts_ms=[0, 1, 2, HOUR_MS], user=[1, 1, 2, 1], event_type="detail_view")
    assert hourly_viewers(timeline(columns))[1].tolist() == [[2], [1]]


def test_a_person_opens_a_film_once_a_day() -> None:
    """At the minute of the first time, whatever the order of the sessions; the next day counts anew."""
    columns = stream(
        ts_ms=[DAY_MS + 180_000, DAY_MS + 60_000, DAY_MS + 61_000, 2 * DAY_MS],
        session=[1, 2, 3, 4],
        user=[1, 1, 2, 1],
        event_type="detail_view",
    )
    day, openings = first_openings(timeline(columns))
    assert (day, openings.minutes, openings.items) == (1, 2880, 1)
    assert openings.minute.tolist() == [1, 1440]
    assert openings.people.tolist() == [2, 1]


def test_viewers_by_hour_and_film() -> None:
    """As they were put in."""
    counts = _quiet(np.random.default_rng(13), hours=30)
    first, seen = hourly_viewers(_evidence(counts, None).timeline)
    assert first == 0
    assert (seen == counts).all()


def test_a_burst_of_the_ledger_is_found_and_fades_as_a_power_law() -> None:
    """Recall and precision 1."""
    values = bursts(_evidence(_with_burst(np.random.default_rng(14)), _ledger((30, 200, 300)))).values
    assert (values["recall"], values["precision"]) == (1.0, 1.0)
    assert values["AIC gain of power law"] > 0


def test_a_burst_that_the_ledger_does_not_know_is_a_false_alarm() -> None:
    """And one that only the ledger knows is missed."""
    values = bursts(_evidence(_with_burst(np.random.default_rng(15)), _ledger((7, 200, 300)))).values
    assert (values["recall"], values["precision"]) == (0.0, 0.0)


def test_without_a_ledger_nothing_is_measured() -> None:
    """The verdict stays open."""
    assert bursts(_evidence(_quiet(np.random.default_rng(16), hours=30), None)).values == {}
