insert into faust_rabbitmq.members (group_name, member, topics, metadata)
values (%(group)s, %(member)s, %(topics)s, %(metadata)s)
on conflict (group_name, member) do update set topics = excluded.topics, metadata = excluded.metadata
