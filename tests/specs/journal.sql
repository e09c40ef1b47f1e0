create table journal (position bigint not null);
create trigger traced after insert on journal for each row execute function public.trace_row()
