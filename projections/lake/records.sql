create table catalog (
    tenant text not null,
    dataset text not null,
    number bigint generated always as identity,
    schema text not null,
    key text,
    primary key (tenant, dataset)
)
