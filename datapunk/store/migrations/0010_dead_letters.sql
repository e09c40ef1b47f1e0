-- What dead letters were, as they came. Apart from the events about them, since bodies may be large.
create table originals (
    id uuid primary key,
    queue text not null,
    properties bytea not null,
    body bytea not null,
    digest bytea not null,
    kept_at timestamptz not null default now()
);
-- Most bodies are small, and large ones are mostly packed already: no time is spent on packing them again.
alter table originals alter column body set storage external;

-- Which of them were published again, as what, and whether what came of it is known.
create table redrives (
    original uuid not null,
    attempt integer not null,
    tenant text not null,
    message_id uuid,
    command_digest bytea,
    is_settled boolean not null default false,
    published_at timestamptz not null default now(),
    primary key (original, attempt)
);
create index redrives_open on redrives (published_at) where not is_settled;
