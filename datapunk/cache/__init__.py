"""Answers that are kept until an event touches them: central in Redis, and a small buffer in each process."""
