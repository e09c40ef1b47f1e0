create table balances (tenant text, account text, cents bigint not null, deposits bigint not null, primary key (tenant, account))
