-- Secrets that the platform needs again, such as keys to sign with; encrypted, with a key that isn't here.
create table secrets (
    id uuid primary key,
    tenant text not null,
    key text not null,
    sealed bytea not null,
    at timestamptz not null default now()
);
