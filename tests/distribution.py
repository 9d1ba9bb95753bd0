"""How `make test` shares the tests out: a file stays whole, what asks Flink shares one gateway, and what takes longest begins first.

Without an order of ours the files with the fewest tests come last, and those are the long ones: whole stacks that are killed and started
again. One worker would end with them while the others have nothing left to do.
"""

from __future__ import annotations

from typing import Any

import pytest
from xdist.scheduler.loadfile import LoadFileScheduling

# A gateway takes half a minute of processor time to start and gets faster with each query, so one process runs all that ask it.
_ONE_GATEWAY = "tests/flink/"
_ASKS_IT_TOO = "tests/local/test_foreign_page.py"
# Seconds that a file takes on two cores; a file that is not named takes a few.
_SECONDS = {
    _ASKS_IT_TOO: 601,  # before the others, of which the last ends the gateway
    _ONE_GATEWAY: 600,
    "tests/docs/test_typed_pages.py": 150,
    "tests/stream/test_interruptions.py": 90,
    "tests/ingest/test_consumer_group.py": 120,
    "tests/local/test_up.py": 105,
    "tests/local/test_streams.py": 85,
    "tests/stream/test_producer.py": 80,
    "tests/simulate/test_determinism.py": 30,
    "tests/ingest/test_soak.py": 65,
    "tests/stream/test_produce.py": 50,
    "tests/realism/test_cli.py": 60,
    "tests/insight/test_recommend.py": 60,
    "tests/local/test_supervisor.py": 50,
    "tests/stream/test_kill.py": 45,
    "tests/clickhouse/test_process.py": 45,
    "tests/realism/test_spoiled.py": 40,
    "tests/simulate/test_oracle.py": 25,
    "tests/simulate/test_timeline.py": 40,
    "tests/stream/test_access.py": 35,
    "tests/ingest/test_crash.py": 30,
    "tests/api/test_python_api.py": 25,
}


class LongestFirst(LoadFileScheduling):  # type: ignore[misc]
    """Gives out files in the order of the collection, and those that ask Flink as if they were one."""

    def __init__(self, config: pytest.Config, log: Any = None) -> None:
        super().__init__(config, log)
        config.option.loadscopereorder = False

    def _split_scope(self, nodeid: str) -> str:
        return unit(nodeid)


def unit(nodeid: str) -> str:
    """What is given to one process as a whole: the test's file, or all files that ask Flink."""
    return _ONE_GATEWAY if nodeid.startswith((_ONE_GATEWAY, _ASKS_IT_TOO)) else nodeid.split("::", 1)[0]


def expected_seconds(nodeid: str) -> int:
    """About how long the whole takes of which this test is a part."""
    return _SECONDS.get(nodeid.split("::", 1)[0]) or _SECONDS.get(unit(nodeid), 5)
