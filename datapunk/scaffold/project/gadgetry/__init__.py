"""The module gadgetry."""
