"""How the stack is now: what was recorded, checked by asking every server."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import repeat

import msgspec

from datapunk.errors import NotAnswering
from datapunk.stack.asking import ask_server
from datapunk.stack.record import PartState, PartStatus, StackRecord


def refreshed(record: StackRecord) -> StackRecord:
    """The record with each part's state as it really is: a part that should answer and doesn't has failed."""
    if not record.parts:
        return record
    with ThreadPoolExecutor(len(record.parts)) as pool:
        parts = pool.map(_refreshed, record.parts, repeat(record.endpoints))
        return msgspec.structs.replace(record, parts=tuple(parts))


def _refreshed(part: PartStatus, endpoints: dict[str, str]) -> PartStatus:
    if part.state not in (PartState.READY, PartState.EXTERNAL):
        return part
    try:
        return msgspec.structs.replace(part, version=ask_server(part.name, endpoints))
    except NotAnswering as error:
        return msgspec.structs.replace(part, state=PartState.FAILED, detail=str(error))
