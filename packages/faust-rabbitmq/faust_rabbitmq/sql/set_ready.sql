update faust_rabbitmq.members
set ready = %(generation)s, metadata = %(metadata)s, topics = %(topics)s, seen_at = clock_timestamp()
where group_name = %(group)s and member = %(member)s
returning ready
