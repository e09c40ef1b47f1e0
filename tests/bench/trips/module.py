"""The smallest module that does something: one command of eight fields, one event of the same."""

from __future__ import annotations

from datapunk import Actor, Module, applies, handles
from tests.bench.trips.commands import RecordTrip
from tests.bench.trips.events import TripRecorded


class Aircraft(Actor):
    """Counts its trips."""

    trips: int = 0

    @handles(RecordTrip)
    def record(self, command: RecordTrip) -> TripRecorded:
        """Every trip is accepted."""
        return TripRecorded(
            trip=command.trip,
            carrier=command.carrier,
            origin=command.origin,
            dest=command.dest,
            delay=command.delay,
            distance=command.distance,
            cancelled=command.cancelled,
            tail=command.tail,
        )

    @applies(TripRecorded)
    def recorded(self, event: TripRecorded) -> None:
        """Count it."""
        self.trips += 1


trips = Module(name="trips", schemas="tests.bench.trips", actors=[Aircraft])
