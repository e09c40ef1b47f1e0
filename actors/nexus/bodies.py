"""Whether a body fits the schema that it's said to be of, as far as the modules installed here know it."""

from __future__ import annotations

from functools import cache

from datapunk import Rejected
from datapunk.errors import MessageError
from datapunk.messages.registry import Registry
from datapunk.module import find_modules

MAX_BODY = 16 * 1024 * 1024  # bytes: an event has to hold it


def check_body(type: str, body: bytes, content_type: str | None) -> None:
    """Reject a body that nobody could read.

    That of a type that no module here has passes: a process that runs Nexus alone needn't have them all.
    """
    if len(body) > MAX_BODY:
        raise Rejected("body_invalid", f"the body has {len(body):,} bytes, and {MAX_BODY:,} are the limit")
    modules, registry = installed()
    module = type.partition(".")[0]
    if module not in modules and module != "datapunk":
        return
    try:
        registry.decode(type, body, content_type, None)
    except MessageError as error:
        raise Rejected("body_invalid", str(error), {"code": error.code}) from None


@cache
def installed() -> tuple[frozenset[str], Registry]:
    """The names of the modules here, and their messages."""
    modules = find_modules()
    return frozenset(modules), Registry.of(modules.values())
