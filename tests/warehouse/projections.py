"""What the projections of the landing table hold, compared with its rows."""

from __future__ import annotations

from clickreel.warehouse.client import Client

_MS = "toUnixTimestamp64Milli(event_ts)"
_MINUTE, _HOUR, _DAY = (f"intDiv({_MS}, {step})" for step in (60_000, 3_600_000, 86_400_000))

# Counts from rows -> the same from states.
_CLICKS = ("count()", "countMerge(`count()`)")
_OPENED = (
    "countIf(equals(event_type, 'detail_view'))",
    r"countIfMerge(`countIf(equals(event_type, 'detail_view'))`)",
)
_PEOPLE = ("groupBitmap(user)", "groupBitmapMerge(`groupBitmapState(user)`)")
_ACTOR = "if(equals(event_type, 'view'), 0, user)"
_ACTORS = (f"groupBitmap({_ACTOR})", f"groupBitmapMerge(`groupBitmapState({_ACTOR})`)")
_FIRST_VIEW = (
    "minIf(event_ts, equals(event_type, 'view'))",
    "minIfMerge(`minIf(event_ts, equals(event_type, 'view'))`)",
)
_SESSIONS = ("uniqExact(session)", "uniqExactMerge(`uniqExactState(session)`)")
_FIRST, _LAST = ("min(event_ts)", "minMerge(`min(event_ts)`)"), ("max(event_ts)", "maxMerge(`max(event_ts)`)")

# By projection: its keys and counts.
PROJECTIONS = {
    "device_minutes": ([_MINUTE, "device", "event_type"], [_CLICKS, _PEOPLE]),
    "device_hours": ([_HOUR, "device", "event_type"], [_CLICKS, _PEOPLE, _SESSIONS]),
    "film_hours": ([_DAY, "film_id", _HOUR], [_CLICKS, _OPENED, _PEOPLE]),
    "film_referrers": ([_DAY, "film_id", _HOUR, "referrer"], [_CLICKS, _OPENED]),
    "film_positions": ([_DAY, "film_id", _HOUR, "position"], [_CLICKS, _OPENED]),
    "session_hours": ([_HOUR, "session"], [_CLICKS, _FIRST, _LAST, _FIRST_VIEW]),
    "acts": (
        [
            "event_type",
            _DAY,
            *(f"if(equals(event_type, 'view'), 0, {column})" for column in ("user", "session", _MS, "film_id")),
        ],
        [_CLICKS],
    ),
    "film_people": (["event_type", _DAY, "if(equals(event_type, 'view'), 0, film_id)"], [_ACTORS]),
    "people_hours": ([_HOUR], [_CLICKS, _PEOPLE]),
    "people_days": ([_DAY], [_CLICKS, _PEOPLE]),
}


def statements(name: str) -> tuple[str, str]:
    """All that a projection says of good rows, from the rows and from the projection."""
    keys, counts = PROJECTIONS[name]
    places = ", ".join(str(place) for place in range(1, len(keys) + 1))
    quoted = ", ".join(f"`{key}`" for key in keys)
    tail = f"WHERE error = '' GROUP BY {places} ORDER BY {places}"
    from_rows = f"SELECT {', '.join(keys)}, {', '.join(rows for rows, _ in counts)} FROM dvd_clicks_landing {tail}"
    from_projection = (
        f"SELECT {quoted}, {', '.join(states for _, states in counts)} "
        f"FROM mergeTreeProjection(currentDatabase(), 'dvd_clicks_landing', '{name}') {tail}"
    )
    return from_rows, from_projection


def check_projections(client: Client) -> None:
    """Every minute, hour, film, place and session of every projection is what the rows say."""
    for name in PROJECTIONS:
        from_rows, from_projection = statements(name)
        rows = client.rows(from_rows, optimize_use_projections=0)
        assert client.rows(from_projection) == rows, name
        assert rows, name
