create table ingestions (
    tenant text not null,
    id text not null,
    dataset text not null,
    source text not null,
    state text not null default 'RUNNING',
    rows bigint not null default 0,
    total bigint not null default 0,
    bad bigint not null default 0,
    position bigint not null default 0,
    code text not null default '',
    message text not null default '',
    rejects text not null default '[]',
    requested_at timestamptz not null,
    updated_at timestamptz not null,
    primary key (tenant, id)
)
