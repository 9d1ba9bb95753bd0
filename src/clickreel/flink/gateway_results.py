"""The one way to read the result of an operation of a gateway: page by page, or all of it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from clickreel.errors import UnreachableError
from clickreel.flink.gateway_client import Column, Gateway, Page

# Between two requests for a page that is not there yet: short at first, because a warm statement has its first row in half a second.
_WAIT_MIN_S, _WAIT_MAX_S = 0.005, 0.05


@dataclass(frozen=True)
class OperationResult:
    """The whole result of an operation that ends by itself.

    Attributes:
        columns: Its columns.
        rows: Its rows.
        job: Id of the Flink job that it started, or empty.
    """

    columns: tuple[Column, ...]
    rows: tuple[list[Any], ...]
    job: str = ""


def read_pages(gateway: Gateway, session: str, operation: str) -> Iterator[Page]:
    """Yield the answers to requests for pages, those that say "not ready" included, until the last page.

    The consumer gets control after each request, so that it can look at the clock or stop. Before the next request this waits, longer
    the longer no row comes.

    Args:
        gateway: The gateway.
        session: The session.
        operation: The operation.
    """
    number: int | None = 0
    wait_s = _WAIT_MIN_S
    while number is not None:
        page = gateway.fetch(session, operation, number)
        if page.ready:
            number = page.next
        yield page
        if page.rows:
            wait_s = _WAIT_MIN_S
        elif number is not None:
            time.sleep(wait_s)
            wait_s = min(wait_s * 1.5, _WAIT_MAX_S)


def read_all(
    gateway: Gateway, session: str, operation: str, *, before_request: Callable[[], None] = lambda: None
) -> OperationResult:
    """Read an operation that ends by itself to its end, then close it.

    Args:
        gateway: The gateway.
        session: The session.
        operation: The operation.
        before_request: Called before each request: planning a statement on a cold gateway takes long.
    """
    columns: tuple[Column, ...] = ()
    rows: list[list[Any]] = []
    job = ""
    before_request()
    try:
        for page in read_pages(gateway, session, operation):
            if page.ready:
                columns, job = page.columns or columns, job or page.job
                rows += [cells for _, cells in page.rows]
            before_request()
    finally:
        with contextlib.suppress(UnreachableError):
            gateway.close_operation(session, operation)
    return OperationResult(columns, tuple(rows), job)


def run(gateway: Gateway, session: str, sql: str) -> OperationResult:
    """Submit a statement that ends by itself and read its whole result."""
    return read_all(gateway, session, gateway.submit(session, sql))
