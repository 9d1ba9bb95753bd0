"""Requests to end, as the system sends them: one way out for all of them."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator
from types import FrameType


@contextlib.contextmanager
def end_requests(note: Callable[[int], None], *numbers: int) -> Iterator[None]:
    """Call ``note`` with the number of each signal of the given ones, for as long as the block lasts.

    Args:
        note: Called on the main thread, between two of its instructions; what it raises is raised there.
        numbers: By default SIGINT (Ctrl-C), SIGTERM and SIGHUP (the terminal was closed).
    """

    def handle(number: int, _frame: FrameType | None) -> None:
        note(number)

    wanted = numbers or (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, handle) for number in wanted}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def ended_by_signal() -> Iterator[None]:
    """Turn SIGTERM and SIGHUP into the ``KeyboardInterrupt`` that Ctrl-C is, so that there is one way out."""

    def interrupt(_number: int) -> None:
        raise KeyboardInterrupt

    with end_requests(interrupt, signal.SIGTERM, signal.SIGHUP):
        yield
