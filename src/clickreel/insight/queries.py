"""The statements behind the answers, as files: read, run and shown as they are.

A window begins and ends at any millisecond, the projections of the landing table (migrations 0007 and 0009) hold whole hours and minutes. So a chart
asks twice: for the whole hours of its window, which ClickHouse reads from a projection, and for the rest of it, which it reads row by row.
ClickHouse finds a projection by comparing expressions: the conditions here must stay word for word those of the projections. It weighs each of
them, some 30 ms at a hundred million events, unless it is told which one a statement needs: see ``projection`` in
:meth:`clickreel.warehouse.client.Client.rows`. Rows are read all the same where a part does not have it.
"""

from __future__ import annotations

import functools
import importlib.resources

_MINUTE_MS, _HOUR_MS, _DAY_MS = 60_000, 3_600_000, 86_400_000
_FROM, _END = "{from_ms:Int64}", "{end_ms:Int64}"
# A session lasts at most so long: who asks about those that begin in a window must know whether they began before it.
_FROM_6H_EARLIER = f"({_FROM} - {6 * _HOUR_MS})"


def _number(step_ms: int) -> str:
    return f"intDiv(toUnixTimestamp64Milli(event_ts), {step_ms})"


def _instant(ms: str) -> str:
    return f"fromUnixTimestamp64Milli({ms}, 'UTC')"


def _full(step_ms: int, begin: str = _FROM) -> str:
    """The whole steps of a window."""
    return (
        f"{_number(step_ms)} >= intDiv({begin} + {step_ms - 1}, {step_ms}) "
        f"AND {_number(step_ms)} < intDiv({_END}, {step_ms})"
    )


def _outside(step_ms: int, begin: str = _FROM) -> str:
    """The rest of the window, before the first whole step and after the last; all of it when it has none."""
    first = f"intDiv({begin} + {step_ms - 1}, {step_ms}) * {step_ms}"
    last = f"intDiv({_END}, {step_ms}) * {step_ms}"
    return (
        f"(event_ts >= {_instant(begin)} AND event_ts < {_instant(f'least({first}, {_END})')} "
        f"OR event_ts >= {_instant(f'greatest({first}, {last})')} AND event_ts < {_instant(_END)})"
    )


# The columns of an event that is no view; all views are alike (migration 0009).
_ACT = {
    "act_user": "if(event_type = 'view', 0, user)",
    "act_session": "if(event_type = 'view', 0, session)",
    "act_ms": "if(event_type = 'view', 0, toUnixTimestamp64Milli(event_ts))",
    "act_film": "if(event_type = 'view', 0, film_id)",
}
# The days that a window touches.
_DAYS = f"{_number(_DAY_MS)} >= intDiv({_FROM}, {_DAY_MS}) AND {_number(_DAY_MS)} <= intDiv({_END} - 1, {_DAY_MS})"
# The films opened in a window: (session, film, ms), a row a click.
_OPENINGS = f"""(
    SELECT {_ACT["act_session"]} AS session, {_ACT["act_film"]} AS film, {_ACT["act_ms"]} AS ms
    FROM dvd_clicks_landing
    WHERE error = '' AND event_type = 'detail_view'
        AND {_DAYS} AND {_ACT["act_ms"]} >= {_FROM} AND {_ACT["act_ms"]} < {_END}
    GROUP BY session, film, ms
)"""

_PIECES = {
    **_ACT,
    "openings": _OPENINGS,
    "minute": _number(_MINUTE_MS),
    "hour": _number(_HOUR_MS),
    "day": _number(_DAY_MS),
    "full_minutes": _full(_MINUTE_MS),
    "outside_minutes": _outside(_MINUTE_MS),
    "full_hours": _full(_HOUR_MS),
    "outside_hours": _outside(_HOUR_MS),
    "in_window": f"event_ts >= {_instant(_FROM)} AND event_ts < {_instant(_END)}",
    "full_hours_6h_more": _full(_HOUR_MS, _FROM_6H_EARLIER),
    "outside_hours_6h_more": _outside(_HOUR_MS, _FROM_6H_EARLIER),
    # Beside whole hours, for projections that are ordered by day and film.
    "days": _DAYS,
    "hours_before_end": f"{_number(_HOUR_MS)} < intDiv({_END}, {_HOUR_MS})",
    "rest_before_end": (
        f"event_ts >= {_instant(f'intDiv({_END}, {_HOUR_MS}) * {_HOUR_MS}')} AND event_ts < {_instant(_END)}"
    ),
}


@functools.cache
def _file(name: str) -> str:
    return _filled(importlib.resources.files(__package__).joinpath("sql", f"{name}.sql").read_text(encoding="utf-8"))


def _filled(sql: str) -> str:
    for piece, value in _PIECES.items():
        sql = sql.replace(f"{{{piece}}}", value)
    return sql


def text(name: str, **pieces: str) -> str:
    """A statement.

    Args:
        name: The file in ``sql/``, without its suffix.
        pieces: SQL for the places ``{piece}``; values do not belong here, they are parameters (``{name:Type}``).
    """
    sql = _file(name)
    for piece, value in pieces.items():
        assert f"{{{piece}}}" in sql, f"{name}.sql has no place for {piece}"
        sql = sql.replace(f"{{{piece}}}", value)
    return _filled(sql)
