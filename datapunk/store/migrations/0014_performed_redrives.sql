-- A task that was a dead letter is in no inbox: who performs it says so here.
alter table redrives add column is_performed boolean not null default false;
