"""clickreel: the streaming data source of a DVD rental platform.

The folders of this package are the path the data takes: ``simulate`` makes the events, ``contract`` turns them into bytes,
``stream`` brings them to Kafka, ``ingest`` from there to ClickHouse (``warehouse``), ``insight`` and ``flink`` answer questions,
``audit`` proves that nothing was lost or doubled. ``local`` is the stack on your own machine, ``cli`` the command line, ``console`` the
web page. What the commands do is offered here as functions; see docs/python.md.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clickreel.api.answers import Answers, connect
    from clickreel.api.stacks import LocalStack, local_stack
    from clickreel.api.streams import ingest_topic, load_profile, produce, read_messages, verify_run
    from clickreel.api.worlds import make_world, simulate_events
    from clickreel.contract.verdict import judge_record
    from clickreel.errors import (
        ClickreelError,
        ContractError,
        MissingError,
        UnreachableError,
        UsageError,
        VerificationError,
    )
    from clickreel.profile import Profile
    from clickreel.simulate.settings import WorldSettings
    from clickreel.simulate.world import World

    __version__: str

__all__ = [
    "Answers",
    "ClickreelError",
    "ContractError",
    "LocalStack",
    "MissingError",
    "Profile",
    "UnreachableError",
    "UsageError",
    "VerificationError",
    "World",
    "WorldSettings",
    "__version__",
    "connect",
    "ingest_topic",
    "judge_record",
    "load_profile",
    "local_stack",
    "make_world",
    "produce",
    "read_messages",
    "simulate_events",
    "verify_run",
]

# Where each name comes from. They are looked up at first use: `clickreel --help` must not load Kafka and Arrow. No name
# of these is a folder's: the import of a folder would put the module in its place.
_MODULES = {
    "Answers": "api.answers",
    "ClickreelError": "errors",
    "ContractError": "errors",
    "LocalStack": "api.stacks",
    "MissingError": "errors",
    "Profile": "profile",
    "UnreachableError": "errors",
    "UsageError": "errors",
    "VerificationError": "errors",
    "World": "simulate.world",
    "WorldSettings": "simulate.settings",
    "connect": "api.answers",
    "ingest_topic": "api.streams",
    "judge_record": "contract.verdict",
    "load_profile": "api.streams",
    "local_stack": "api.stacks",
    "make_world": "api.worlds",
    "produce": "api.streams",
    "read_messages": "api.streams",
    "simulate_events": "api.worlds",
    "verify_run": "api.streams",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("clickreel")
    if name in _MODULES:
        return getattr(importlib.import_module(f"clickreel.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
