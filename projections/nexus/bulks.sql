create table bulks (
    tenant text not null,
    id text not null,
    act text not null,
    filter jsonb not null,
    rate double precision,
    state text not null,
    total bigint not null default 0,
    done bigint not null default 0,
    refused bigint not null default 0,
    by text not null,
    why text not null,
    message text not null default '',
    started_at timestamptz not null,
    updated_at timestamptz not null,
    primary key (tenant, id)
);
create index bulks_latest on bulks (tenant, started_at)
