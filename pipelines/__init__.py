"""Engines of pipelines, pure: no broker, no database, no clock."""
