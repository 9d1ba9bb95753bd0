"""From Kafka to ClickHouse, exactly once."""
