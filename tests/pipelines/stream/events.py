"""Random readings: with ties, at edges of windows, across leap days and changes of the clock, out of order."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

from pipelines.stream.operators.record import Value

# A leap day, New Year in a leap year, both changes of New York's clock, the epoch, and before it.
AROUND = [
    datetime(2024, 2, 29, 23, 30, tzinfo=UTC),
    datetime(2023, 12, 31, 23, 30, tzinfo=UTC),
    datetime(2013, 3, 10, 6, 30, tzinfo=UTC),
    datetime(2013, 11, 3, 5, 30, tzinfo=UTC),
    datetime(1970, 1, 1, tzinfo=UTC),
    datetime(1969, 7, 20, 20, 17, tzinfo=UTC),
]
ZONES: list[Any] = [
    UTC,
    ZoneInfo("America/New_York"),
    ZoneInfo("Asia/Kathmandu"),
    timezone(timedelta(hours=-9, minutes=-30)),
]
STEPS = st.one_of(
    st.integers(0, 12).map(lambda quarters: timedelta(minutes=15 * quarters)),  # ties and edges
    st.timedeltas(timedelta(0), timedelta(hours=3)),
)
BOUND = timedelta(minutes=30)


@st.composite
def readings(draw: st.DrawFn, most: int = 40) -> list[Value]:
    """Readings in order of their times."""
    at = draw(st.sampled_from(AROUND))
    made: list[Value] = []
    for id in range(draw(st.integers(0, most))):
        at += draw(STEPS) if draw(st.booleans()) else timedelta(0)
        made.append(
            {
                "id": id,
                "sensor": draw(st.sampled_from("abc")),
                "celsius": draw(st.none() | st.integers(-40, 60).map(float)),
                "at": at.astimezone(draw(st.sampled_from(ZONES))),
                "tags": [],
            }
        )
    return made


@st.composite
def out_of_order(draw: st.DrawFn, most: int = 40) -> list[Value]:
    """Readings out of order by less than `BOUND`."""
    found = draw(readings(most))
    delays = [draw(st.timedeltas(timedelta(0), BOUND)) for _ in found]
    order = sorted(range(len(found)), key=lambda number: found[number]["at"].astimezone(UTC) + delays[number])
    return [found[number] for number in order]


CUTS = st.lists(st.integers(1, 50), max_size=12)
