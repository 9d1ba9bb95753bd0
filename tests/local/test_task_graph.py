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


def test_the_first_failure_is_raised_and_nothing_else_begins() -> None:
    """Steps under way are told to give up, later ones never begin."""
    cancel = threading.Event()
    begun: list[str] = []

    def note(name: str) -> str:
        begun.append(name)
        return name

    def fail() -> str:
        raise ValueError("first")

    def give_up() -> str:
        assert cancel.wait(10)
        raise ValueError("second")

    steps = [Step("a", fail), Step("b", give_up), Step("c", lambda: note("c"), ("b",))]
    with pytest.raises(ValueError, match="first"):
        run(steps, cancel=cancel)
    assert begun == []
