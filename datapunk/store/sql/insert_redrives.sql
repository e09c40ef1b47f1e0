insert into redrives (original, attempt, tenant, message_id, command_digest, is_settled)
select * from unnest(
    %(originals)b::uuid[], %(attempts)b::bigint[], %(tenants)b::text[], %(message_ids)s::uuid[],
    %(command_digests)s::bytea[], %(are_settled)s::boolean[])
on conflict (original, attempt) do nothing
