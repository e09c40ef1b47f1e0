"""History as a file: exported from one event store, and imported into another as it was."""
