"""The thin HTTP facade: commands in, queries and events out."""
