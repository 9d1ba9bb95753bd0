-- Trending, written back to Kafka: every minute the ten films opened by most people in the last ten, into the topic dvd_trending.
create table if not exists dvd_trending (
  window_end timestamp(3),
  place bigint,
  film_id int,
  people bigint,
  opened bigint
);

insert into dvd_trending
select window_end, place, film_id, people, opened
from (
  select
    *,
    row_number() over (partition by window_start, window_end order by people desc, opened desc, film_id) as place
  from (
    select window_start, window_end, film_id, count(distinct user_id) as people, count(*) as opened
    from table(
      hop(table dvd_clicks, descriptor(`$rowtime`), interval '1' minute, interval '10' minute)
    )
    where event_type = 'detail_view'
    group by window_start, window_end, film_id
  )
)
where place <= 10;
