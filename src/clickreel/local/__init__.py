"""The embedded stack: Java, Kafka, registry, ClickHouse and Flink on your own machine."""
