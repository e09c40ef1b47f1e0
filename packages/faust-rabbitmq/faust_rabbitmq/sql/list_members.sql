select member, ready, topics, metadata from faust_rabbitmq.members where group_name = %(group)s order by member
