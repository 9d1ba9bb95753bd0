-- Sessions as time alone shows them: a person's events with no gap of half an hour; each agrees with one session_id.
select
  min(event_ts) as began,
  max(event_ts) as ended,
  user_id,
  min(session_id) as session_id,
  count(distinct session_id) as session_ids,
  count(*) as clicks,
  count(distinct film_id) as films
from table(
  session(table dvd_clicks partition by user_id, descriptor(`$rowtime`), interval '30' minute)
)
group by window_start, window_end, user_id;
