"""Shares: everything is given out, evenly, and little moves when somebody comes or goes."""

from __future__ import annotations

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from datapunk.shares import shares

members = st.lists(st.uuids(), min_size=1, max_size=12, unique=True)
items = st.sets(st.text(max_size=8), max_size=40)


@given(members, items)
def test_every_item_has_exactly_one_owner(members: list[UUID], items: set[str]) -> None:
    given_out = [item for share in shares(members, items).values() for item in share]
    assert sorted(given_out) == sorted(items)


@given(members, items)
def test_nobody_has_more_than_an_even_share(members: list[UUID], items: set[str]) -> None:
    most = -(-len(items) // len(members))
    assert all(len(share) <= most for share in shares(members, items).values())


@given(members, items, st.data())
def test_everybody_computes_the_same_whatever_the_order(
    members: list[UUID], items: set[str], data: st.DataObject
) -> None:
    shuffled = data.draw(st.permutations(members))
    assert shares(shuffled, sorted(items, reverse=True)) == shares(members, items)


def test_without_members_nothing_is_given_out() -> None:
    assert shares([], ["a"]) == {}


@given(st.lists(st.uuids(), min_size=2, max_size=8, unique=True))
def test_little_moves_between_those_who_stay(members: list[UUID]) -> None:
    items = [str(number) for number in range(64)]
    *stay, goes = members
    with_all, without = owners(shares(members, items)), owners(shares(stay, items))
    moved = [item for item in items if with_all[item] != goes and with_all[item] != without[item]]
    # Those of the one who goes must move; of the others a bound that moves half of them would be no better than chance.
    assert len(moved) <= len(items) // 2


def owners(shared: dict[UUID, set[str]]) -> dict[str, UUID]:
    return {item: member for member, share in shared.items() for item in share}
