"""Between bytes and Kafka: profile, topic, producer, consumer."""
