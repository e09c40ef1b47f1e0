"""Upcasters: what Avro's schema resolution can't express, as a function from an old record to a newer one.

    @upcasts(DatasetCreated, from_version=1)
    def name_from_title(old: dict[str, Any]) -> dict[str, Any]:
        return {**old, "name": old["title"]}

The function gets the record as it was written by that released version, as plain values, and returns it in the
shape of the present schema. It's applied whenever an event of that version is read; what is stored stays.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from datapunk.errors import ConfigurationError
from datapunk.messages.message import Message

Upcaster = Callable[[dict[str, Any]], dict[str, Any]]

_upcasters: dict[tuple[str, int], Upcaster] = {}


def upcasts(message: type[Message], *, from_version: int) -> Callable[[Upcaster], Upcaster]:
    """Register a function for records of a released version, counted from 1.

    Raises:
        ConfigurationError: if there's one already.
    """

    def register(function: Upcaster) -> Upcaster:
        key = (message.message_type, from_version)
        if key in _upcasters:
            raise ConfigurationError(f"{message.message_type} version {from_version} has two upcasters")
        _upcasters[key] = function
        return function

    return register


def upcaster_of(message_type: str, version: int) -> Upcaster | None:
    """The upcaster for a released version of a message type, if there's one."""
    return _upcasters.get((message_type, version))
