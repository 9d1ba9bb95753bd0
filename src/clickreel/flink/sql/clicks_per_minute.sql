-- Clicks and people per minute: a tumbling window over the time at which events were delivered.
select
  window_start,
  count(*) as clicks,
  count(distinct user_id) as users,
  count(distinct session_id) as sessions
from table(tumble(table dvd_clicks, descriptor(`$rowtime`), interval '1' minute))
group by window_start, window_end;
