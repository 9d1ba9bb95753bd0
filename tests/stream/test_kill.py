"""A small soak of the producer on a real Kafka; ``make soak-producer`` is the large one."""

from __future__ import annotations

from pathlib import Path

from tests.conftest import Kafka
from tests.soak.producer import soak


def test_killed_at_random_instants_the_run_is_whole(kafka: Kafka, tmp_path: Path) -> None:
    """``kill -9`` three times, with late, doubled and broken events: exactly the run's records, each in its place."""
    flaws = "late=2%,out_of_order=2%,duplicate=2%,malformed=1%"
    proof = soak(kafka.bootstrap, tmp_path, rounds=3, events=9_000, seed=20_251_124, flaws=flaws)
    assert proof.ok, proof
    assert proof.expected == 9_000
