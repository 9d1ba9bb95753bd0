"""What a partition should hold against what it holds, in order, as both go by.

Both sides are sequences of rows that are named by a hash of their bytes. Where they differ, the next place where they agree again is
looked for, a few thousand rows ahead: what the expected side has in between is missing, what the other side has is extra. At the
end, extra rows that were missing elsewhere are out of place; extra rows of the run that are not missing anywhere are there twice.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

# How far ahead two sequences are searched for the next place where they agree.
WINDOW = 5_000
# As many rows in a row must agree there, so that a chance repetition (the same flawed bytes) is no agreement.
_AGREE = 3
# A partition with more differences than this has not been produced by the expected run; the exact number helps nobody.
DIFFERENCES_MAX = 200_000


@dataclass(frozen=True, slots=True)
class SequenceRows:
    """Rows of one side.

    Attributes:
        name: Hash of key and value (int64[n]).
        id_hi: Upper 64 bits of the event's id; 0 where it cannot be read (uint64[n]).
        id_lo: Lower 64 bits (uint64[n]).
        at: Expected side: when it is delivered, ms since 1970. Other side: its offset (int64[n]).
        reason: Expected side: which rule the row was made to break, as a number that the caller gives; 0 for a good one (int16[n]).
    """

    name: NDArray[np.int64]
    id_hi: NDArray[np.uint64]
    id_lo: NDArray[np.uint64]
    at: NDArray[np.int64]
    reason: NDArray[np.int16]

    def __len__(self) -> int:
        """How many rows there are."""
        return len(self.name)

    def part(self, rows: slice | NDArray[np.intp] | NDArray[np.bool_]) -> SequenceRows:
        """Some of the rows."""
        return SequenceRows(*(getattr(self, field.name)[rows] for field in fields(self)))

    @staticmethod
    def join(parts: list[SequenceRows]) -> SequenceRows:
        """Parts one after the other; none give no rows."""
        if not parts:
            none = np.empty(0, np.int64)
            return SequenceRows(none, none.view(np.uint64), none.view(np.uint64), none, np.empty(0, np.int16))
        if len(parts) == 1:
            return parts[0]
        return SequenceRows(
            *(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(SequenceRows))
        )


@dataclass(frozen=True, slots=True)
class Differences:
    """What became of the rows on which the sides did not agree.

    Attributes:
        missing: Expected rows that are not there.
        doubled: Rows of the run that are there once more than expected.
        foreign: Rows that cannot be told to be the run's.
        out_of_place: Expected rows that are there, but not in their place.
    """

    missing: SequenceRows
    doubled: SequenceRows
    foreign: SequenceRows
    out_of_place: SequenceRows


class SequenceDiff:
    """One partition.

    Args:
        late_start: Whether the partition's beginning is gone (deleted by retention): then the expected rows in front of the first one
            that is there are not missing.
    """

    def __init__(self, *, late_start: bool = False) -> None:
        self._late_start = late_start
        self._expected: list[SequenceRows] = []
        self._found: list[SequenceRows] = []
        self._missing: list[SequenceRows] = []
        self._extra: list[SequenceRows] = []
        self.expected = 0
        self.found = 0
        self.last_ms = 0  # when the last agreed row is delivered
        self.reasons: Counter[int] = Counter()  # of the expected rows so far
        self._broken: set[int] = set()  # names of the expected rows whose id cannot be read back from their bytes

    def expect(self, rows: SequenceRows) -> None:
        """More rows that should be there."""
        self._expected.append(rows)
        self._broken.update(rows.name[rows.reason > 0].tolist())

    def find(self, rows: SequenceRows) -> None:
        """More rows that are there."""
        self._found.append(rows)

    @property
    def waiting(self) -> tuple[int, int]:
        """How many expected and how many found rows have not been compared yet."""
        return sum(map(len, self._expected)), sum(map(len, self._found))

    @property
    def hopeless(self) -> bool:
        """Whether there are more differences than are worth keeping."""
        return sum(map(len, self._missing)) + sum(map(len, self._extra)) > DIFFERENCES_MAX

    def match(self, *, expected_end: bool = False, found_end: bool = False, complete: bool = False) -> None:
        """Compare as far as both sides are known.

        Args:
            expected_end: No more rows will be expected.
            found_end: No more rows will be found, for now.
            complete: What is expected must be there now; otherwise what is expected behind the last found row is on its way.
        """
        expected, found = SequenceRows.join(self._expected), SequenceRows.join(self._found)
        if self._late_start:
            expected, found = self._begin(expected, found, found_end=found_end)
        while len(expected) and len(found):
            common = min(len(expected), len(found))
            differs = expected.name[:common] != found.name[:common]
            same = int(np.argmax(differs)) if differs.any() else common
            self._agree(expected.part(slice(same)), same)
            expected, found = expected.part(slice(same, None)), found.part(slice(same, None))
            if same == common:
                break
            short = (len(expected) < WINDOW and not expected_end) or (len(found) < WINDOW and not found_end)
            if short:
                break
            strangers = self._strangers(expected, found)
            if strangers.any():
                self._surplus(found.part(strangers))
                found = found.part(~strangers)
                continue
            left, right = _agreement(expected.name[:WINDOW], found.name[:WINDOW])
            if right == len(found) and found_end and not complete:
                left = 0  # nothing found agrees any more: what is expected may still come
            self._miss(expected.part(slice(left)))
            self._surplus(found.part(slice(right)))
            expected, found = expected.part(slice(left, None)), found.part(slice(right, None))
        if complete and found_end and expected_end:
            self._miss(expected)
            expected = expected.part(slice(0, 0))
        if expected_end and found_end and not len(expected):
            self._surplus(found)
            found = found.part(slice(0, 0))
        self._expected, self._found = [expected], [found]

    @staticmethod
    def _strangers(expected: SequenceRows, found: SequenceRows) -> NDArray[np.bool_]:
        """Found rows without an id that are not expected soon: somebody else's broken records, which stand in nobody's way (bool[n])."""
        unknown = found.id_lo[:WINDOW] == 0
        out = np.zeros(len(found), bool)
        if unknown.any():
            out[:WINDOW] = unknown & ~np.isin(found.name[:WINDOW], expected.name[:WINDOW])
        return out

    def _begin(
        self, expected: SequenceRows, found: SequenceRows, *, found_end: bool
    ) -> tuple[SequenceRows, SequenceRows]:
        """Drop the expected rows in front of the first one that is there."""
        head = found.name[:WINDOW]
        if len(head) < WINDOW and not found_end:
            return expected, found
        places = np.flatnonzero(np.isin(expected.name, head))
        if not len(places):
            return expected.part(slice(0, 0)), found
        self._late_start = False
        return expected.part(slice(int(places[0]), None)), found

    def _agree(self, expected: SequenceRows, count: int) -> None:
        self.found += count
        self._count(expected)
        if count:
            self.last_ms = int(expected.at[-1])

    def _count(self, rows: SequenceRows) -> None:
        self.expected += len(rows)
        for reason, count in enumerate(np.bincount(rows.reason, minlength=1).tolist()):
            if reason and count:
                self.reasons[reason] += count

    def _miss(self, rows: SequenceRows) -> None:
        self._count(rows)
        if len(rows):
            self._missing.append(rows)

    def _surplus(self, rows: SequenceRows) -> None:
        self.found += len(rows)
        if len(rows):
            self._extra.append(rows)

    def differences(self) -> Differences:
        """What is known so far about the rows on which the sides did not agree."""
        missing, extra = SequenceRows.join(self._missing), SequenceRows.join(self._extra)
        wanted = Counter(missing.name.tolist())
        elsewhere = np.zeros(len(extra), bool)
        for row, name in enumerate(extra.name.tolist()):
            if wanted[name] > 0:
                wanted[name] -= 1
                elsewhere[row] = True
        still = np.zeros(len(missing), bool)
        for row, name in reversed(list(enumerate(missing.name.tolist()))):
            if wanted[name] > 0:
                wanted[name] -= 1
                still[row] = True
        ours = (extra.id_lo != 0) | np.array([name in self._broken for name in extra.name.tolist()], bool)
        return Differences(
            missing.part(still), extra.part(~elsewhere & ours), extra.part(~elsewhere & ~ours), extra.part(elsewhere)
        )


def _agreement(expected: NDArray[np.int64], found: NDArray[np.int64]) -> tuple[int, int]:
    """The nearest place at which two sequences agree again; their lengths when there is none."""
    first: dict[int, int] = {}
    for place, name in enumerate(found.tolist()):
        first.setdefault(name, place)
    best = (len(expected), len(found))
    for left, name in enumerate(expected.tolist()):
        if left >= sum(best):
            break
        right = first.get(name)
        if right is None or left + right >= sum(best):
            continue
        run = min(_AGREE, len(expected) - left, len(found) - right)
        if (expected[left : left + run] == found[right : right + run]).all():
            best = (left, right)
    return best
