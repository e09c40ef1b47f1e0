create schema if not exists faust_rabbitmq;

create table if not exists faust_rabbitmq.topics (
    virtual_host text not null,
    topic text not null,
    partitions integer not null check (partitions > 0),
    key_header text,
    primary key (virtual_host, topic)
);

create table if not exists faust_rabbitmq.groups (
    name text primary key,
    generation bigint not null default 0,
    assigned bigint not null default 0,
    changed_at timestamptz not null default clock_timestamp()
);

create table if not exists faust_rabbitmq.members (
    group_name text not null references faust_rabbitmq.groups (name) on delete cascade,
    member text not null,
    topics text[] not null,
    metadata bytea not null,
    ready bigint not null default 0,
    seen_at timestamptz not null default clock_timestamp(),
    partitions jsonb,
    assignment bytea,
    primary key (group_name, member)
);

create table if not exists faust_rabbitmq.leases (
    group_name text not null references faust_rabbitmq.groups (name) on delete cascade,
    topic text not null,
    partition integer not null,
    member text not null,
    epoch bigint not null,
    primary key (group_name, topic, partition)
);

create table if not exists faust_rabbitmq.offsets (
    group_name text not null references faust_rabbitmq.groups (name) on delete cascade,
    topic text not null,
    partition integer not null,
    next_offset bigint not null,
    epoch bigint not null,
    committed_at timestamptz not null default clock_timestamp(),
    primary key (group_name, topic, partition)
);

create table if not exists faust_rabbitmq.writes (
    group_name text not null references faust_rabbitmq.groups (name) on delete cascade,
    topic text not null,
    partition integer not null,
    epoch bigint not null,
    number bigint not null,
    primary key (group_name, topic, partition, epoch)
);
