create table open_orders (
    tenant text not null,
    id text not null,
    customer text not null,
    product text not null,
    quantity integer not null,
    placed_at timestamptz not null,
    primary key (tenant, id)
);
create index on open_orders (tenant, placed_at)
