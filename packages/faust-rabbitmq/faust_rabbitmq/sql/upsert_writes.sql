insert into faust_rabbitmq.writes (group_name, topic, partition, epoch, number)
select %(group)s, given.topic, given.partition, %(epoch)s, given.number
from unnest(%(topics)s::text[], %(partitions)s::integer[], %(numbers)s::bigint[]) as given (topic, partition, number)
on conflict (group_name, topic, partition, epoch) do update set number = excluded.number
