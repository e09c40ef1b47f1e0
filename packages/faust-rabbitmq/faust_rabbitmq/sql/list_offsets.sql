select o.topic, o.partition, o.next_offset
from faust_rabbitmq.offsets o
join unnest(%(topics)s::text[], %(partitions)s::integer[]) as given (topic, partition)
    on o.topic = given.topic and o.partition = given.partition
where o.group_name = %(group)s
