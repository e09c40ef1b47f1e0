-- What the stream has come to in this transaction: its last position is the snapshot's, if that's of the last version.
insert into snapshots (tenant, stream, version, state_version, state, position)
select taken.*, case when head.version = taken.version then head.last_position else 0 end
from unnest(%(tenants)b::text[], %(streams)b::text[], %(versions)b::bigint[], %(state_versions)b::integer[], %(states)b::bytea[])
    as taken (tenant, stream, version, state_version, state)
left join streams head using (tenant, stream)
on conflict (tenant, stream) do update
set version = excluded.version, state_version = excluded.state_version, state = excluded.state, at = excluded.at,
    position = excluded.position
