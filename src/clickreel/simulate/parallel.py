"""A stretch of a world cut into blocks, made by several processes and handed over in order.

The blocks are the same for any number of workers, and so is what is in them. One worker reads in sequence; several compute whole blocks alone,
each of which costs the sessions under way at its beginning on top (some fourteen minutes' worth), so a block is at least an hour when the rate allows.
"""

from __future__ import annotations

import collections
import concurrent.futures
import multiprocessing
from collections.abc import Callable, Iterator
from typing import TypeVar

from clickreel.events import Deliveries
from clickreel.simulate.films import Catalogue
from clickreel.simulate.settings import WorldSettings
from clickreel.simulate.world import World

T = TypeVar("T")

_EVENTS_WANTED = 300_000
_EVENTS_MAX = 1_500_000
_HOUR_MS = 3_600_000
_DAY_MS = 24 * _HOUR_MS

_world: World | None = None


def cuts(world: World, start_ms: int, end_ms: int) -> Iterator[tuple[int, int]]:
    """The blocks of [start_ms, end_ms): some 300 k events each, an hour to a day long where the rate allows."""
    per_ms = world.expected_rate / 1000
    length = min(max(_EVENTS_WANTED / per_ms, _HOUR_MS), _EVENTS_MAX / per_ms, _DAY_MS)
    step = max(1000, int(length))
    for first in range(start_ms, end_ms, step):
        yield first, min(first + step, end_ms)


def each(
    world: World, span: tuple[int, int], shape: Callable[[Deliveries], T], workers: int = 1
) -> Iterator[tuple[tuple[int, int], T]]:
    """The deliveries of a span of time, block by block in order, in the shape that is wanted.

    Args:
        world: The world.
        span: Start and end, milliseconds since the epoch.
        shape: What to make of each block; with several workers it runs in them, so it must be a module's function.
        workers: Number of processes.

    Yields:
        Start and end of a block, and what was made of it.
    """
    blocks = cuts(world, *span)
    if workers == 1:
        cursor = world.cursor(span[0])
        for first, end in blocks:
            yield (first, end), shape(cursor.advance(end))
        return
    # Not fork: the parent may have threads (progress, Arrow), which a forked child would find half way through.
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(
        workers, context, initializer=_start, initargs=(world.settings, world.catalogue)
    ) as pool:
        waiting: collections.deque[tuple[tuple[int, int], concurrent.futures.Future[T]]] = collections.deque()
        try:
            for first, end in blocks:
                waiting.append(((first, end), pool.submit(_block, first, end, shape)))
                # Two ahead for each worker keep them busy; more would only fill the memory.
                if len(waiting) > 2 * workers:
                    yield _done(*waiting.popleft())
            while waiting:
                yield _done(*waiting.popleft())
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _done(bounds: tuple[int, int], made: concurrent.futures.Future[T]) -> tuple[tuple[int, int], T]:
    return bounds, made.result()


def _start(settings: WorldSettings, catalogue: Catalogue) -> None:
    """In a worker: make the world once."""
    global _world  # noqa: PLW0603 - a worker process has one world for its life
    _world = World(settings, catalogue)


def _block(first: int, end: int, shape: Callable[[Deliveries], T]) -> T:
    assert _world is not None
    return shape(_world.deliveries(first, end))
