-- What goes out of the platform, event by event, to somebody in particular: how far each receiver's feed has come, and
-- how it fares. `started_by` is the position of the event that said, latest, from where to start.
create table feeds (
    feed text not null,
    tenant text not null,
    receiver text not null,
    position bigint not null,
    started_by bigint not null,
    delivered bigint not null default 0,
    failed bigint not null default 0,
    dead bigint not null default 0,
    last_failure text,
    last_failure_at timestamptz,
    primary key (feed, tenant, receiver)
);
