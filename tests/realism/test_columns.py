from clickreel.audit.realism import timeline
from clickreel.audit.realism.columns import Columns, copies
from clickreel.audit.realism.flaw_rates import behind_ms, relative_error
from tests.realism.build import stream


def test_sessions_stand_by_user_and_start() -> None:
    """Whatever order the rows came in."""
    line = timeline(stream(ts_ms=[50, 10, 30, 20], user=[2, 2, 1, 1], session=[7, 9, 5, 5], film=[3, 1, 2, 1]))
    assert line.ts_ms.tolist() == [20, 30, 10, 50]
    assert line.session.tolist() == [0, 0, 1, 2]
    assert line.sessions.tolist() == [5, 9, 7]
    assert line.starts.tolist() == [0, 2, 3, 4]
    assert line.films[line.film].tolist() == [1, 2, 1, 3]
    assert line.session_user.tolist() == [0, 1, 1]


def test_sessions_of_one_user_that_overlap_are_sorted_by_time_on_request() -> None:
    """`by_user` undoes the grouping by session."""
    line = timeline(stream(ts_ms=[0, 1, 2], session=[1, 2, 1]))
    assert line.ts_ms.tolist() == [0, 2, 1]
    assert line.ts_ms[line.by_user].tolist() == [0, 1, 2]


def test_of_the_copies_of_an_event_the_first_delivered_stays() -> None:
    """The second has another film."""
    columns = stream(ts_ms=[0, 0, 1], film=[1, 2, 3], id_hi=[5, 5, 5], id_lo=[8, 8, 9])
    assert copies(columns).tolist() == [False, True, False]
    assert timeline(columns).films.tolist() == [1, 3]


def test_blocks_join() -> None:
    """Counts of what is malformed add up; ids stay only if all have them."""
    joined = Columns.concat([stream(ts_ms=[1], id_hi=[1], id_lo=[2], malformed=2), stream(ts_ms=[2], malformed=1)])
    assert (len(joined), joined.malformed, joined.id_hi) == (2, 3, None)
    assert len(Columns.concat([])) == 0


def test_behind_the_newest_of_its_partition() -> None:
    """Each partition has its own order."""
    assert behind_ms(stream(ts_ms=[5, 1, 9, 4], partition=[0, 1, 0, 1])).tolist() == [0, 0, 0, 0]
    assert behind_ms(stream(ts_ms=[5, 1, 9, 4])).tolist() == [0, 4, 0, 5]


def test_relative_error_of_a_rate_that_should_be_zero() -> None:
    """None, or infinite."""
    assert (relative_error(0, 0), relative_error(0.1, 0), relative_error(0.9, 1.0)) == (
        0,
        float("inf"),
        0.09999999999999998,
    )
