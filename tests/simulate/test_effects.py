import dataclasses
from pathlib import Path

import numpy as np
import orjson
import pyarrow.parquet as pq
import pytest

from clickreel.cli.app import run
from clickreel.contract.vocabulary import EVENT_TYPES, PAGES
from clickreel.errors import UsageError
from clickreel.events import Events
from clickreel.simulate.effects import changed_world
from clickreel.simulate.intervention import parse_change
from clickreel.simulate.world import World
from tests.simulate.worlds import DAY_MS, HOUR_MS, MONDAY_MS, world

SPAN = (MONDAY_MS, MONDAY_MS + 3 * DAY_MS)
VIEW, DETAIL = EVENT_TYPES.index("view"), EVENT_TYPES.index("detail_view")
BASE = {"users": 1500, "seed": 51}


def both(change: str) -> tuple[Events, Events, World]:
    """Events of the world and of the changed one."""
    base = world(**BASE)
    changed = changed_world(base, change)
    return base.events(*SPAN), changed.events(*SPAN), changed


def rows(events: Events) -> set[tuple[int, ...]]:
    """Events without their ordinals, which count what came before."""
    names = [field.name for field in dataclasses.fields(events) if field.name != "ordinal"]
    return set(zip(*(getattr(events, name).tolist() for name in names), strict=True))


def test_the_same_people_come_at_the_same_times() -> None:
    """A change of the ranker changes what is opened, not who comes when; the run is another one."""
    before, after, changed = both("ranker=0.2")
    starts = [{(s, u) for s, u in zip(e.session.tolist(), e.user.tolist(), strict=True)} for e in (before, after)]
    assert starts[0] == starts[1]
    clicks = [int((e.event_type == DETAIL).sum()) for e in (before, after)]
    assert clicks[1] < 0.93 * clicks[0]
    assert changed.run != world(**BASE).run
    assert changed.users == world(**BASE).users


def test_a_placed_film_stands_where_it_is_put_and_is_opened_more() -> None:
    """On the home lists of everybody, but for those that hold something else there."""
    film = int(world(**BASE).catalogue.film_id[700])
    before, after, _ = both(f"place={film},1")
    home = PAGES.index("home")
    first = [(e.page == home) & (e.position == 1) & (e.event_type == VIEW) for e in (before, after)]
    assert (after.film[first[1]] == film).mean() > 0.8
    opened = [int(((e.event_type == DETAIL) & (e.film == film)).sum()) for e in (before, after)]
    assert opened[1] > opened[0] + 5


def test_an_outage_takes_its_hours_and_nothing_before_them() -> None:
    """No event in it; before it, all is as it was; sessions it met do not go on."""
    begin = MONDAY_MS + 20 * HOUR_MS
    before, after, _ = both("outage=2026-01-05T20:00,2")
    inside = (after.ts_ms >= begin) & (after.ts_ms < begin + 2 * HOUR_MS)
    assert not inside.any()
    assert rows(before.take(before.ts_ms < begin)) == rows(after.take(after.ts_ms < begin))
    met = np.unique(before.session[(before.ts_ms >= begin) & (before.ts_ms < begin + 2 * HOUR_MS)])
    assert len(met) > 20
    assert not np.isin(after.session[after.ts_ms >= begin], met).any()
    assert rows(after) < rows(before)


def test_a_burst_by_hand_is_felt_and_in_the_ledger() -> None:
    """From its beginning on."""
    film = int(world(**BASE).catalogue.film_id[600])
    before, after, changed = both(f"burst={film},2026-01-06T12:00,0.5")
    begin = MONDAY_MS + 36 * HOUR_MS
    assert rows(before.take(before.ts_ms < begin - 15 * HOUR_MS)) == rows(
        after.take(after.ts_ms < begin - 15 * HOUR_MS)
    )
    opened = [int(((e.event_type == DETAIL) & (e.film == film)).sum()) for e in (before, after)]
    assert opened[1] > opened[0] + 30
    assert any(burst.film == 600 and burst.start_ms == begin for burst in changed.model.trends.bursts(*SPAN))


@pytest.mark.parametrize(
    "text",
    ["ranker", "ranker=2", "place=1", "place=1,0.5", "place=a,1", "burst=1,2026-01-06,3", "outage=never,1", "x=1"],
)
def test_other_changes_are_refused(text: str) -> None:
    """With what is allowed."""
    with pytest.raises(UsageError):
        parse_change(text)


def test_the_command_writes_both_worlds_and_the_effect(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The effect, person by person, adds up to the difference of the files."""
    out = tmp_path / "events.parquet"
    arguments = ["simulate", "--out", str(out), "--users", "300", "--days", "2", "--change", "place=5,1", "--json"]
    assert run(arguments) == 0
    answer = orjson.loads(capsys.readouterr().out)
    effect = pq.read_table(answer["files"]["effect"])
    for name in ("base", "changed"):
        events = pq.read_table(answer["files"][name])
        opened = sum(kind == "detail_view" for kind in events["event_type"].to_pylist())
        assert sum(effect[f"detail_view_{name}"].to_pylist()) == answer["effect"]["all"]["detail_view"][name] == opened
    assert answer["effect"]["film 5"]["view"]["difference"] > 0
