"""``clickreel bench codec``: events to messages and back, beside what one would write with the usual libraries.

Theirs: ``orjson.dumps`` of a dict per event (and ``json.dumps``), ``orjson.loads`` and ``fastjsonschema`` per message with the same
schema. Both sides start from the same columns or bytes and end with all keys and values, or all columns and a verdict per message.
"""

from __future__ import annotations

import gc
import json
import time
from collections.abc import Callable
from typing import Any

from clickreel.bench.machine import machine
from clickreel.bench.ratios import spread


def run(rows: int = 50_000, repeats: int = 5) -> dict[str, Any]:
    """Measure encode, decode and check.

    Args:
        rows: Events in a block; all are valid.
        repeats: How often each side runs, turn by turn so that both see the same machine.
    """
    import fastjsonschema
    import orjson

    from clickreel.contract import check, encode, samples, schema

    block = samples.block(rows)
    # Films and ranks as a platform has them; samples reach for the bounds, where numbers have ten digits.
    block.events.film[:] = block.events.film % 1_000 + 1
    block.events.position[:] = block.events.position % 40 + 1
    encoded = encode.encode(block)
    keys, values = encoded.keys.to_pylist(), encoded.values.to_pylist()
    events = [orjson.loads(value) for value in values]
    validate = fastjsonschema.compile(schema.current("value").body)

    def theirs_decode() -> list[tuple[Any, ...]]:
        return [tuple(validate(orjson.loads(value)).values()) for value in values]

    pairs: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {
        "encode, over orjson.dumps": (
            lambda: encode.encode(block),
            lambda: [(orjson.dumps(event["user_id"]), orjson.dumps(event)) for event in events],
        ),
        "encode, over json.dumps": (
            lambda: encode.encode(block),
            lambda: [(json.dumps(event["user_id"]).encode(), json.dumps(event).encode()) for event in events],
        ),
        "decode and check, over orjson and fastjsonschema": (
            lambda: encode.decode(encoded.values, encoded.keys),
            theirs_decode,
        ),
        "check one by one, over orjson and fastjsonschema": (
            lambda: [check.check(key, value) for key, value in zip(keys, values, strict=True)],
            theirs_decode,
        ),
    }
    measured = {name: _turns(ours, theirs, repeats) for name, (ours, theirs) in pairs.items()}
    return {
        "name": "codec",
        "ratios": {name: spread([b / a for a, b in turns]) for name, turns in measured.items()},
        "figures": {
            name: {
                "ours_events_per_s": round(rows / min(a for a, _ in turns)),
                "theirs_events_per_s": round(rows / min(b for _, b in turns)),
            }
            for name, turns in measured.items()
        }
        | {"bytes_per_event": round(encoded.values.nbytes / rows, 1)},
        "machine": machine(),
    }


def _turns(ours: Callable[[], Any], theirs: Callable[[], Any], repeats: int) -> list[tuple[float, float]]:
    ours(), theirs()  # the first run builds tables and caches
    return [(_seconds(ours), _seconds(theirs)) for _ in range(repeats)]


def _seconds(call: Callable[[], Any]) -> float:
    # Processor time of this process: the machine's other work is not ours to count.
    gc.disable()  # as timeit does: a collection would fall on either side by chance
    start = time.process_time()
    call()
    seconds = time.process_time() - start
    gc.enable()
    return seconds
