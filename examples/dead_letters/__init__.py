"""A message that can't be handled, and how it is mended."""
