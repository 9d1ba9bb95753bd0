from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.clickhouse.http import Http, fresh
from tests.clickhouse.process import ClickHouse


@pytest.fixture
def http(clickhouse: ClickHouse) -> Iterator[Http]:
    """Plain HTTP in a database of the test's own."""
    http = fresh(clickhouse.url)
    yield http
    http.client.close()
