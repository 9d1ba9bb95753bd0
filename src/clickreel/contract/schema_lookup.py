"""The schemas that messages name, read from the registry and remembered.

The registry belongs to somebody else: it may be away, hang, or not know an id, and a topic must not stop for that, nor may a message be
rejected for it. So each question has a bound, an answer "there is none" is believed for a while, and a registry that does not answer is
not asked again for a while, whatever id comes next: until then a message that needs it is *undecided* (:class:`SchemaUnavailableError`).
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from clickreel.contract.schema import Schema, subject
from clickreel.errors import ClickreelError, UnreachableError

log = logging.getLogger(__name__)

Ask = Callable[[int | str], str | None]
"""Gives a schema's text by its id or GUID; None when the registry knows none. Raises when it does not answer."""

# How long a question may take, and how long an answer that there is no such schema, and a registry that does not answer, are believed.
ANSWER_S = 3.0
AGAIN_S = 30.0
# Ids come out of messages: there is no end of them.
_REMEMBERED = 10_000


class SchemaUnavailableError(UnreachableError):
    """The registry does not answer, so nothing can be said of a record that names a schema of it."""


class SchemaLookup:
    """Schemas by the registry's id or GUID; an instance is a :data:`~clickreel.contract.verdict.Lookup`.

    Args:
        ask: Asks the registry; None while none is known.
        topic: The topic, for the schema's name.
        find_registry: Looks for a registry where none is known, such as a local one that was not running yet; asked every
            :data:`AGAIN_S` seconds when a message needs one.
        clock: Seconds that never go back.
        answer_s: See :data:`ANSWER_S`.
    """

    def __init__(
        self,
        ask: Ask | None,
        topic: str,
        *,
        find_registry: Callable[[], Ask | None] | None = None,
        clock: Callable[[], float] = time.monotonic,
        answer_s: float = ANSWER_S,
    ) -> None:
        self._ask, self._find_registry, self._subject = ask, find_registry, subject("value", topic)
        self._clock, self._answer_s = clock, answer_s
        self._known: dict[int | str, Schema] = {}
        self._missed: dict[int | str, float] = {}
        self._away = ""  # why the registry is not asked
        self._away_until = -1.0

    @property
    def is_away(self) -> bool:
        """Whether the registry did not answer lately and is not asked for now."""
        return self._clock() < self._away_until

    def __call__(self, named: int | str) -> Schema | None:
        """The schema that a message names; None when the registry does not know it, or where there is none.

        Raises:
            SchemaUnavailableError: The registry does not answer.
        """
        if named in self._known:
            return self._known[named]
        if self._clock() - self._missed.get(named, -AGAIN_S) < AGAIN_S:
            return None
        if self.is_away:
            raise SchemaUnavailableError(self._away)
        try:
            text = self._ask_in_time(named)
        except ClickreelError as exc:
            # Whatever it is, it says nothing of the message.
            self._away, self._away_until = exc.message, self._clock() + AGAIN_S
            log.warning(
                "%s; messages that need schema %s are validated when it does, asking again in %.0f s",
                exc.message,
                named,
                AGAIN_S,
                extra={"subject": self._subject},
            )
            raise SchemaUnavailableError(self._away) from exc
        if text is None:
            while len(self._missed) >= _REMEMBERED:
                del self._missed[next(iter(self._missed))]
            self._missed[named] = self._clock()
            return None
        while len(self._known) >= _REMEMBERED:
            del self._known[next(iter(self._known))]
        self._known[named] = Schema(self._subject, 0, text, named if isinstance(named, int) else None)
        return self._known[named]

    def _ask_in_time(self, named: int | str) -> str | None:
        """Ask the registry; a client's own time-outs do not bound an answer that trickles."""
        if self._ask is None and self._find_registry is not None:
            self._ask = self._find_registry()
            if self._ask is None:
                raise UnreachableError("no schema registry is running", hint="clickreel up")
        ask = self._ask
        if ask is None:
            return None
        answers: list[str | None] = []
        errors: list[ClickreelError] = []

        def wait() -> None:
            try:
                answers.append(ask(named))
            except ClickreelError as exc:
                errors.append(exc)

        thread = threading.Thread(target=wait, name="registry", daemon=True)
        thread.start()
        thread.join(self._answer_s)
        if errors:
            raise errors[0]
        if not answers:
            raise UnreachableError(
                f"the schema registry does not answer within {self._answer_s:.0f} s", hint="clickreel status"
            )
        return answers[0]
