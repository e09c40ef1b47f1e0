"""What things of a schema are called in Python."""

from __future__ import annotations

from keyword import iskeyword

RESERVED_MEMBERS = frozenset({"mro"})  # of enum classes


def python_name(name: str) -> str:
    """The attribute for a field: its own name, with an underscore where Python reserves it."""
    return f"{name}_" if iskeyword(name) else name


def member_name(symbol: str) -> str:
    """The member for an enum's symbol, with an underscore where Python or its enums reserve it."""
    is_sunder = symbol.startswith("_") and symbol.endswith("_")
    return f"{symbol}_" if iskeyword(symbol) or symbol in RESERVED_MEMBERS else f"s{symbol}" if is_sunder else symbol
