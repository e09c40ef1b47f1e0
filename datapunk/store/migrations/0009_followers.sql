-- How far those have read who follow all events and act outside of this database: bridges to Temporal, for instance.
-- What they do is at least once, and harmless when repeated; so nobody's checkpoint needs a fence, only never to go back.
create table followers (
    name text primary key,
    position bigint not null,
    moved_at timestamptz not null default now()
);
