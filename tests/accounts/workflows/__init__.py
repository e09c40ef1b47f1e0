"""What accounts do over time."""
