-- Events that arrived more than once, and whether their copies say the same.
select
  event_id,
  count(*) as copies,
  count(distinct concat_ws('|', user_id, session_id, cast(film_id as string), event_type, page, cast(`position` as string), device, referrer)) as contents,
  timestampdiff(second, cast(min(`$rowtime`) as timestamp(3)), cast(max(`$rowtime`) as timestamp(3))) as apart_s
from dvd_clicks
group by event_id
having count(*) > 1;
