"""What is committed together is of one moment."""

from __future__ import annotations

from faust.types import TP
from faust_rabbitmq.cut import Cut, Writes
from hypothesis import given
from hypothesis import strategies as st

SOURCES = [TP("a", 0), TP("b", 0)]
LOGS = [TP("x", 0), TP("y", 0)]


def test_a_write_counts_with_the_event_that_caused_it() -> None:
    writes = Writes()
    for offset in (5, 6):
        writes.add(LOGS[0], SOURCES[0], offset).is_stored = True
    assert writes.cut({SOURCES[0]: 6}, {SOURCES[0]: 5}) == Cut({SOURCES[0]: 6}, {LOGS[0]: 1})


def test_an_event_waits_for_its_write_to_be_stored() -> None:
    writes = Writes()
    writes.add(LOGS[0], SOURCES[0], 5)
    assert writes.cut({SOURCES[0]: 6}, {SOURCES[0]: 5}) == Cut({}, {})


def test_an_event_waits_for_what_was_written_before_by_one_that_isnt_done() -> None:
    writes = Writes()
    for source, offset in ((SOURCES[0], 1), (SOURCES[1], 9), (SOURCES[0], 2)):
        writes.add(LOGS[0], source, offset).is_stored = True
    assert writes.cut({SOURCES[0]: 3}, {}) == Cut({SOURCES[0]: 2}, {LOGS[0]: 1})


def test_a_write_without_an_event_counts_in_its_turn() -> None:
    writes = Writes()
    writes.add(LOGS[0], None, 0).is_stored = True
    assert writes.cut({}, {}) == Cut({}, {LOGS[0]: 1})


def test_what_was_committed_isnt_looked_at_again() -> None:
    writes = Writes()
    writes.add(LOGS[0], SOURCES[0], 1).is_stored = True
    writes.committed(writes.cut({SOURCES[0]: 2}, {}).numbers)
    assert writes.uncommitted == 0
    assert writes.add(LOGS[0], SOURCES[0], 2).number == 2


@given(
    st.lists(st.tuples(st.sampled_from(LOGS), st.sampled_from(SOURCES), st.integers(0, 9), st.booleans()), max_size=30),
    st.dictionaries(st.sampled_from(SOURCES), st.integers(0, 10)),
)
def test_an_event_counts_with_all_of_its_writes_or_none(
    given_writes: list[tuple[TP, TP, int, bool]], wanted: dict[TP, int]
) -> None:
    writes = Writes()
    numbered = []
    for log, source, offset, is_stored in given_writes:
        write = writes.add(log, source, offset)
        write.is_stored = is_stored
        numbered.append((log, write.number, source, offset, is_stored))
    cut = writes.cut(wanted, {})
    for log, number, source, offset, is_stored in numbered:
        counts = number <= cut.numbers.get(log, 0)
        assert counts == (offset < cut.offsets.get(source, 0))
        assert is_stored or not counts
    assert all(cut.offsets[source] <= wanted[source] for source in cut.offsets)
