-- The ten films whose pages were opened most in the last quarter of an hour, anew every five minutes: a hopping window, then a ranking in it.
select window_start, window_end, place, film_id, opened
from (
  select
    *,
    row_number() over (partition by window_start, window_end order by opened desc, film_id) as place
  from (
    select window_start, window_end, film_id, count(*) as opened
    from table(
      hop(table dvd_clicks, descriptor(`$rowtime`), interval '5' minute, interval '15' minute)
    )
    where event_type = 'detail_view'
    group by window_start, window_end, film_id
  )
)
where place <= 10;
