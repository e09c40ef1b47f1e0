-- A lease ends with its owner's membership, in the same moment: who takes a member for dead deletes it, and the
-- lock on the member's row decides between that and a heartbeat under way. See docs/adr/0006.
update leases set owner = null where owner is not null and not exists (select from members where members.id = leases.owner);

alter table leases add constraint leases_owner foreign key (owner) references members (id) on delete set null;
