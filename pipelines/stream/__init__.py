"""What a pipeline is, and how it treats records. Who moves records in and out is elsewhere."""
