-- One row a part and step that anybody took: how many meetings of a session with a film had each step at all, and how many reached it through all steps before it.
-- Milliseconds as an unsigned integer, because windowFunnel takes no DateTime64.
WITH meetings AS
(
    SELECT
        session,
        film_id,
        {group} AS part,
        any(user) AS person,
        windowFunnel({within_ms:UInt64})(toUInt64(toUnixTimestamp64Milli(event_ts)), {conditions}) AS level,
        [{has}] AS had,
        [{first}] AS at
    FROM dvd_clicks_landing
    WHERE error = ''
        AND event_ts >= fromUnixTimestamp64Milli({from_ms:Int64}, 'UTC')
        AND event_ts < fromUnixTimestamp64Milli({end_ms:Int64}, 'UTC')
    GROUP BY session, film_id
)
SELECT
    part,
    step,
    countIf(had[step]) AS with_event,
    countIf(level >= step) AS reached,
    uniqExactIf(session, level >= step) AS sessions,
    uniqExactIf(person, level >= step) AS people,
    ifNotFinite(quantileIf(0.5)((at[step] - at[1]) / 1000, level >= step), 0) AS after_s
FROM meetings
ARRAY JOIN arrayEnumerate(had) AS step
-- Most meetings have the first step alone.
WHERE step = 1 OR had[step] OR level >= step
GROUP BY part, step
ORDER BY part, step
