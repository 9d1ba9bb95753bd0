"""Flaws happen as often as configured, in the shapes promised, and the ledger names each of them."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from clickreel.contract.vocabulary import DEVICES, FLAWS, MALFORMED
from clickreel.events import Deliveries
from clickreel.simulate.delivery_flaws import DELAY_MAX_MS
from clickreel.simulate.ledger import derive_ledger
from tests.simulate.worlds import DAY_MS, HOUR_MS, MONDAY_MS, world

SPEC = "late=2%,late_batch=3%,out_of_order=2%,duplicate=1.5%,malformed=1%"
SPAN = (MONDAY_MS, MONDAY_MS + 4 * DAY_MS)


@pytest.fixture(scope="module")
def made() -> Deliveries:
    """Four days with everything going wrong."""
    return world(users=12_000, seed=41, flaws=SPEC).deliveries(*SPAN)


def rows(made: Deliveries, name: str) -> np.ndarray[Any, Any]:
    """The deliveries with a flaw."""
    return np.flatnonzero(made.flaw == FLAWS.index(name))


def test_each_flaw_is_as_frequent_as_configured(made: Deliveries) -> None:
    """Within a tenth, batches, which are whole sessions, within a fifth; kinds within a group are equally frequent."""
    count = {name: len(rows(made, name)) for name in FLAWS}
    copies = count["duplicate_same"] + count["duplicate_changed"]
    events = len(made) - copies
    assert count["late"] / events == pytest.approx(0.02, rel=0.1)
    assert count["late_batch"] / events == pytest.approx(0.03, rel=0.2)
    assert count["out_of_order"] / events == pytest.approx(0.02, rel=0.1)
    assert copies / events == pytest.approx(0.015, rel=0.1)
    assert count["duplicate_same"] / copies == pytest.approx(0.5, abs=0.03)
    broken = [count[name] for name in MALFORMED]
    assert sum(broken) / events == pytest.approx(0.01, rel=0.1)
    assert min(broken) / max(broken) > 0.8


def test_deliveries_are_in_order_and_never_before_their_event(made: Deliveries) -> None:
    """In order of (deliver_ms, ts_ms, user); what is not late arrives when it happens, nothing after six hours."""
    delay = made.deliver_ms - made.events.ts_ms
    assert (np.diff(made.deliver_ms) >= 0).all()
    same = np.diff(made.deliver_ms) == 0
    assert (np.diff(made.events.ts_ms)[same] >= 0).all()
    assert delay.min() == 0
    assert delay.max() <= DELAY_MAX_MS
    prompt = np.isin(made.flaw, [FLAWS.index(name) for name in ("none", *MALFORMED)])
    assert (delay[prompt] == 0).all()
    assert delay[rows(made, "late")].min() >= 1000
    assert 50 <= delay[rows(made, "out_of_order")].min() <= delay[rows(made, "out_of_order")].max() <= 3000


def test_a_batch_is_what_a_phone_had_when_it_came_back(made: Deliveries) -> None:
    """All events of the session are late, on a phone or tablet, and arrive together, several at one instant."""
    batch = rows(made, "late_batch")
    sessions = np.unique(made.events.session[batch])
    of_them = np.isin(made.events.session, sessions)
    inside = of_them & (made.events.ts_ms < SPAN[1] - DELAY_MAX_MS) & (made.events.ts_ms > SPAN[0])
    assert set(made.flaw[inside].tolist()) == {FLAWS.index("late_batch")}
    assert DEVICES.index("web") not in made.events.device[batch]
    moments = np.unique(np.stack([made.events.session[batch], made.deliver_ms[batch]]), axis=1).shape[1]
    assert len(batch) / moments > 5


def test_a_duplicate_comes_after_its_original_under_the_same_id(made: Deliveries) -> None:
    """Ids of copies stand exactly twice, all others once; the copy is 0.2 to 30 s behind."""
    copies = np.concatenate([rows(made, "duplicate_same"), rows(made, "duplicate_changed")])
    delay = (made.deliver_ms - made.events.ts_ms)[copies]
    assert 200 <= delay.min() <= delay.max() <= 30_000
    _, first, times = np.unique(made.id_hi ^ made.id_lo, return_index=True, return_counts=True)
    whole = (made.events.ts_ms[first] >= SPAN[0]) & (made.events.ts_ms[first] < SPAN[1] - 60_000)
    copied = np.isin(made.id_hi[first], made.id_hi[copies])
    assert (times[whole & copied] == 2).all()
    assert (times[whole & ~copied] == 1).all()


def test_the_ledger_names_exactly_the_flawed_deliveries(made: Deliveries) -> None:
    """By kind, id, event time and delivery."""
    entries = pa.Table.from_batches(list(derive_ledger(world(users=12_000, seed=41, flaws=SPEC), *SPAN)))
    flaws = entries.filter(pa.compute.equal(entries["kind"], "flaw"))
    flawed = made.take(made.flaw > 0)
    assert flaws["name"].to_pylist() == [FLAWS[code] for code in flawed.flaw.tolist()]
    assert flaws["start_ms"].to_pylist() == flawed.events.ts_ms.tolist()
    assert flaws["end_ms"].to_pylist() == flawed.deliver_ms.tolist()
    first = int(flawed.id_hi[0]) << 64 | int(flawed.id_lo[0])
    assert flaws["event_id"][0].as_py().replace("-", "") == f"{first:032x}"


def test_flaws_leave_the_events_alone() -> None:
    """The same world with and without flaws has the same events."""
    plain, flawed = world(users=500, seed=42), world(users=500, seed=42, flaws="late=5%,malformed=5%")
    span = (MONDAY_MS, MONDAY_MS + 5 * HOUR_MS)
    for name in plain.events(*span).__slots__:
        assert (getattr(plain.events(*span), name) == getattr(flawed.events(*span), name)).all()
