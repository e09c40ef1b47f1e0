"""What modules do once, outside of all decisions, a folder a module."""
