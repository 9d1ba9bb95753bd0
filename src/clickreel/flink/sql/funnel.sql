-- From seen to saved: films that a person saw, opened and put on the watchlist in one session, with or without the trailer.
select *
from dvd_clicks
match_recognize (
  partition by session_id, film_id
  order by `$rowtime`
  measures
    last(seen.`$rowtime`) as seen_at,
    opened.`$rowtime` as opened_at,
    last(trailer.`$rowtime`) as trailer_at,
    saved.`$rowtime` as saved_at
  one row per match
  after match skip past last row
  pattern (seen opened trailer? saved)
  define
    seen as seen.event_type = 'view',
    opened as opened.event_type = 'detail_view',
    trailer as trailer.event_type = 'watch_trailer',
    saved as saved.event_type = 'add_to_watchlist'
) as steps;
