-- A bound for readers: every event at or below it is visible or will never be. See docs/adr/0003.
-- 17488 is 'DP': it tells our advisory locks from others, and leaves 48 bits for a position.
create function lock_positions() returns void language sql volatile as $$
    select pg_advisory_xact_lock_shared(
        (17488::bigint << 48) | coalesce(pg_sequence_last_value('event_positions'::regclass), 0))
$$;

create function safe_position() returns bigint language plpgsql volatile as $$
declare
    highest bigint;
    lowest_in_flight bigint;
begin
    -- The order matters: who takes its lock after this line gets positions above `highest`.
    highest := coalesce(pg_sequence_last_value('event_positions'::regclass), 0);
    select min(((classid::bigint & 65535) << 32) | objid::bigint) into lowest_in_flight
    from pg_locks
    where locktype = 'advisory' and objsubid = 1 and classid::bigint >> 16 = 17488
        and database = (select oid from pg_database where datname = current_database());
    return least(highest, coalesce(lowest_in_flight, highest));
end $$;
