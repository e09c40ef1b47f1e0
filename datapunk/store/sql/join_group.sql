insert into members (id, group_name, description) values (%(id)s, %(group)s, %(description)s)
on conflict (id) do update set beat_at = now()
