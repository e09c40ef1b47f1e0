# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportPrivateUsage=false
# ^ Faust's generics go without arguments, and its assignor packs what it says in private.
"""Faust's own assignor, asked outside of Kafka: tables stay with their sources, and standbys where they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, cast

from faust.assignor.client_assignment import ClientMetadata
from faust.assignor.partition_assignor import PartitionAssignor
from faust.types import TP, AppT

from faust_rabbitmq.membership import Assigned, Member

__all__ = ["accept", "assign", "describe", "shared_changelogs"]


class _Subscription(NamedTuple):
    """What Kafka's group protocol calls a member's metadata."""

    version: int
    subscription: list[str]
    user_data: bytes


class _Assignment(NamedTuple):
    """What it calls a member's assignment."""

    version: int
    assignment: list[tuple[str, list[int]]]
    user_data: bytes


class _Cluster:
    """As much of Kafka's cluster as the assignor asks."""

    def __init__(self, partitions: Mapping[str, int]) -> None:
        self._partitions = partitions

    def partitions_for_topic(self, topic: str) -> set[int]:
        return set(range(self._partitions.get(topic, 0)))


def describe(app: AppT, topics: Sequence[str]) -> Member:
    """What a worker says of itself: what it had last, and its URL."""
    return Member(list(topics), _assignor(app).metadata(set(topics)).user_data)


def assign(app: AppT, members: Mapping[str, Member], partitions: Mapping[str, int]) -> dict[str, Assigned]:
    """Who gets what.

    Args:
        app: any worker's.
        members: of the group.
        partitions: how many a topic has.
    """
    assignor = _assignor(app)
    described = {name: _Subscription(assignor.version, list(m.topics), m.metadata) for name, m in members.items()}
    assignments = assignor.assign(cast("Any", _Cluster(partitions)), cast("Any", described))
    return {
        name: Assigned(
            [(topic, list(numbers)) for topic, numbers in given.assignment],
            given.user_data,
            frozenset(_owned(app, given.user_data)),
        )
        for name, given in assignments.items()
    }


def accept(app: AppT, assigned: Assigned) -> set[TP]:
    """Tell the assignor what we got; what of it is to be read."""
    listed = [(topic, list(numbers)) for topic, numbers in assigned.partitions]
    assignor = _assignor(app)
    assignor.on_assignment(cast("Any", _Assignment(assignor.version, listed, bytes(assigned.metadata))))
    return {TP(topic, number) for topic, numbers in listed for number in numbers}


def shared_changelogs(app: AppT) -> set[str]:
    """Those that every worker may write to: nobody owns them, so nobody's commit decides what counts."""
    tables: Any = app.tables.values()
    return {table.changelog_topic.get_topic_name() for table in tables if table.is_global or table.use_partitioner}


def _owned(app: AppT, metadata: bytes) -> set[TP]:
    """What one member alone may write or commit."""
    read = cast("Any", ClientMetadata).loads(cast("Any", PartitionAssignor)._decompress(metadata))
    shared = shared_changelogs(app)
    return {tp for tp in read.assignment.active_tps if tp.topic not in shared}


def _assignor(app: AppT) -> Any:
    return app.assignor
