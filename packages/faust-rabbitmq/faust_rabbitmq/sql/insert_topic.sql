insert into faust_rabbitmq.topics (virtual_host, topic, partitions, key_header)
values (%(virtual_host)s, %(topic)s, %(partitions)s, %(key_header)s)
