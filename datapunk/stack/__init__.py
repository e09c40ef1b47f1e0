"""Starts the real servers on a developer's machine."""
