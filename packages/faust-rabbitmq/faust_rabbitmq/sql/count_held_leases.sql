select count(*)
from (
    select 1
    from faust_rabbitmq.leases l
    join unnest(%(topics)s::text[], %(partitions)s::integer[]) as given (topic, partition)
        on l.topic = given.topic and l.partition = given.partition
    where l.group_name = %(group)s and l.member = %(member)s and l.epoch = %(epoch)s
    for share of l
) held
