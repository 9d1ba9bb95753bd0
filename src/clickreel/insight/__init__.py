"""From ClickHouse to answers: trending, funnel, activity, recommendations."""
