with locked as (
    select item from leases
    where group_name = %(group)s and owner = %(owner)s and item = any(%(items)s)
    order by item
    for update
)
update leases lease set epoch = lease.epoch + 1
from locked
where lease.group_name = %(group)s and lease.item = locked.item and lease.owner = %(owner)s
returning lease.item, lease.epoch
