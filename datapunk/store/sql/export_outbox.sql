select outbox.module, outbox.shard, array_agg(event.position order by event.position)
from outbox, unnest(outbox.positions) as unconfirmed (position)
join events event on event.position = unconfirmed.position
where event.position > %(after)s and event.position <= %(until)s
    and (%(module)s::text is null or starts_with(event.stream, %(module)s || '.'))
    and (%(tenant)s::text is null or event.tenant = %(tenant)s)
    and (%(streams)s::text[] is null or event.stream = any(%(streams)s))
group by outbox.module, outbox.shard
order by outbox.module, outbox.shard
