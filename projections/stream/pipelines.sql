create table pipelines (
    tenant text not null,
    id text not null,
    description text not null,
    version integer not null,
    state text not null default 'Running',
    reason text not null default '',
    created_at timestamptz not null,
    updated_at timestamptz not null,
    primary key (tenant, id)
);
create table versions (
    tenant text not null,
    id text not null,
    version integer not null,
    text text not null,
    output text not null,
    defined_at timestamptz not null,
    primary key (tenant, id, version)
)
