-- Each looked up for itself: a join might be planned as a scan while there are few rows, and stay one.
select inbox.id, inbox.tenant, inbox.type, inbox.stream, inbox.body_hash, inbox.reply, inbox.first_version,
    inbox.last_version, 0, inbox.at
from unnest(%(ids)b::uuid[], %(tenants)b::text[]) as asked (id, tenant)
cross join lateral (
    select * from inbox where inbox.id = asked.id and inbox.tenant = asked.tenant limit 1
) inbox
