-- Late events: those that arrive after the watermark of event time has passed them, here half a minute behind the newest event.
create temporary table clicks_by_event_time (
  watermark for event_ts as event_ts - interval '30' second
) with ('scan.watermark.emit.strategy' = 'on-event')
like `default`.`cluster_0`.`dvd_clicks` (excluding watermarks overwriting options);

select
  event_id,
  user_id,
  event_ts,
  `$rowtime` as delivered_at,
  timestampdiff(second, event_ts, cast(`$rowtime` as timestamp(3))) as late_s,
  current_watermark(event_ts) as watermark_at
from clicks_by_event_time
where event_ts <= current_watermark(event_ts);
