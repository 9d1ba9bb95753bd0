"""The contract and a registry: bring ours there, and say how far the two agree."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Literal, get_args

from clickreel.contract import schema
from clickreel.contract.diff import Change, compare
from clickreel.contract.schema import TOPIC, Part, Schema
from clickreel.contract.schema_registry import Registry, breaking
from clickreel.errors import ContractError

Agreement = Literal["same", "missing", "older", "newer", "other"]

MODE = "BACKWARD"
"""The mode of a new subject. Consumers here (ingest, Flink) are upgraded before the producer, and the topic keeps old messages that a
new version must still read."""


@dataclass(frozen=True, slots=True)
class SubjectState:
    """How one subject of a registry stands to our contract.

    Attributes:
        ours: Our current version under the topic's subject.
        registered: The registry's latest version, or None.
        agreement: ``same``; ``missing`` (no such subject); ``older`` (the registry's latest is a former version of ours); ``newer`` (ours
            is registered, and others came after it); ``other``.
        changes: The differences from the registered version to ours.
    """

    ours: Schema
    registered: Schema | None
    agreement: Agreement
    changes: tuple[Change, ...] = ()


def ours(part: Part, topic: str = TOPIC) -> Schema:
    """Our current version under the subject of any topic."""
    return dataclasses.replace(schema.current(part), subject=schema.subject(part, topic))


def state(registry: Registry, part: Part, topic: str = TOPIC) -> SubjectState:
    """Compare a registry's latest version with ours."""
    mine = ours(part, topic)
    registered = registry.schema(mine.subject)
    if registered is None:
        return SubjectState(mine, None, "missing")
    if registered.body == mine.body:
        return SubjectState(mine, registered, "same")
    agreement: Agreement = "other"
    if any(registered.body == former.body for former in schema.versions(part)):
        agreement = "older"
    elif registry.find(mine):
        agreement = "newer"
    return SubjectState(mine, registered, agreement, compare(registered, mine))


def publish(registry: Registry, topic: str = TOPIC, *, mode: str = MODE) -> list[SubjectState]:
    """Register key and value schema of a topic; doing it again changes nothing.

    Args:
        registry: Where.
        topic: The topic whose subjects they become.
        mode: The compatibility mode for a subject that is new; one that exists keeps its own.

    Returns:
        Each part's state afterwards, key first.

    Raises:
        ContractError: The subject holds a version with which ours is not compatible under its mode; nothing of that subject was
            changed, and the message says what stands against it.
    """
    for part in get_args(Part):
        mine = ours(part, topic)
        if not registry.find(mine):
            register(registry, mine, mode=mode)
    return [state(registry, part, topic) for part in get_args(Part)]


def register(registry: Registry, schema: Schema, *, mode: str = MODE) -> Schema:
    """Register one schema as the next version of its subject.

    Args:
        registry: Where.
        schema: What; where it is the subject's first version, the subject gets `mode`.
        mode: See above.

    Returns:
        The registered schema, with the registry's version and id.

    Raises:
        ContractError: The subject's mode forbids it; nothing was changed, and the message says what stands against it.
    """
    before = registry.schema(schema.subject)
    if before is not None and registry.check_compatibility(schema):
        raise _refused(registry, before, schema)
    registered = registry.register(schema)
    if before is None:
        registry.set_mode(schema.subject, mode)
    return registered


def _refused(registry: Registry, before: Schema, new: Schema) -> ContractError:
    mode = registry.mode(new.subject)
    against = breaking(compare(before, new), mode)
    shown = (
        "; ".join(f"{change.field}: {change.text}" for change in against[:3]) or registry.check_compatibility(new)[0]
    )
    more = f"; and {len(against) - 3} more" if len(against) > 3 else ""
    return ContractError(
        f"{new.subject} holds version {before.version}, with which the new one is not {mode} compatible: {shown}{more}",
        hint="clickreel contract diff --registered; then another topic, or: clickreel contract register --mode NONE",
    )
