insert into faust_rabbitmq.leases (group_name, topic, partition, member, epoch)
select %(group)s, given.topic, given.partition, given.member, %(epoch)s
from unnest(%(topics)s::text[], %(partitions)s::integer[], %(members)s::text[]) as given (topic, partition, member)
