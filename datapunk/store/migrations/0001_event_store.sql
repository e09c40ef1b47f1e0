-- Every event, in the order of its stream (version) and of all streams (position).
create sequence event_positions as bigint cache 1;

create table events (
    position bigint not null default nextval('event_positions'),
    tenant text not null,
    stream text not null,
    version bigint not null,
    type text not null,
    id uuid not null,
    schema text not null,
    data bytea not null,
    causation uuid not null,
    metadata jsonb not null,
    at timestamptz not null default transaction_timestamp(),
    constraint events_version unique (tenant, stream, version)
) partition by hash (stream);

do $$
begin
    for i in 0..15 loop
        execute format('create table events_%s partition of events for values with (modulus 16, remainder %s)', i, i);
    end loop;
end $$;

create index events_position on events (position);

-- The commands that were processed, so that a retry has no second effect and gets the same reply.
create table inbox (
    id uuid constraint inbox_id primary key,
    tenant text not null,
    type text not null,
    stream text not null,
    body_hash bytea not null,
    reply bytea not null,
    first_version bigint,
    last_version bigint,
    at timestamptz not null default transaction_timestamp()
);
create index inbox_at on inbox using brin (at);

create table snapshots (
    tenant text not null,
    stream text not null,
    version bigint not null,
    state_version integer not null,
    state bytea not null,
    at timestamptz not null default transaction_timestamp(),
    primary key (tenant, stream)
);

-- Committed and not yet confirmed by the broker: one row a batch and shard.
create table outbox (
    id bigint generated always as identity primary key,
    module text not null,
    shard integer not null,
    owner uuid not null,
    positions bigint[] not null,
    at timestamptz not null default transaction_timestamp()
);
create index outbox_shard on outbox (module, shard);
