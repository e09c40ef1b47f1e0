update faust_rabbitmq.members set partitions = %(partitions)s, assignment = %(assignment)s
where group_name = %(group)s and member = %(member)s
