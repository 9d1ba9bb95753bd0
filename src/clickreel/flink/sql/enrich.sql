-- Clicks with the film's name, year and categories; `films` is the catalogue, put into the session by name alone.
select /*+ STATE_TTL('clicks' = '10 min', 'films' = '0 s') */
  clicks.`$rowtime`,
  clicks.user_id,
  clicks.event_type,
  clicks.film_id,
  films.title,
  films.`year`,
  films.categories
from dvd_clicks as clicks
join films on clicks.film_id = films.film_id
where clicks.event_type <> 'view';
