"""The schemas that messages name, looked up in the registry and remembered."""

from __future__ import annotations

import time
from collections.abc import Callable

from clickreel.contract.schema import Schema, subject
from clickreel.errors import ClickreelError

# A registry that is away, or a schema that nobody knows, must not cost a request for every message.
_AGAIN_S = 30.0


class SchemaLookup:
    """Schemas by the registry's id or GUID; an instance is a :data:`~clickreel.contract.verdict.Lookup`.

    Args:
        ask: Gives a schema's text by its id or GUID, None when there is none.
        topic: The topic, for the schema's name.
    """

    def __init__(self, ask: Callable[[int | str], str | None] | None, topic: str) -> None:
        self._ask, self._subject = ask, subject("value", topic)
        self._known: dict[int | str, Schema] = {}
        self._missed: dict[int | str, float] = {}

    def __call__(self, named: int | str) -> Schema | None:
        """The schema that a message names; None when the registry does not know it or does not answer."""
        if self._ask is None:
            return None
        if named in self._known:
            return self._known[named]
        if time.monotonic() - self._missed.get(named, -_AGAIN_S) < _AGAIN_S:
            return None
        try:
            text = self._ask(named)
        except ClickreelError:
            text = None
        if text is None:
            self._missed[named] = time.monotonic()
            return None
        self._known[named] = Schema(self._subject, 0, text, named if isinstance(named, int) else None)
        return self._known[named]
