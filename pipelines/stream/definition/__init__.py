"""The YAML of a pipeline: read, checked against schemas, and built into operators."""
