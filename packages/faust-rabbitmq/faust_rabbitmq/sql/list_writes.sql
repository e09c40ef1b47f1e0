select w.topic, w.partition, w.epoch, w.number
from faust_rabbitmq.writes w
join unnest(%(topics)s::text[], %(partitions)s::integer[]) as given (topic, partition)
    on w.topic = given.topic and w.partition = given.partition
where w.group_name = %(group)s
