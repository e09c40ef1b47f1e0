create table datasets (
    tenant text not null,
    id text not null,
    name text not null,
    description text not null,
    schema text not null,
    key text,
    partitions integer not null,
    indexes text[] not null,
    records bigint not null default 0,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    retention_days integer,
    retention_field text,
    primary key (tenant, id)
)
