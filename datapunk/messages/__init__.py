"""What travels: commands, events, queries and answers, their Avro schemas and how they're written down."""
