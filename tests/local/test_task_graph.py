"""Steps start together where they can, and stop together when one fails."""

from __future__ import annotations

import threading

import pytest

from clickreel.local.task_graph import Step, StepEvent, run


def test_steps_that_do_not_wait_for_one_another_run_at_the_same_time() -> None:
    """Each waits for the other to have begun: one after the other would never end."""
    meeting = threading.Barrier(2, timeout=10)

    def meet() -> str:
        meeting.wait()
        return "met"

    run([Step("one", meet), Step("two", meet)])


def test_a_step_waits_for_what_it_needs() -> None:
    """Also through one another; a name that is not in the run counts as done."""
    order: list[str] = []

    def note(name: str) -> str:
        order.append(name)
        return name

    run(
        [
            Step("three", lambda: note("three"), ("two",)),
            Step("two", lambda: note("two"), ("one", "elsewhere")),
            Step("one", lambda: note("one")),
        ]
    )
    assert order == ["one", "two", "three"]


def test_the_report_tells_each_beginning_and_end() -> None:
    """With what the step returned."""
    seen: list[StepEvent] = []
    run([Step("one", lambda: "an address")], seen.append)
    assert [(event.step, event.state, event.detail) for event in seen] == [
        ("one", "begun", ""),
        ("one", "done", "an address"),
    ]


def test_a_failure_stops_only_what_needs_the_failed_step() -> None:
    """Also through one another; everything else is done, and the first failure is raised at the end."""
    failed = threading.Event()
    done: list[str] = []

    def note(name: str) -> str:
        done.append(name)
        return name

    def fail() -> str:
        failed.set()
        raise ValueError("first")

    def go_on() -> str:
        assert failed.wait(10)
        return note("b")

    seen: list[StepEvent] = []
    steps = [
        Step("a", fail),
        Step("needs a", lambda: note("needs a"), ("a",)),
        Step("needs that", lambda: note("needs that"), ("needs a",)),
        Step("b", go_on),
        Step("needs b", lambda: note("needs b"), ("b",)),
    ]
    with pytest.raises(ValueError, match="first"):
        run(steps, seen.append)
    assert done == ["b", "needs b"]
    assert {event.step for event in seen} == {"a", "b", "needs b"}
