create table subscriptions (
    tenant text not null,
    id text not null,
    url text not null,
    pattern text not null,
    description text not null,
    is_paused boolean not null default false,
    secret uuid not null,
    previous_secret uuid,
    previous_until timestamptz,
    start_after bigint not null,
    started_by bigint not null,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    primary key (tenant, id)
)
