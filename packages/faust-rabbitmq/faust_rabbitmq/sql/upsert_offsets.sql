insert into faust_rabbitmq.offsets (group_name, topic, partition, next_offset, epoch)
select %(group)s, given.topic, given.partition, given.next_offset, %(epoch)s
from unnest(%(topics)s::text[], %(partitions)s::integer[], %(offsets)s::bigint[])
    as given (topic, partition, next_offset)
on conflict (group_name, topic, partition) do update
set next_offset = excluded.next_offset, epoch = excluded.epoch, committed_at = clock_timestamp()
