delete from faust_rabbitmq.leases where group_name = %(group)s
