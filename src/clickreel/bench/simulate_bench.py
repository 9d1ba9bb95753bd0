"""``clickreel bench simulate``: events of the model as columns, beside a loop over random.choice.

One core (processor time, so that others on the machine do not count), no encoding on either side. The loop draws what the usual click generator draws: independent fields, a UUID, a dictionary an
event. Ours makes sessions, lists and funnels, and an id that can be read back.
"""

from __future__ import annotations

import random
import statistics
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from clickreel.bench.machine import machine
from clickreel.bench.ratios import spread
from clickreel.contract import vocabulary
from clickreel.simulate.settings import WorldSettings
from clickreel.simulate.world import World

_START_MS = 1_767_571_200_000  # 2026-01-05
_DAY_MS = 86_400_000
_FLOOR_PER_S = 300_000


def run(events: int = 1_000_000, users: int = 20_000, films: int = 1000, repeats: int = 3) -> dict[str, Any]:
    """Measure.

    Args:
        events: Events of each turn of ours; the loop makes a tenth.
        users: People of the world.
        films: Films of the catalogue.
        repeats: Turns.
    """
    settings = WorldSettings(users=users, films=films)
    makes = [_seconds(lambda: World(settings)) for _ in range(repeats)]
    ours, loop, alone = [], [], []
    span = int(events / World(settings).expected_rate * 1000)
    for _ in range(repeats):
        # A new world each time: nothing of the turn before is remembered.
        ours.append(_rate(lambda: len(World(settings).cursor(_START_MS).advance(_START_MS + span))))
        loop.append(_rate(lambda: len(naive(events // 10, users, films))))
        alone.append(_minute_alone(World(settings)))
    return {
        "name": "simulate",
        "ratios": {
            "a loop of random.choice": spread([a / b for a, b in zip(ours, loop, strict=True)]),
            f"{_FLOOR_PER_S:,} events a second": spread([rate / _FLOOR_PER_S for rate in ours]),
        },
        "figures": {
            "events_per_s": round(statistics.median(ours)),
            "loop_events_per_s": round(statistics.median(loop)),
            "a_minute_alone_ms": round(statistics.median(alone) * 1000, 2),
            "world_ms": round(statistics.median(makes) * 1000, 1),
            "events": events,
            "users": users,
            "films": films,
        },
        "machine": machine(),
    }


def _minute_alone(world: World) -> float:
    """Seconds for a minute of the day's middle, the day's lists and sessions being known."""
    noon = _START_MS + _DAY_MS // 2
    world.deliveries(_START_MS, _START_MS + 1)
    return _seconds(lambda: world.deliveries(noon, noon + 60_000))


def naive(count: int, users: int, films: int) -> list[dict[str, Any]]:
    """Events as the usual generator makes them: every field by itself."""
    rng = random.Random(1)  # noqa: S311 - a benchmark keeps no secret
    now = _START_MS
    events = []
    for _ in range(count):
        now += 1
        events.append(
            {
                "event_id": str(uuid.UUID(int=rng.getrandbits(128), version=4)),
                "event_ts": datetime.fromtimestamp(now / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3],
                "user_id": f"u_{rng.randint(1, users)}",
                "session_id": f"s_{rng.getrandbits(32):08x}",
                "film_id": rng.randint(1, films),
                "event_type": rng.choice(vocabulary.EVENT_TYPES),
                "page": rng.choice(vocabulary.PAGES),
                "position": rng.randint(1, 20),
                "device": rng.choice(vocabulary.DEVICES),
                "referrer": rng.choice(vocabulary.REFERRERS),
            }
        )
    return events


def _seconds(work: Callable[[], Any]) -> float:
    begun = time.process_time()
    work()
    return time.process_time() - begun


def _rate(work: Callable[[], int]) -> float:
    begun = time.process_time()
    count = work()
    return count / (time.process_time() - begun)
