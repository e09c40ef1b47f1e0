-- In the order of the index of streams: no sorting, however many there are.
select tenant, stream, version, type, id, schema, data, causation, metadata, position, at
from (
    select *,
        sum(octet_length(data)) over (order by tenant, stream, version) - octet_length(data) as bytes_before
    from (
        select tenant, stream, version, type, id, schema, data, causation, metadata, position, at
        from events
        where (tenant, stream, version) > (%(tenant)s, %(stream)s, %(version)s)
        order by tenant, stream, version
        limit %(limit)s
    ) as next
) as measured
where bytes_before < %(bytes)s
order by tenant, stream, version
