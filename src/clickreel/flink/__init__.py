"""From Kafka to SQL: the Flink SQL gateway, statements, results, stop."""
