create table dead_letters (
    owner text not null,
    id uuid not null,
    module text not null,
    type text not null,
    reason text not null,
    kind text not null,
    message text not null,
    state text not null,
    is_crowded boolean not null,
    is_edited boolean not null default false,
    attempts integer not null default 0,
    actor text,
    tenant text,
    message_id text,
    size bigint not null,
    letter jsonb not null,
    died_at timestamptz not null,
    parked_at timestamptz not null,
    updated_at timestamptz not null,
    primary key (owner, id)
);
create index dead_letters_cause on dead_letters (owner, module, type, reason, died_at, id);
create index dead_letters_state on dead_letters (owner, state, died_at, id);
create index dead_letters_order on dead_letters (owner, died_at, id);
create table steps (
    owner text not null,
    id uuid not null,
    version bigint not null,
    at timestamptz not null,
    what text not null,
    by text not null,
    why text not null,
    primary key (owner, id, version)
);
create table edits (
    owner text not null,
    id uuid not null,
    message_id uuid not null,
    body bytea,
    content_type text,
    type text,
    actor text,
    primary key (owner, id)
)
