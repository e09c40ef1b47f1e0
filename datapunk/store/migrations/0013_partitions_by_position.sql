-- Events by range of position, and the head of every stream in a row of its own. See docs/adr/0010.
-- Nobody reads or writes events meanwhile: each is read twice, two seconds for a million in memory, else as the disk reads.
-- Workers wait, and lose nothing; those of an older release wait until they're stopped: they'd leave the heads behind.
alter table events rename to events_by_stream;
alter table events_by_stream rename constraint events_version to events_by_stream_version;
alter index events_position rename to events_by_stream_position;

-- What an older release inserts has no position. This code is of a server that's about to go: they try again.
create function written_by_an_older_release() returns bigint language plpgsql as $$
begin
    raise exception 'this database is newer than the process that writes: stop it, and start the present release'
        using errcode = 'cannot_connect_now';
end $$;

create table events (
    position bigint not null default written_by_an_older_release(),
    tenant text not null,
    stream text not null,
    version bigint not null,
    type text not null,
    id uuid not null,
    schema text not null,
    data bytea not null,
    causation uuid not null,
    metadata jsonb not null,
    at timestamptz not null default transaction_timestamp()
) partition by range (position);

-- Below which every position has a partition, or needs none.
create function end_of_partitions() returns bigint language sql stable as $$
    select coalesce(max(substring(pg_get_expr(relpartbound, oid) from $re$TO \('(\d+)'\)$re$)::bigint), 1)
    from pg_inherits join pg_class on oid = inhrelid
    where inhparent = 'events'::regclass
$$;

-- The partition for a position above all others; returns where it ends. It's made by itself and then attached: who reads
-- or writes others goes on.
create function make_partition(wanted bigint, size bigint default 4000000) returns bigint language plpgsql as $$
declare
    beginning bigint := greatest(end_of_partitions(), wanted - wanted % size);
    ending bigint := wanted - wanted % size + size;
    name text := 'events_from_' || beginning;
begin
    execute format('create table %I (like events including defaults)', name);
    execute format('alter table %I add constraint %I unique (tenant, stream, version)', name, name || '_version');
    execute format('create unique index %I on %I (position)', name || '_position', name);
    execute format('alter table events attach partition %I for values from (%s) to (%s)', name, beginning, ending);
    return ending;
end $$;

-- Makes partitions until there's room for so many events more. -4452 is our lock for it, negative as all but readers'.
create function make_partitions(ahead bigint default 8000000, size bigint default 4000000) returns integer
language plpgsql as $$
declare
    last bigint := coalesce(pg_sequence_last_value('event_positions'::regclass), 0);
    made integer := 0;
begin
    if end_of_partitions() > last + ahead then
        return 0;
    end if;
    perform pg_advisory_xact_lock(-4452);
    while end_of_partitions() <= last + ahead loop
        perform make_partition(greatest(end_of_partitions(), last + 1), size);
        made := made + 1;
    end loop;
    return made;
end $$;

-- The head of each stream: its version, by which an append sees whether it comes next, and between which positions its
-- events are. A row stays on its page as it changes, and the index isn't touched: hence the room.
create table streams with (fillfactor = 70) as
select tenant, stream, max(version) as version, min(position) as first_position, max(position) as last_position
from events_by_stream
group by tenant, stream;

alter table streams
    add constraint streams_key primary key (tenant, stream),
    alter version set not null,
    alter first_position set not null,
    alter last_position set not null;

-- Up to which position a snapshot holds all events of its actor; 0 where that isn't known.
alter table snapshots add position bigint not null default 0;

create function refuse_append(conflicts text) returns boolean language plpgsql stable strict as $$
begin
    raise exception 'somebody else appended first: %', conflicts using errcode = 'unique_violation', table = 'streams';
end $$;

do $$
begin
    if exists (select from events_by_stream) then
        execute format('alter table events attach partition events_by_stream for values from (1) to (%s)',
            (select last_value + 1 from event_positions));
    else
        drop table events_by_stream;
    end if;
    perform make_partitions();
end $$;
