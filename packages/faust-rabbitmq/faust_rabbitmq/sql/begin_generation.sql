update faust_rabbitmq.groups set generation = generation + 1, changed_at = clock_timestamp()
where name = %(group)s
returning generation
