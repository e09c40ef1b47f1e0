insert into feeds (feed, tenant, receiver, position, started_by)
values (%(feed)s, %(tenant)s, %(receiver)s, %(position)s, %(started_by)s)
on conflict (feed, tenant, receiver) do update
set position = excluded.position, started_by = excluded.started_by
where feeds.started_by < excluded.started_by
