"""Fills a store in bulk with what it would hold after a while: events of many actors, and an inbox row for each."""

from __future__ import annotations

from typing import Any

from psycopg import AsyncConnection

from datapunk.store.partitions import make_partitions
from datapunk.store.read import last_position

A_STREAM = 100  # events
AT_ONCE = 5000  # streams filled in a transaction
DATA, REPLY = b"d" * 60, b"r" * 80  # as long as those of `trips`
# A key's first 32 bits ascend: rows come in the order of the index, which is quick, and are spread all over it.
FILL_EVENTS = """
insert into events (position, tenant, stream, version, type, id, schema, data, causation, metadata)
select nextval('event_positions'), 'default', 'trips.aircraft/' || lpad(number::text, 9, '0'), version,
    'trips.TripRecorded', gen_random_uuid(), 'fingerprint', %(data)s, gen_random_uuid(),
    '{"correlation-id": "01a20c80-fc86-710a-ac48-641f11932eb6"}'
from generate_series(%(first)s::int, %(last)s::int) number, generate_series(1, %(a_stream)s::int) version
"""
FILL_STREAMS = """
insert into streams (tenant, stream, version, first_position, last_position)
select tenant, stream, max(version), min(position), max(position) from events where position > %(after)s
group by tenant, stream order by tenant, stream
"""
FILL_INBOX = """
insert into inbox (id, tenant, type, stream, body_hash, reply, first_version, last_version)
select (lpad(to_hex(floor((number - 0.5) / %(count)s * 4294967296)::bigint), 8, '0')
        || substr(gen_random_uuid()::text, 9))::uuid,
    'default', 'trips.RecordTrip', 'trips.aircraft/000000001', '\\x00112233445566778899aabbccddeeff', %(reply)s, 1, 1
from generate_series(1, %(count)s::int) number
"""


async def grow(conn: AsyncConnection[Any], streams: int, wanted: int) -> None:
    """Fill the tables up to so many streams of `A_STREAM` events, and leave no work behind that would be done later.

    Args:
        conn: in autocommit.
        streams: how many there are.
        wanted: how many there will be.
    """
    for first in range(streams, wanted, AT_ONCE):
        last = min(first + AT_ONCE, wanted)
        await make_partitions(conn)
        after = await last_position(conn)
        await conn.execute(FILL_EVENTS, {"first": first + 1, "last": last, "a_stream": A_STREAM, "data": DATA})
        await conn.execute(FILL_STREAMS, {"after": after})
    # All at once: rows spread all over the index touch each of its pages once.
    await conn.execute(FILL_INBOX, {"count": (wanted - streams) * A_STREAM, "reply": REPLY})
    await conn.execute("vacuum (analyze) events, streams, inbox")
