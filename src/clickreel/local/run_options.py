"""What ``up`` streams: the options of the run, remembered by the home so that the next ``up`` resumes it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from clickreel import timespec
from clickreel.heartbeat import read_pulse
from clickreel.local.home import Home

# Options of `up` that are the producer's, in the order in which they are passed on.
RUN_OPTIONS = ("rate", "mean_rate", "seed", "from", "speed", "films", "users", "scenario", "flaws", "run")
# The run's options and the profile, as `up` was last given them.
RUN_FILE = "run.json"


def remembered(home: Home) -> dict[str, Any]:
    """The options of the run that this home streams."""
    return home.read(RUN_FILE)


def producer_flags(home: Home) -> list[str]:
    """The options of ``clickreel produce`` for the remembered run."""
    options = remembered(home)
    return [f"--{name.replace('_', '-')}={options[name]}" for name in RUN_OPTIONS if options.get(name) is not None]


# What is written behind a stream that just began: 14 days of two events a second are 2.4 million.
_PAST_EVENTS_MAX = 3_000_000


def with_past(home: Home, options: Mapping[str, Any], past: str, events_per_s: float) -> dict[str, Any]:
    """The options of a new run with a past, so that its first minute has answers.

    Args:
        home: The home; a run that it remembers goes on as it is.
        options: As for :func:`changed`.
        past: How far back, or ``now``.
        events_per_s: The rate of the run.

    Returns:
        The options; unchanged where they say where the run begins, play it at another speed, or stream to another Kafka.
    """
    has_begin = any(options.get(name) is not None for name in ("from", "speed", "profile"))
    goes_on = remembered(home) and all(value is None for value in options.values())
    if past == "now" or has_begin or goes_on:
        return dict(options)
    hours = int(min(timespec.span_ms(past, "past") / 3_600_000, _PAST_EVENTS_MAX / max(events_per_s, 1e-3) / 3600))
    length = f"{hours // 24}d" if hours % 24 == 0 else f"{hours}h"
    return {**options, "from": length} if hours else dict(options)


def past_under_way(home: Home) -> str:
    """Where the past begins that the producer still writes; empty when there is none."""
    begin = str(remembered(home).get("from", "now"))
    return "" if begin == "now" or not read_pulse(home.heartbeat("producer")).message else begin


def changed(home: Home, options: Mapping[str, Any]) -> dict[str, str] | None:
    """What the home would remember after an ``up`` with these options; ``None`` when they change nothing.

    Args:
        home: The home.
        options: Values by the names of :data:`RUN_OPTIONS` and ``profile``; ``None`` means not given. When none is given the run of
            before goes on. When any is given they are the run as a whole, so that the same command always gives the same stream.
    """
    assert set(options) <= {*RUN_OPTIONS, "profile"}, options
    given = {name: str(value) for name, value in options.items() if value is not None}
    return given if given and given != remembered(home) else None


def given_profile(home: Home) -> str:
    """The ``client.properties`` that ``up`` was given, or empty when it streams to the local Kafka."""
    return str(remembered(home).get("profile") or "")


def provided(home: Home) -> frozenset[str]:
    """The services that the given profile's services take the place of."""
    named = given_profile(home)
    if not named:
        return frozenset()
    from clickreel.stream.kafka_clients import read_profile  # takes 0.3 s to import, and few homes have a profile

    return frozenset({"kafka", "registry"} | ({"clickhouse"} if read_profile(Path(named)).clickhouse_url else set()))


def streamed_run(home: Home) -> str | None:
    """The name of the run that the home's producer streams, or streamed last; ``None`` when there was none."""
    return read_pulse(home.heartbeat("producer")).run or None
