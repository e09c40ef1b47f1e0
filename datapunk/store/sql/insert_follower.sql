insert into followers (name, position) values (%(name)s, %(position)s)
on conflict (name) do nothing
