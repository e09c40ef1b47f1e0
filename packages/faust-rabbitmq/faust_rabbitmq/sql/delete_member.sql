delete from faust_rabbitmq.members where group_name = %(group)s and member = %(member)s returning member
