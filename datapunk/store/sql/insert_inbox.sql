insert into inbox (id, tenant, type, stream, body_hash, reply, first_version, last_version)
select * from unnest(
    %(ids)b::uuid[], %(tenants)b::text[], %(types)b::text[], %(streams)b::text[], %(hashes)b::bytea[],
    %(replies)b::bytea[], %(firsts)b::bigint[], %(lasts)b::bigint[])
