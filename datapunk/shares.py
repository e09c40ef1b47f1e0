"""Which member gets which items: rendezvous hashing with a bound, so that shares are even and few items move.

Each item ranks the members by a hash of (member, item) and goes to the first that isn't full; nobody gets more
than ceil(items / members). Every member computes the same, from the same list, without talking to the others.
Sources: Thaler and Ravishankar, "Using name-based mappings to increase hit rates" (1998); Mirrokni, Thorup and
Zadimoghaddam, "Consistent hashing with bounded loads" (2018).
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b
from uuid import UUID


def shares(members: Iterable[UUID], items: Iterable[str]) -> dict[UUID, set[str]]:
    """Each member's items; all items are given out, if there's any member."""
    ranked = list(members)
    given: dict[UUID, set[str]] = {member: set() for member in ranked}
    wanted = sorted(items)
    if not ranked:
        return given
    most = -(-len(wanted) // len(ranked))
    for item in wanted:
        for member in sorted(ranked, key=lambda member: _score(member, item)):
            if len(given[member]) < most:
                given[member].add(item)
                break
    return given


def _score(member: UUID, item: str) -> bytes:
    return blake2b(item.encode(), key=member.bytes, digest_size=8).digest()
