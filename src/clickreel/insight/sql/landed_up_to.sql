-- How far each partition has landed: read from a projection.
SELECT _topic_id AS topic, _partition AS part, max(_offset) AS place
FROM dvd_clicks_landing
GROUP BY _topic_id, _partition
