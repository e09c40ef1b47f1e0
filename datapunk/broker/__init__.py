"""RabbitMQ: what is declared there, and how messages get in and out of it."""
