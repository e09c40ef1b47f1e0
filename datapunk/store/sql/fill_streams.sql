insert into streams (tenant, stream, version, first_position, last_position)
select tenant, stream, max(version), min(position), max(position) from events group by tenant, stream
