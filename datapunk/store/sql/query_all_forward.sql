select tenant, stream, version, type, id, schema, data, causation, metadata, position, at
from (
    select *, sum(octet_length(data)) over (order by position) - octet_length(data) as bytes_before
    from (
        select tenant, stream, version, type, id, schema, data, causation, metadata, position, at
        from events
        where position > %(after)s and position <= %(safe)s and (%(types)s::text[] is null or type = any(%(types)s))
          and (%(tenant)s::text is null or tenant = %(tenant)s)
        order by position
        limit %(limit)s
    ) as next
) as measured
where bytes_before < %(bytes)s
order by position
