create table all_orders (
    tenant text not null,
    id text not null,
    description text not null,
    created_at timestamptz not null,
    carrier text,
    primary key (tenant, id)
);
create index on all_orders (tenant, created_at)
