create table projections (
    name text primary key,
    module text not null,
    active_generation integer,
    is_paused boolean not null default false,
    error text,
    failed_at timestamptz
);

create table checkpoints (
    projection text not null references projections (name),
    generation integer not null,
    version integer not null,
    position bigint not null default 0,
    updated_at timestamptz not null default now(),
    primary key (projection, generation)
);
