"""The local stack as a context manager."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from clickreel.local.home import Home
from clickreel.local.local_profile import profile
from clickreel.local.stack import Stack
from clickreel.profile import Profile


@dataclass(frozen=True)
class LocalStack:
    """A running stack.

    Attributes:
        home: Its folder.
        profile: Addresses and credentials of its services.
    """

    home: Path
    profile: Profile


@contextlib.contextmanager
def local_stack(
    home: str | Path | None = None, *, services: Sequence[str] = ("kafka",), keep: bool = False
) -> Iterator[LocalStack]:
    """Start services of the local stack, and end those that this call started.

    Args:
        home: Its folder; None for ``CLICKREEL_HOME`` or the platform's. While the context lasts, ``CLICKREEL_HOME`` names it.
        services: What to start, with all that it needs: ``kafka``, ``registry``, ``clickhouse``, ``flink``, ``ingest``, ``producer``.
        keep: Leave running what was started.

    Raises:
        MissingError: Something is missing on the machine.
        ClickreelError: A service does not start.
    """
    before = os.environ.get("CLICKREEL_HOME")
    if home is not None:
        os.environ["CLICKREEL_HOME"] = str(Path(home).absolute())
    try:
        stack = Stack(Home.default())
        started = stack.ensure(services, attached=not keep)
        try:
            yield LocalStack(stack.home.path, profile(stack.home))
        finally:
            if not keep and started:
                stack.down()
    finally:
        if home is not None and before is None:
            os.environ.pop("CLICKREEL_HOME", None)
        elif before is not None:
            os.environ["CLICKREEL_HOME"] = before
