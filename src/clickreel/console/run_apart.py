"""Long computations in a process of their own: the pages keep their processor and the console its memory."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import TypeVar

NICENESS = 10
"""How far a computation stands back behind the pages and the stream."""

Answer = TypeVar("Answer")


async def run_apart(function: Callable[..., Answer], *given: object) -> Answer:
    """Run a module's function in a new process, which ends with it.

    Args:
        function: What to run.
        *given: What to give it; must be picklable, as its answer and its errors.
    """
    # Not fork: the console has threads, which a forked child would find half way through.
    pool = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), initializer=os.nice, initargs=(NICENESS,))
    try:
        return await asyncio.get_running_loop().run_in_executor(pool, function, *given)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
