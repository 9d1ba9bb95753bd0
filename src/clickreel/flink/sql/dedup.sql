-- Each event once: of the copies that carry one event_id the first to arrive is kept. The ids seen are forgotten after an hour.
set 'table.exec.state.ttl' = '1 h';

create temporary view clicks_once as
select `$rowtime`, event_id, event_ts, user_id, session_id, film_id, event_type, page, `position`, device, referrer
from (
  select *, row_number() over (partition by event_id order by arrival) as copy_number
  from (select *, proctime() as arrival from dvd_clicks)
)
where copy_number = 1;

select * from clicks_once;
