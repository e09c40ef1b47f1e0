-- Every message schema that was ever used here, by fingerprint.
create table schemas (
    fingerprint text primary key,
    name text not null,
    version integer not null,
    text text not null
);

-- How many shards each module's commands are spread over.
create table modules (
    name text primary key,
    shards integer not null
);
