"""One message by hand: a form made from the contract, refused with the field named."""

from __future__ import annotations

import itertools
import json
import time
from typing import Any

import orjson
import pyarrow as pa
from nicegui import run, ui

from clickreel.console.context import ConsoleContext
from clickreel.console.markup import button, choice, explain, link, tag, text_field
from clickreel.contract.encode import encode
from clickreel.contract.samples import block
from clickreel.contract.schema import current
from clickreel.contract.verdict import judge_record
from clickreel.contract.vocabulary import FIELDS
from clickreel.errors import ClickreelError, UnreachableError
from clickreel.foreign_text import printable
from clickreel.stream.partition import murmur2

_FLUSH_S = 20.0


class ProduceForm:
    """A field for each field of the contract, filled with a sample that keeps it.

    Args:
        context: The console; it must be allowed to act.
        topic: Where the message goes.
    """

    def __init__(self, context: ConsoleContext, topic: str) -> None:
        assert context.allow_writes, "a page that only reads has no form"
        self._context, self._topic = context, topic
        self._seeds = itertools.count(round(time.time() * 1000) % 1_000_000)
        self._values: dict[str, str] = {}
        self._faults: dict[str, ui.label] = {}
        with ui.element("div").classes("stack"):
            ui.label(
                f"One event for {printable(topic)}, filled with a sample; a verification counts it as somebody else's."
            ).classes("note")
            self._fields = ui.element("div").classes("form")
            with ui.element("div").classes("row-of"):
                button("Send", self._send, classes="btn btn-main")
                button("Another sample", self._fill)
                self._said = ui.label("").props('role="status"')
                self._where = ui.element("span")
        self._fill()

    def _fill(self) -> None:
        sample = orjson.loads(encode(block(1, seed=next(self._seeds))).values[0].as_py())
        sample["event_ts"] = time.strftime("%Y-%m-%d %H:%M:%S.000", time.gmtime())
        self._values = {name: str(sample[name]) for name in FIELDS}
        self._faults = {}
        self._fields.clear()
        with self._fields:
            for name in FIELDS:
                self._field(name, current("value").fields[name])

    def _field(self, name: str, rules: dict[str, Any]) -> None:
        def keep(value: str) -> None:
            self._values[name] = value

        with ui.element("div").classes("form-field"):
            tag("span", name, classes="stat-name")
            if "enum" in rules:
                choice(name, [(word, word) for word in rules["enum"]], self._values[name], keep)
            else:
                field = text_field(name, keep, value=self._values[name])
                field.props["title"] = str(rules.get("description", ""))
            self._faults[name] = ui.label("").classes("bad field-fault")

    async def _send(self) -> None:
        value = orjson.dumps({name: self._typed(name) for name in FIELDS})
        key = json.dumps(self._values["user_id"]).encode()
        verdict = judge_record(key, value)
        reasons = {one["field"]: one["text"] for one in reversed(verdict.errors)}
        for name, label in self._faults.items():
            label.set_text(printable(reasons.get(name, "")))
        self._where.clear()
        if not verdict.is_valid:
            self._say(f"✗ refused, nothing was sent: {', '.join(reasons)}", "bad")
            return
        self._say("sending …", "note")
        try:
            place = await run.io_bound(_produce, self._context, self._topic, key, value)
        except ClickreelError as exc:
            self._say(explain(exc), "bad")
            return
        if place is not None:
            self._say("✓ acknowledged by all in-sync replicas:", "good")
            with self._where:
                words = f"partition {place[0]}, offset {place[1]:,}"
                link(words, f"/messages?topic={self._topic}&open={place[0]}:{place[1]}", classes="link mono")

    def _say(self, text: str, kind: str) -> None:
        self._said.set_text(printable(text))
        self._said.classes(replace=kind)

    def _typed(self, name: str) -> int | float | str:
        """What was written, as a number where the contract asks for one and it is one."""
        text = self._values[name]
        if current("value").fields[name].get("type") in {"integer", "number"}:
            for kind in (int, float):
                try:
                    return kind(text)
                except ValueError:
                    continue
        return text


def _produce(context: ConsoleContext, topic: str, key: bytes, value: bytes) -> tuple[int, int]:
    """Write one record and wait for its acknowledgement; returns its partition and offset."""
    broker = context.broker()
    places: list[tuple[int, int]] = []
    failures: list[str] = []

    def done(error: Any, message: Any) -> None:
        if error is None:
            places.append((message.partition(), message.offset()))
        else:
            failures.append(str(error.str()))

    try:
        partition = int(murmur2(pa.array([key], pa.binary()))[0] & 0x7FFFFFFF) % len(broker.bounds(topic))
        producer = broker.plain_producer({"enable.idempotence": True, "message.timeout.ms": round(_FLUSH_S * 1000)})
        producer.produce(topic, value=value, key=key, partition=partition, on_delivery=done)
        producer.flush(_FLUSH_S)
    finally:
        broker.close()
    if not places:
        why = failures[0] if failures else f"no acknowledgement within {_FLUSH_S:.0f} s"
        raise UnreachableError(f"the message was not acknowledged: {why}", hint="clickreel status")
    return places[0]
