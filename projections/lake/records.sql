create table catalog (
    tenant text not null,
    dataset text not null,
    number bigint generated always as identity,
    schema text not null,
    key text,
    primary key (tenant, dataset)
);

create table expired (
    number bigint not null,
    partition integer not null,
    records bigint not null,
    primary key (number, partition)
)
