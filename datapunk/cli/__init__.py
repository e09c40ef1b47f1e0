"""The `datapunk` command."""
