-- A command's id is its tenant's own: another tenant may use the same one, and doesn't learn of this one by it. The id
-- comes first: it decides nearly every comparison, and costs less of one than text.
-- Nobody reads or writes the inbox until the new index is built, about a second for a million commands (of the last
-- DATAPUNK_INBOX_RETENTION_DAYS); workers wait meanwhile, and lose nothing.
alter table inbox
    drop constraint inbox_id,
    add constraint inbox_key primary key (id, tenant);
