"""The true effect of a change: what each person did in the world, and in the changed world."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from clickreel.contract import vocabulary
from clickreel.errors import UsageError
from clickreel.events import Deliveries, Events
from clickreel.simulate.intervention import FORMS, parse_change
from clickreel.simulate.world import World

_DAY_MS = 86_400_000
_KINDS = len(vocabulary.EVENT_TYPES)


def changed_world(world: World, change: str) -> World:
    """The world with one thing changed, and the same people in it.

    Raises:
        UsageError: Nothing is changed, or what is meant is not there.
    """
    intervention = parse_change(change)
    if not intervention.kind:
        raise UsageError("nothing is changed", hint=f"give {FORMS}")
    if intervention.film_id and intervention.film_id not in world.catalogue.film_id:
        raise UsageError(
            f"--change names film {intervention.film_id}, which does not exist", hint="clickreel simulate --films FILE"
        )
    settings = replace(
        world.settings, change=change, run=None if world.settings.run is None else f"{world.run}-changed"
    )
    return World(settings, world.catalogue)


@dataclass
class EffectCounts:
    """Counts of both worlds, gathered block by block.

    Attributes:
        films: Ids of the films, ascending.
        by_user: For each world, events by user number and type (int64[users, types]).
        by_film: For each world, events by film and type (int64[films, types]).
    """

    films: NDArray[np.int32]
    by_user: list[NDArray[np.int64]]
    by_film: list[NDArray[np.int64]]

    @staticmethod
    def of_world(world: World, end_ms: int) -> EffectCounts:
        """Room for all who come until an instant."""
        people = world.population.last_user(end_ms // _DAY_MS + 1) + 1
        films = np.sort(world.catalogue.film_id)
        return EffectCounts(
            films,
            [np.zeros((people, _KINDS), np.int64) for _ in range(2)],
            [np.zeros((len(films), _KINDS), np.int64) for _ in range(2)],
        )

    def add(self, events: Events, which: int) -> None:
        """Count events of the world (0) or the changed world (1)."""
        kind = events.event_type.astype(np.int64)
        for table, row in (
            (self.by_user, events.user.astype(np.int64)),
            (self.by_film, np.searchsorted(self.films, events.film)),
        ):
            cells = np.bincount(row * _KINDS + kind, minlength=table[which].size)
            table[which] += cells.reshape(table[which].shape)

    def table(self) -> pa.Table:
        """One row a person who came in either world: the four types of events in both."""
        here = np.flatnonzero((self.by_user[0].sum(axis=1) > 0) | (self.by_user[1].sum(axis=1) > 0))
        columns: dict[str, object] = {"user_id": [f"u_{user}" for user in here.tolist()]}
        for which, name in enumerate(("base", "changed")):
            columns |= {
                f"{kind}_{name}": self.by_user[which][here, code] for code, kind in enumerate(vocabulary.EVENT_TYPES)
            }
        return pa.table(columns)

    def totals(self, film_id: int = 0) -> dict[str, dict[str, int]]:
        """Events by type in both worlds, and the difference; of one film where its id is given."""
        found = self.by_film if film_id else self.by_user
        rows = slice(None) if not film_id else int(np.searchsorted(self.films, film_id))
        base, changed = (np.atleast_2d(table[rows]).sum(axis=0).tolist() for table in found)
        return {
            kind: {"base": base[code], "changed": changed[code], "difference": changed[code] - base[code]}
            for code, kind in enumerate(vocabulary.EVENT_TYPES)
        }


def blocks_of_both(base: World, changed: World, span: tuple[int, int]) -> Iterator[tuple[int, Deliveries]]:
    """The deliveries of both worlds, day by day: 0 and those of the world, 1 and those of the changed one."""
    cursors = [base.cursor(span[0]), changed.cursor(span[0])]
    for end in range(span[0] + _DAY_MS, span[1] + _DAY_MS, _DAY_MS):
        for which, cursor in enumerate(cursors):
            yield which, cursor.advance(min(end, span[1]))
