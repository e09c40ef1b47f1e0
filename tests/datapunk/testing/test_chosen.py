"""Time and ids that a test chooses."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from datapunk.testing import Clock, Ids


def test_a_clock_stands_still(clock: Clock) -> None:
    assert clock.now() == clock.now() == datetime(2026, 1, 1, tzinfo=UTC)


def test_a_clock_goes_on_when_told(clock: Clock) -> None:
    clock.advance(days=1, hours=1)
    assert clock.advance(minutes=1, seconds=1) == clock.now() == datetime(2026, 1, 2, 1, 1, 1, tzinfo=UTC)


def test_a_clock_does_not_run_back(clock: Clock) -> None:
    with pytest.raises(ValueError, match="doesn't run back"):
        clock.advance(seconds=-1)


def test_ids_are_the_same_in_each_run(ids: Ids) -> None:
    assert str(ids.next()) == "01900000-0000-7000-8000-000000000001"


def test_ids_are_valid_and_different(ids: Ids) -> None:
    many = [ids.next() for _ in range(1000)]
    assert len(set(many)) == 1000
    assert {(id.version, id.variant) for id in many} == {(7, "specified in RFC 4122")}
