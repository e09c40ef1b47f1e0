"""Files of data: read in chunks that can be read again alone, checked against a schema, and written."""
