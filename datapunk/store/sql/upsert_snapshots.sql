insert into snapshots (tenant, stream, version, state_version, state)
select * from unnest(%(tenants)b::text[], %(streams)b::text[], %(versions)b::bigint[], %(state_versions)b::integer[], %(states)b::bytea[])
on conflict (tenant, stream) do update
set version = excluded.version, state_version = excluded.state_version, state = excluded.state, at = excluded.at
