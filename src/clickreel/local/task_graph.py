"""Steps that start together: each begins when what it needs is done; a failure stops only what needs the failed step."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass


@dataclass(frozen=True)
class Step:
    """One thing to do.

    Args:
        name: What it is, as the checklist shows it.
        run: Does it; returns what the checklist shows behind the name, such as an address.
        needs: Names of the steps that come before; names that are not in the same run count as done.
        result: The state of its last event: ``done``, or ``kept`` for a step that only looks.
    """

    name: str
    run: Callable[[], str]
    needs: tuple[str, ...] = ()
    result: str = "done"


@dataclass(frozen=True)
class StepEvent:
    """Something that happened to a step.

    Args:
        step: Its name.
        state: ``begun``, ``done``, ``kept`` (was there already), ``failed``, or ``fetch`` (progress of a download).
        seconds: Since the step began.
        detail: What the checklist shows: an address, an error.
        done: Bytes so far, with ``fetch``.
        total: Bytes wanted, with ``fetch``.
    """

    step: str
    state: str
    seconds: float = 0.0
    detail: str = ""
    done: int = 0
    total: int = 0


Report = Callable[[StepEvent], None]


def silent(event: StepEvent) -> None:
    """A report that nobody reads."""


def run(steps: Sequence[Step], report: Report = silent, cancel: threading.Event | None = None) -> None:
    """Do all steps, those that do not wait for one another at the same time.

    When a step fails, those that need it are left out, all others are done, and the first failure is raised at the end. When this thread
    is interrupted, no further step begins, ``cancel`` is set so that those under way can give up, and they are waited for.

    Args:
        steps: What to do.
        report: Called with every beginning and end, from several threads.
        cancel: What long steps look at.
    """
    cancel = cancel or threading.Event()
    waiting = {step.name: step for step in steps}
    under_way: dict[Future[None], str] = {}
    failed: set[str] = set()
    failure: BaseException | None = None
    with ThreadPoolExecutor(max(1, len(steps)), thread_name_prefix="start") as pool:
        try:
            while True:
                _drop_dependents(waiting, failed)
                pending = {*waiting, *under_way.values()}
                for step in [step for step in waiting.values() if not pending & set(step.needs)]:
                    del waiting[step.name]
                    under_way[pool.submit(_timed, step, report)] = step.name
                if not under_way:
                    break
                finished, _ = wait(under_way, return_when=FIRST_COMPLETED)
                for future in finished:
                    name = under_way.pop(future)
                    if (error := future.exception()) is not None:
                        failed.add(name)
                        failure = failure or error
        except BaseException:
            cancel.set()
            raise
    if failure is not None:
        raise failure
    assert not waiting, f"steps that need one another: {', '.join(waiting)}"


def _drop_dependents(waiting: dict[str, Step], failed: set[str]) -> None:
    """Take out the steps that need a failed one, and those that need them."""
    while dependents := [step.name for step in waiting.values() if failed & set(step.needs)]:
        for name in dependents:
            del waiting[name]
            failed.add(name)


def _timed(step: Step, report: Report) -> None:
    begun = time.monotonic()
    report(StepEvent(step.name, "begun"))
    try:
        detail = step.run()
    except BaseException as exc:
        report(StepEvent(step.name, "failed", time.monotonic() - begun, str(exc)))
        raise
    report(StepEvent(step.name, step.result, time.monotonic() - begun, detail))
