"""A few rounds of the soak: kills of ingest, ClickHouse and Kafka under load, and the proof after each."""

from __future__ import annotations

import pytest

from tests.soak.ingest import soaking

pytestmark = pytest.mark.stack


def test_kills_of_all_three_lose_and_double_nothing() -> None:
    """Seed 8 kills each of them within three rounds; `make soak-ingest` goes on for hundreds."""
    with soaking(8) as soak:
        for _ in range(3):
            report = soak.round(3_000)
            assert report.ok, report.examples
        assert len(soak.figures.kills) >= 2, soak.figures.kills  # which of the three is drawn
        assert soak.figures.rows == soak.feed.sent
        assert soak.figures.compared > 0
        assert soak.figures.wrong == 0
