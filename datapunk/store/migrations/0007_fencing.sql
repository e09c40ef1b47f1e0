-- What a batch commits counts only under the lease it was decided under. Sharing the row keeps the next owner's
-- recovery waiting until the transaction ends (it locks the row for itself), and never a heartbeat: those change
-- the owner, which a share of the key doesn't hinder. See specs/delivery.pml.
create function fence(asked_group text, asked_owner uuid, asked_items text[], asked_epochs bigint[])
returns void language plpgsql volatile as $$
declare
    held bigint;
begin
    perform from leases lease
    join unnest(asked_items, asked_epochs) as asked (item, epoch) on lease.item = asked.item
    where lease.group_name = asked_group and lease.owner = asked_owner and lease.epoch = asked.epoch
    order by lease.item
    for key share of lease;
    get diagnostics held = row_count;
    if held <> cardinality(asked_items) then
        raise exception 'another process owns some of %: %', asked_group, array_to_string(asked_items, ', ')
            using errcode = 'DP001';
    end if;
end $$;
