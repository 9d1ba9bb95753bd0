"""What goes wrong on the way to Kafka, on purpose: late, out of order, twice, malformed.

Each event has at most one flaw, a pure function of (seed, event), so the same world has the same flaws however it is read, and the ledger
can be derived. The shapes:

* ``late``: single events held up by the network, log-normal, half of them under 20 seconds, some for hours;
* ``late_batch``: the phone of a session is offline and makes contact now and then; what happened since arrives all at once;
* ``out_of_order``: up to three seconds, so that neighbours change places;
* ``duplicate``: the event arrives again 0.2 to 30 seconds later, as the same bytes (a retry) or with another payload under the same id (a client that
  has moved on), half and half;
* ``malformed``: the message breaks the contract, in one of the ways of :mod:`clickreel.contract.corrupt`, all equally frequent.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clickreel.contract import vocabulary
from clickreel.errors import UsageError
from clickreel.events import Deliveries, Events
from clickreel.simulate import ids
from clickreel.simulate.draws import U64, Purpose, child, draw, normal, root, uniform

KINDS = ("late", "late_batch", "out_of_order", "duplicate", "malformed")
DELAY_MAX_MS = 6 * 3_600_000
_LATE, _LATE_BATCH, _OUT_OF_ORDER, _SAME, _CHANGED = (
    vocabulary.FLAWS.index(name)
    for name in ("late", "late_batch", "out_of_order", "duplicate_same", "duplicate_changed")
)
_MALFORMED_FIRST = vocabulary.FLAWS.index(vocabulary.MALFORMED[0])
_OUT_OF_ORDER_MAX_MS = 3_000
_COPY_MS = (200, 30_000)
_CONTACT_MS = (300_000, DELAY_MAX_MS)
_ON_THE_MOVE = np.array([name != "web" for name in vocabulary.DEVICES])
# Share of the events that come from a phone or a tablet (measured; phones have more sessions than events).
_ON_THE_MOVE_SHARE = 0.52


@dataclass(frozen=True, slots=True)
class FlawRates:
    """Shares of the events that have each flaw; all 0 by default.

    Attributes:
        late: Held up one by one.
        late_batch: Held up with the rest of their session.
        out_of_order: Held up by a moment.
        duplicate: Delivered twice.
        malformed: Delivered broken.
    """

    late: float = 0.0
    late_batch: float = 0.0
    out_of_order: float = 0.0
    duplicate: float = 0.0
    malformed: float = 0.0

    def any(self) -> bool:
        """Whether anything goes wrong."""
        return any(getattr(self, kind) for kind in KINDS)

    @property
    def delay_max_ms(self) -> int:
        """Longest time from an event to the last delivery of it."""
        if self.late or self.late_batch:
            return DELAY_MAX_MS
        if self.duplicate:
            return _COPY_MS[1]
        return _OUT_OF_ORDER_MAX_MS if self.out_of_order else 0


def parse(spec: str) -> FlawRates:
    """Read ``late=2%,duplicate=0.5%``; shares are percentages or fractions.

    ``late`` alone means both shapes, half of it as whole batches; with ``late_batch`` beside it, each is what it says.

    Raises:
        UsageError: An unknown kind, not a share, or more than 100 % in all.
    """
    shares: dict[str, float] = {}
    for part in filter(None, (part.strip() for part in spec.split(","))):
        kind, found, text = (piece.strip() for piece in part.partition("="))
        kind = kind.replace("-", "_")
        if not found or kind not in KINDS:
            raise UsageError(f"--flaws has {part!r}", hint=f"give KIND=SHARE, KIND one of: {', '.join(KINDS)}")
        if kind in shares:
            raise UsageError(f"--flaws has {kind} twice", hint="give each kind once")
        shares[kind] = _share(kind, text)
    total = sum(shares.values())
    if total > 1:
        raise UsageError(f"--flaws add up to {total:.4g} of the events", hint="allowed: at most 100 % in all")
    if "late" in shares and "late_batch" not in shares:
        shares["late"] = shares["late_batch"] = shares["late"] / 2
    if shares.get("late_batch", 0) > _ON_THE_MOVE_SHARE:
        raise UsageError(
            f"--flaws late_batch={shares['late_batch']:.4g}",
            hint=f"allowed: at most {_ON_THE_MOVE_SHARE:.0%}, the phones",
        )
    return FlawRates(**shares)


def _share(kind: str, text: str) -> float:
    try:
        value = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        value = float("nan")
    if not 0 <= value <= 1:
        raise UsageError(f"--flaws {kind}={text}", hint=f"a share of the events from 0 to 100 %, as {kind}=2%")
    return value


@dataclass(frozen=True)
class Delivery:
    """Turns events into deliveries.

    Args:
        seed: Seed of the world.
        run_tag: The 32 bits of the run.
        rates: What goes wrong.
    """

    seed: int
    run_tag: int
    rates: FlawRates

    def of(self, events: Events) -> Deliveries:
        """All deliveries of some events, in order of (deliver_ms, ts_ms, user, ordinal, copy); with flaws there can be more than events."""
        hi, lo = ids.make(self.run_tag, events.ts_ms, events.user, events.ordinal)
        n = len(events)
        if n == 0 or not self.rates.any():
            return Deliveries(events, hi, lo, events.ts_ms, np.zeros(n, np.uint8), np.zeros(n, np.uint32))
        flaw, key = self._flaws(events)
        variant = (child(key, 3) >> np.uint64(32)).astype(np.uint32)
        copies = np.flatnonzero((flaw == _SAME) | (flaw == _CHANGED))
        delay = self._delays(events, flaw, key)
        rows = np.concatenate([np.arange(n), copies])
        deliver = events.ts_ms[rows] + np.concatenate([np.where(flaw >= _SAME, 0, delay), delay[copies]])
        # The first delivery of what arrives twice has nothing wrong with it.
        flaws = np.concatenate([np.where((flaw == _SAME) | (flaw == _CHANGED), 0, flaw), flaw[copies]]).astype(np.uint8)
        made = Deliveries(events.take(rows), hi[rows], lo[rows], deliver, flaws, variant[rows])
        return in_order(made)

    def _flaws(self, events: Events) -> tuple[NDArray[np.uint8], U64]:
        """The flaw of each event, and the key below which its details are drawn."""
        rates = self.rates
        moment = (events.ts_ms << 16) | events.ordinal
        key = child(child(root(self.seed, Purpose.FLAW), events.user), moment)
        flaw = np.zeros(len(events), np.uint8)
        # What is in a batch has no other flaw; the others take up what that costs them.
        limits = np.cumsum([rates.late, rates.out_of_order, rates.duplicate, rates.malformed]) / (1 - rates.late_batch)
        u = uniform(key)
        broken = np.flatnonzero((u >= limits[2]) & (u < limits[3]))
        kinds = len(vocabulary.MALFORMED)
        flaw[broken] = _MALFORMED_FIRST + (child(key[broken], 1) % np.uint64(kinds)).astype(np.uint8)
        twice = np.flatnonzero((u >= limits[1]) & (u < limits[2]))
        flaw[twice] = np.where(draw(key[twice], 1) < 0.5, _SAME, _CHANGED)
        flaw[u < limits[1]] = _OUT_OF_ORDER
        flaw[u < limits[0]] = _LATE
        if rates.late_batch:
            offline = draw(self._session_keys(events), 0) < rates.late_batch / _ON_THE_MOVE_SHARE
            flaw[offline & _ON_THE_MOVE[events.device]] = _LATE_BATCH
        return flaw, key

    def _session_keys(self, events: Events) -> U64:
        return child(child(root(self.seed, Purpose.FLAW, 1), events.user), events.session)

    def _delays(self, events: Events, flaw: NDArray[np.uint8], key: U64) -> NDArray[np.int64]:
        """Milliseconds from each event to its flawed delivery; 0 for those delivered at once."""
        delay = np.zeros(len(events), np.int64)
        late = np.flatnonzero(flaw == _LATE)
        held_ms = 20_000 * np.exp(1.6 * normal(key[late], 2))
        delay[late] = np.clip(held_ms, 1_000, DELAY_MAX_MS).astype(np.int64)
        swapped = np.flatnonzero(flaw == _OUT_OF_ORDER)
        delay[swapped] = 50 + (draw(key[swapped], 2) * (_OUT_OF_ORDER_MAX_MS - 50)).astype(np.int64)
        copied = np.flatnonzero((flaw == _SAME) | (flaw == _CHANGED))
        least, most = _COPY_MS
        delay[copied] = (least * (most / least) ** draw(key[copied], 2)).astype(np.int64)
        batch = np.flatnonzero(flaw == _LATE_BATCH)
        session = self._session_keys(events.take(batch))
        # The phone makes contact at equal intervals, at a phase of its own: a batch is what happened since the last contact.
        every = np.clip(2_400_000 * np.exp(0.8 * normal(session, 1)), *_CONTACT_MS).astype(np.int64)
        phase = (draw(session, 2) * every).astype(np.int64)
        delay[batch] = every - (events.ts_ms[batch] + phase) % every
        return delay


def in_order(deliveries: Deliveries) -> Deliveries:
    """Deliveries in order of (deliver_ms, ts_ms, user, ordinal, copy)."""
    if len(deliveries) == 0:
        return deliveries
    events = deliveries.events
    # A user has one event per millisecond; of two deliveries of it at one time the second is the copy.
    copy = (deliveries.flaw == _SAME) | (deliveries.flaw == _CHANGED)
    return deliveries.take(np.lexsort((copy, events.user, events.ts_ms, deliveries.deliver_ms)))


def concat(parts: list[Deliveries]) -> Deliveries:
    """The parts, of which there is at least one, one after the other."""
    if len(parts) == 1:
        return parts[0]
    names = ("id_hi", "id_lo", "deliver_ms", "flaw", "variant")
    columns = {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
    return Deliveries(Events.concat([part.events for part in parts]), **columns)
