insert into leases (group_name, item) select %(group)s, unnest(%(items)s::text[]) on conflict do nothing
