"""The module orders."""
