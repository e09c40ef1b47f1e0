create table members (
    id uuid primary key,
    group_name text not null,
    description text not null,
    joined_at timestamptz not null default now(),
    beat_at timestamptz not null default now()
);
create index members_group on members (group_name);

create table leases (
    group_name text not null,
    item text not null,
    owner uuid,
    epoch bigint not null default 0,
    primary key (group_name, item)
);
