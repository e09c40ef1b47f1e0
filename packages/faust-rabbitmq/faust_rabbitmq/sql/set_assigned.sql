update faust_rabbitmq.groups set assigned = generation where name = %(group)s
