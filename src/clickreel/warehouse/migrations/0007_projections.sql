-- Counts by minute and hour that are stored in the part with their rows: an insert stores both or neither, and a mutation (a replay of dead
-- letters) rebuilds them, so they are never behind the rows. A part that has none yet is read row by row: an answer is slower then, never
-- another one. People are exact sets (bitmaps). Which charts read which, and what was measured: docs/adr/0032.
--
-- `error` comes first in each: charts ask for error = ''. Numbers of minutes, hours and days since 1970 and not DateTime, which ends in 2106.
ALTER TABLE dvd_clicks_landing
    ADD PROJECTION IF NOT EXISTS device_minutes
    (
        SELECT
            error,
            intDiv(toUnixTimestamp64Milli(event_ts), 60000),
            device,
            event_type,
            count(),
            groupBitmapState(user)
        GROUP BY error, intDiv(toUnixTimestamp64Milli(event_ts), 60000), device, event_type
    );

ALTER TABLE dvd_clicks_landing
    ADD PROJECTION IF NOT EXISTS device_hours
    (
        SELECT
            error,
            intDiv(toUnixTimestamp64Milli(event_ts), 3600000),
            device,
            event_type,
            count(),
            groupBitmapState(user),
            uniqExactState(session)
        GROUP BY error, intDiv(toUnixTimestamp64Milli(event_ts), 3600000), device, event_type
    );

-- The rows of a film in a day lie together, in small granules: people are read for the few films that are shown.
ALTER TABLE dvd_clicks_landing
    ADD PROJECTION IF NOT EXISTS film_hours
    (
        SELECT
            error,
            intDiv(toUnixTimestamp64Milli(event_ts), 86400000),
            film_id,
            intDiv(toUnixTimestamp64Milli(event_ts), 3600000),
            count(),
            countIf(event_type = 'detail_view'),
            groupBitmapState(user)
        GROUP BY
            error,
            intDiv(toUnixTimestamp64Milli(event_ts), 86400000),
            film_id,
            intDiv(toUnixTimestamp64Milli(event_ts), 3600000)
    )
    WITH SETTINGS (index_granularity = 128);

ALTER TABLE dvd_clicks_landing
    ADD PROJECTION IF NOT EXISTS film_places
    (
        SELECT
            error,
            intDiv(toUnixTimestamp64Milli(event_ts), 86400000),
            film_id,
            intDiv(toUnixTimestamp64Milli(event_ts), 3600000),
            referrer,
            position,
            count(),
            countIf(event_type = 'detail_view')
        GROUP BY
            error,
            intDiv(toUnixTimestamp64Milli(event_ts), 86400000),
            film_id,
            intDiv(toUnixTimestamp64Milli(event_ts), 3600000),
            referrer,
            position
    )
    WITH SETTINGS (index_granularity = 1024);

ALTER TABLE dvd_clicks_landing
    ADD PROJECTION IF NOT EXISTS session_hours
    (
        SELECT
            error,
            intDiv(toUnixTimestamp64Milli(event_ts), 3600000),
            session,
            count(),
            min(event_ts),
            max(event_ts)
        GROUP BY error, intDiv(toUnixTimestamp64Milli(event_ts), 3600000), session
    );

-- For the rows that are there already: in the background, part by part (system.mutations shows how far).
ALTER TABLE dvd_clicks_landing MATERIALIZE PROJECTION device_minutes;
ALTER TABLE dvd_clicks_landing MATERIALIZE PROJECTION device_hours;
ALTER TABLE dvd_clicks_landing MATERIALIZE PROJECTION film_hours;
ALTER TABLE dvd_clicks_landing MATERIALIZE PROJECTION film_places;
ALTER TABLE dvd_clicks_landing MATERIALIZE PROJECTION session_hours;
