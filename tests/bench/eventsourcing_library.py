"""The `eventsourcing` library on Postgres: load an aggregate, trigger an event, save; without any broker.

A contestant of `test_end_to_end.py`, with a lead: it neither receives its commands nor publishes its events.
"""

from __future__ import annotations

import os
import time
from urllib.parse import urlsplit

from datapunk.settings import load_settings
from tests.bench.contest import ACTORS, show, wanted


def measure(commands: int) -> float:
    """Seconds from the first load to the last save."""
    place = urlsplit(load_settings().database_url)
    os.environ |= {
        "PERSISTENCE_MODULE": "eventsourcing.postgres",
        "POSTGRES_DBNAME": place.path[1:],
        "POSTGRES_HOST": place.hostname or "",
        "POSTGRES_PORT": str(place.port),
        "POSTGRES_USER": place.username or "postgres",
        "POSTGRES_PASSWORD": place.password or "unused",
    }
    from eventsourcing.application import Application  # reads the environment
    from eventsourcing.domain import Aggregate, event

    class Aircraft(Aggregate):
        def __init__(self) -> None:
            self.trips = 0

        @event("TripRecorded")
        def record(
            self,
            trip: str,
            carrier: str,
            origin: str,
            dest: str,
            delay: float,
            distance: int,
            cancelled: bool,
            tail: str,
        ) -> None:
            self.trips += 1

    application: Application = Application()  # type: ignore[type-arg]
    ids = []
    for _ in range(min(ACTORS, commands)):
        aircraft = Aircraft()
        application.save(aircraft)
        ids.append(aircraft.id)
    began = time.perf_counter()
    for number in range(commands):
        aircraft = application.repository.get(ids[number % len(ids)])
        aircraft.record("t-1", "UA", "EWR", "IAH", 11.5, 1400, False, "N14228")
        application.save(aircraft)
    return time.perf_counter() - began


if __name__ == "__main__":
    show(measure(wanted()))
