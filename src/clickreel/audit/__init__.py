"""The proof: simulator, Kafka and ClickHouse compared event by event; realism scored."""
