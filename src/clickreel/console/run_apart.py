"""Long computations in a process of their own: the pages keep their processor and the console its memory."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.connection import Connection
from typing import TypeVar

from clickreel.errors import ClickreelError

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


def iterate_apart(function: Callable[..., Iterator[Answer]], *given: object) -> Generator[Answer, None, None]:
    """Run a module's generator function in a new process; what it gives comes as soon as it is there. The calling thread waits.

    Args:
        function: What to run.
        *given: What to give it; must be picklable, as what it gives and its errors.

    Raises:
        ClickreelError: What the function raised, or its process was killed.
    """
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe(duplex=False)
    child = spawn.Process(target=_send_all, args=(theirs, function, given), name=function.__name__, daemon=True)
    child.start()
    theirs.close()
    try:
        while True:
            try:
                has_more, answer = ours.recv()
            except EOFError:
                raise ClickreelError(f"the process of {function.__name__} was ended", hint="try again") from None
            if isinstance(answer, ClickreelError):
                raise answer
            if not has_more:
                return
            yield answer
    finally:
        ours.close()
        child.terminate()
        child.join()


def _send_all(pipe: Connection, function: Callable[..., Iterator[object]], given: tuple[object, ...]) -> None:
    os.nice(NICENESS)
    try:
        for answer in function(*given):
            pipe.send((True, answer))
        pipe.send((False, None))
    except ClickreelError as exc:
        pipe.send((False, exc))
