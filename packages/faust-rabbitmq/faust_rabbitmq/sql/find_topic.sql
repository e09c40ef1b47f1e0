select partitions, key_header from faust_rabbitmq.topics where virtual_host = %(virtual_host)s and topic = %(topic)s
