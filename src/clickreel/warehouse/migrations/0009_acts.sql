-- What people do with a film, apart from the far more frequent views: the events themselves, and the people of each day. Without them, trending
-- reads nine days of rows, and a list for a person all of them. As in 0007 they are stored in the part with their rows. Which answers read
-- which, and what was measured: docs/adr/0032.
--
-- Each event that is no view is one row of `acts`; all views of a day are one row. (A projection with a WHERE would say this more simply; only
-- servers from 2026 on know it.)
ALTER TABLE dvd_clicks_landing
    ADD PROJECTION IF NOT EXISTS acts
    (
        SELECT
            error,
            event_type,
            intDiv(toUnixTimestamp64Milli(event_ts), 86400000),
            if(event_type = 'view', 0, user),
            if(event_type = 'view', 0, session),
            if(event_type = 'view', 0, toUnixTimestamp64Milli(event_ts)),
            if(event_type = 'view', 0, film_id),
            count()
        GROUP BY
            error,
            event_type,
            intDiv(toUnixTimestamp64Milli(event_ts), 86400000),
            if(event_type = 'view', 0, user),
            if(event_type = 'view', 0, session),
            if(event_type = 'view', 0, toUnixTimestamp64Milli(event_ts)),
            if(event_type = 'view', 0, film_id)
    );

-- The people of a film on a UTC day, by what they did.
ALTER TABLE dvd_clicks_landing
    ADD PROJECTION IF NOT EXISTS film_people
    (
        SELECT
            error,
            event_type,
            intDiv(toUnixTimestamp64Milli(event_ts), 86400000),
            if(event_type = 'view', 0, film_id),
            groupBitmapState(if(event_type = 'view', 0, user))
        GROUP BY
            error,
            event_type,
            intDiv(toUnixTimestamp64Milli(event_ts), 86400000),
            if(event_type = 'view', 0, film_id)
    )
    WITH SETTINGS (index_granularity = 128);

-- All people of an hour and of a day: hours of the week and cohorts would merge the twelve sets of each hour by device and event type.
ALTER TABLE dvd_clicks_landing
    ADD PROJECTION IF NOT EXISTS people_hours
    (
        SELECT error, intDiv(toUnixTimestamp64Milli(event_ts), 3600000), count(), groupBitmapState(user)
        GROUP BY error, intDiv(toUnixTimestamp64Milli(event_ts), 3600000)
    );

ALTER TABLE dvd_clicks_landing
    ADD PROJECTION IF NOT EXISTS people_days
    (
        SELECT error, intDiv(toUnixTimestamp64Milli(event_ts), 86400000), count(), groupBitmapState(user)
        GROUP BY error, intDiv(toUnixTimestamp64Milli(event_ts), 86400000)
    );

-- As in 0007, and when a session first saw a film: a funnel of sessions needs no other view.
ALTER TABLE dvd_clicks_landing DROP PROJECTION IF EXISTS session_hours;

ALTER TABLE dvd_clicks_landing
    ADD PROJECTION IF NOT EXISTS session_hours
    (
        SELECT
            error,
            intDiv(toUnixTimestamp64Milli(event_ts), 3600000),
            session,
            count(),
            min(event_ts),
            max(event_ts),
            minIf(event_ts, event_type = 'view')
        GROUP BY error, intDiv(toUnixTimestamp64Milli(event_ts), 3600000), session
    );

ALTER TABLE dvd_clicks_landing MATERIALIZE PROJECTION acts;
ALTER TABLE dvd_clicks_landing MATERIALIZE PROJECTION film_people;
ALTER TABLE dvd_clicks_landing MATERIALIZE PROJECTION people_hours;
ALTER TABLE dvd_clicks_landing MATERIALIZE PROJECTION people_days;
ALTER TABLE dvd_clicks_landing MATERIALIZE PROJECTION session_hours;
