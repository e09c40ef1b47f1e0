create table all_widgets (
    tenant text not null,
    id text not null,
    description text not null,
    created_at timestamptz not null,
    primary key (tenant, id)
);
create index on all_widgets (tenant, created_at)
