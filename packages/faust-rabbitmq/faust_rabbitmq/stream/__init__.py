"""RabbitMQ's stream protocol: reading and writing the streams behind the partitions of a topic."""
