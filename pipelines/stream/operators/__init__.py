"""Operators on batches of records, with keyed state and event time. ADR 0011 tells how they fit together."""
