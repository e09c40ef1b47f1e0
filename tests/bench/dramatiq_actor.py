"""dramatiq's natural actor: one insert, one message sent on; eight threads, each with a connection, as by default.

A contestant of `test_end_to_end.py`. As its guide writes it: a message is acknowledged once its actor has returned,
and the event is a message to another actor, which runs elsewhere. Publishes are confirmed and messages persistent.
Its broker declares classic queues and has no option for others; people override how it builds a queue's arguments.
"""

from __future__ import annotations

import json
import threading
import time
from typing import Any
from uuid import uuid4

import dramatiq
import psycopg
from dramatiq.brokers.rabbitmq import RabbitmqBroker
from psycopg_pool import ConnectionPool

from datapunk.settings import load_settings
from tests.bench.contest import BODY, EVENTS_QUEUE, EVENTS_TABLE, INSERT_EVENT, show, wanted

QUEUE = "bench.commands"
THREADS = 8  # what `dramatiq` starts a process with


class QuorumBroker(RabbitmqBroker):
    """Declares quorum queues."""

    def _build_queue_arguments(self, queue_name: str) -> dict[str, Any]:
        return {**super()._build_queue_arguments(queue_name), "x-queue-type": "quorum"}


def measure(commands: int) -> float:
    """Seconds from the start of the worker to the return of the last actor."""
    settings = load_settings()
    with psycopg.connect(settings.database_url, autocommit=True) as conn:
        conn.execute(EVENTS_TABLE)
    pool = ConnectionPool(settings.database_url, min_size=THREADS, max_size=THREADS, open=True)
    pool.wait()
    broker = QuorumBroker(url=settings.broker_url, confirm_delivery=True)
    dramatiq.set_broker(broker)
    handled, counting, done = 0, threading.Lock(), threading.Event()

    @dramatiq.actor(queue_name=EVENTS_QUEUE)
    def trip_recorded(**trip: Any) -> None:
        """Subscribers do what they like."""

    @dramatiq.actor(queue_name=QUEUE)
    def record_trip(**trip: Any) -> None:
        nonlocal handled
        with pool.connection() as conn:
            conn.execute(INSERT_EVENT, (trip["carrier"], "TripRecorded", uuid4(), json.dumps(trip)))
        trip_recorded.send(**trip)
        with counting:
            handled += 1
            if handled == commands:
                done.set()

    trip = json.loads(BODY)
    for _ in range(commands):
        record_trip.send(**trip)
    worker = dramatiq.Worker(broker, queues={QUEUE}, worker_threads=THREADS)
    began = time.perf_counter()
    worker.start()
    done.wait()
    took_s = time.perf_counter() - began
    worker.stop()
    broker.close()
    pool.close()
    return took_s


if __name__ == "__main__":
    show(measure(wanted()))
