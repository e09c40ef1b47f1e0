"""Tasks: what is done once, outside of all decisions, in processes of its own; on Dramatiq, over the same RabbitMQ."""
