"""Orders: placed, then shipped."""
