-- What the store sees of the engine, written down in the transactions that do it: see tests/specs/tracing.py.
create table trace (
    id bigint generated always as identity primary key,
    xid xid8 not null default pg_current_xact_id(),
    process text not null default current_setting('application_name'),
    what text not null,
    numbers bigint[] not null
);

alter function fence(text, uuid, text[], bigint[]) rename to fence_untraced;

create function fence(asked_group text, asked_owner uuid, asked_items text[], asked_epochs bigint[])
returns void language plpgsql volatile as $$
begin
    perform fence_untraced(asked_group, asked_owner, asked_items, asked_epochs);
    insert into trace (what, numbers) values ('fenced', asked_epochs);
end $$;

create function trace_move() returns trigger language plpgsql as $$
begin
    insert into trace (what, numbers) values ('moved', array[new.generation, old.position, new.position]);
    return null;
end $$;

create trigger traced after update of position on checkpoints for each row execute function trace_move();

create function trace_switch() returns trigger language plpgsql as $$
begin
    insert into trace (what, numbers) values ('switched', array[new.active_generation]);
    return null;
end $$;

create trigger traced after update of active_generation on projections for each row
when (new.active_generation <> old.active_generation) execute function trace_switch();

create function trace_row() returns trigger language plpgsql as $$ -- for tests/specs/journal.sql
begin
    insert into public.trace (what, numbers) values ('applied', array[new.position]);
    return null;
end $$;
