"""Postgres: the event store, the inbox, the outbox, snapshots."""
