import pytest

from clickreel.audit.realism import Scorecard, score
from tests.realism.naive import naive


@pytest.fixture(scope="module")
def report() -> Scorecard:
    """The score of a million naive events."""
    return score(naive(1_000_000))


def test_independent_uniform_draws_fail_at_least_twenty(report: Scorecard) -> None:
    """The tests have teeth: a stream without sense is told apart by nearly all of them."""
    failed = [result.test.id for result in report.results if result.ok is False]
    assert len(failed) >= 20, failed


def test_they_stand_in_order(report: Scorecard) -> None:
    """R1 to R24, each once."""
    assert [result.test.id for result in report.results] == [f"R{n}" for n in range(1, 25)]


def test_a_naive_stream_is_not_ok(report: Scorecard) -> None:
    """One test outside its band is enough."""
    assert not report.ok


def test_the_json_has_the_promised_keys(report: Scorecard) -> None:
    """Scripts rely on these."""
    rows = report.as_json()["tests"]
    assert all({"id", "name", "value", "band", "ok", "source"} <= set(row) for row in rows)
