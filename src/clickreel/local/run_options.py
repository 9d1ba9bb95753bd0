"""What ``up`` streams: the options of the run, remembered by the home so that the next ``up`` resumes it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clickreel.local.home import Home
from clickreel.local.stack import Stack
from clickreel.local.stream_services import RUN_FILE, RUN_OPTIONS


def remembered(home: Home) -> dict[str, Any]:
    """The options of the run that this home streams."""
    return home.read(RUN_FILE)


def choose(stack: Stack, options: Mapping[str, Any]) -> list[str]:
    """Set the run to stream; a producer that streams another one is ended, so that the next start begins the new one.

    Args:
        stack: The stack.
        options: Values by the names of :data:`RUN_OPTIONS`; ``None`` means not given. When none is given the run of before goes on.
            When any is given they are the run as a whole, so that the same command always gives the same stream.

    Returns:
        The parts that were ended.
    """
    assert set(options) <= {*RUN_OPTIONS, "profile"}, options
    given = {name: str(value) for name, value in options.items() if value is not None}
    before = remembered(stack.home)
    if not given or given == before:
        return []
    stack.home.make()
    # The producer streams another run; with another profile all of ours would talk to the wrong services.
    names = ("producer", "ingest", "console") if given.get("profile") != before.get("profile") else ("producer",)
    ended = [name for name in names if stack.stop(name)]
    stack.home.write(RUN_FILE, given)
    return ended


def run(home: Home) -> str | None:
    """The name of the run that the home's producer streams, or streamed last; ``None`` when there was none."""
    try:
        return (home.path / "work" / "producer" / "ready").read_text(encoding="utf-8") or None
    except OSError:
        return None
