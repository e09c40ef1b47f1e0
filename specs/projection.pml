/* From the store to a projection's tables: reading without gaps, checkpoints, two projectors, rebuild and switch.

   Writers commit in any order, whatever order their positions have. Two projectors both believe that the projection
   is theirs (one may be a zombie), each may die at any point, and meanwhile a rebuild fills another generation of the
   tables, which is to serve readers in the end.

   Follows datapunk/store/read.py, migrations/0002_reading_without_gaps.sql, generation.py, projector.py and
   rebuild.py. Events are named by their positions; a set of them is a mask of bits. */

#include "promises.pml"

#ifndef EVENTS
#define EVENTS 2
#endif
#ifndef DEATHS
#define DEATHS 1
#endif
#define WRITERS 2
#define REBUILD 2 /* reads and applies as the projectors, 0 and 1, do */
#define READERS 3

hidden byte applied_once, nothing_skipped, reads_never_go_back, all_is_applied;
hidden byte i;

#define BIT(number) (1 << (number))
#define UP_TO(position) (BIT((position) + 1) - 1)

/* The writers: each holds a lock that names a lower bound of its positions while its transaction is open. */
mtype = { outside, bound_read, locked, written };
mtype writer[WRITERS] = outside;
byte bound[WRITERS], position_of[WRITERS];
byte last_position;
byte stored;

/* The projection: two generations of its tables. Who moves a checkpoint locks it until its transaction ends. */
byte checkpoint[2], applied[2];
byte moved_by[2]; /* plus one */
bit serving;

/* The projectors and the rebuild. */
mtype = { starts, rests, looked_once, looked_twice, has_events, has_moved, has_applied };
mtype stage[READERS] = starts;
bit generation[READERS];
byte position[READERS]; /* as far as it knows, its generation's checkpoint */
byte highest[READERS], safe[READERS], events[READERS];
byte deaths;

mtype = { fills, waits, holds_lock, is_over };
mtype rebuild = fills;
byte target; /* how far the other generation must be to serve readers */

#define LESS(one, other) (one < other -> one : other)
#define MORE(one, other) (one > other -> one : other)
#define MAY_GO_ON(me) (me != REBUILD || rebuild == fills || rebuild == holds_lock && position[me] < target)
#ifdef SWITCHED_WITHOUT_LOCK
#define NOBODY_IS_INSIDE true
#define IS_LET_IN(me) true
#else
#define NOBODY_IS_INSIDE (moved_by[serving] == 0)
#define IS_LET_IN(me) (me == REBUILD || rebuild != holds_lock)
#endif
#ifdef UNCONDITIONAL_CHECKPOINT
#define IS_MINE(me) true
#else
#define IS_MINE(me) (position[me] == checkpoint[generation[me]] && (me == REBUILD || generation[me] == serving))
#endif

/* --- the writers ------------------------------------------------------------------------------------------ */

inline read_bound(me) {
    d_step {
        writer[me] == outside && last_position < EVENTS ->
        bound[me] = last_position;
        writer[me] = bound_read
    }
}

inline lock_bound(me) { d_step { writer[me] == bound_read -> writer[me] = locked } }

inline write(me) {
    d_step {
        writer[me] == locked && last_position < EVENTS ->
        last_position++;
        position_of[me] = last_position;
        writer[me] = written
    }
}

inline commit_event(me) {
    d_step {
        writer[me] == written ->
        HOLDS(nothing_skipped, position_of[me] > checkpoint[0] && position_of[me] > checkpoint[1]);
        stored = stored | BIT(position_of[me]);
        end_transaction(me)
    }
}

inline roll_back(me) {
    d_step {
        writer[me] == written || writer[me] != outside && last_position == EVENTS ->
        end_transaction(me)
    }
}

inline end_transaction(me) {
    bound[me] = 0;
    position_of[me] = 0;
    writer[me] = outside
}

/* --- reading without gaps --------------------------------------------------------------------------------- */

inline look_at_highest(me) { highest[me] = last_position }

inline look_at_bounds(me) {
    safe[me] = EVENTS;
    for (i : 0 .. WRITERS - 1) {
        if
#ifndef PAST_OPEN_TRANSACTION
        :: (writer[i] == locked || writer[i] == written) && bound[i] < safe[me] -> safe[me] = bound[i]
#endif
        :: else
        fi
    }
}

inline look(me) {
    d_step {
        stage[me] == rests && position[me] < last_position && MAY_GO_ON(me) ->
#ifdef BOUNDS_BEFORE_HIGHEST
        look_at_bounds(me);
#else
        look_at_highest(me);
#endif
        stage[me] = looked_once
    }
}

inline look_again(me) {
    d_step {
        stage[me] == looked_once ->
#ifdef BOUNDS_BEFORE_HIGHEST
        look_at_highest(me);
#else
        look_at_bounds(me);
#endif
        safe[me] = LESS(highest[me], safe[me]);
        highest[me] = 0;
        stage[me] = looked_twice
    }
}

inline read_events(me) {
    d_step {
        stage[me] == looked_twice ->
        if
        :: safe[me] > position[me] ->
            events[me] = stored & UP_TO(safe[me]) & ~UP_TO(position[me]);
            stage[me] = has_events
        :: else -> safe[me] = 0; stage[me] = rests
        fi
    }
}

/* --- a batch: checkpoint and rows in one transaction ------------------------------------------------------- */

inline start(me) {
    d_step {
        stage[me] == starts && (me != REBUILD || rebuild == fills) ->
        generation[me] = (me == REBUILD -> 1 : serving);
        position[me] = checkpoint[generation[me]];
        stage[me] = rests
    }
}

inline move(me) {
    d_step {
        stage[me] == has_events && moved_by[generation[me]] == 0 && IS_LET_IN(me) ->
        if
#ifndef UNCONDITIONAL_CHECKPOINT
        :: !IS_MINE(me) -> forget(me) /* somebody else moved it, or another generation serves */
#endif
        :: IS_MINE(me) -> moved_by[generation[me]] = me + 1; stage[me] = has_moved
        fi
    }
}

inline apply_and_commit(me) {
    d_step {
        stage[me] == has_moved ->
        HOLDS(applied_once, (applied[generation[me]] & events[me]) == 0);
        applied[generation[me]] = applied[generation[me]] | events[me];
#ifdef CHECKPOINT_APART
        stage[me] = has_applied
#else
        end_batch(me)
#endif
    }
}

inline commit_checkpoint(me) { d_step { stage[me] == has_applied -> end_batch(me) } }

inline end_batch(me) {
    checkpoint[generation[me]] = safe[me];
    moved_by[generation[me]] = 0;
    HOLDS(nothing_skipped, applied[generation[me]] == (stored & UP_TO(safe[me])));
    position[me] = safe[me];
    safe[me] = 0;
    events[me] = 0;
    stage[me] = rests
}

inline forget(me) {
    generation[me] = 0; position[me] = 0; highest[me] = 0; safe[me] = 0; events[me] = 0;
    stage[me] = starts
}

inline die(me) { /* an interrupted rebuild takes away what it built */
    d_step {
        deaths < DEATHS && stage[me] != starts ->
        deaths++;
        moved_by[generation[me]] = (moved_by[generation[me]] == me + 1 -> 0 : moved_by[generation[me]]);
        if
        :: me == REBUILD && rebuild != is_over ->
            checkpoint[1] = 0;
            applied[1] = 0;
            target = 0;
            rebuild = fills
        :: else
        fi;
        forget(me)
    }
}

/* --- blue and green --------------------------------------------------------------------------------------- */

inline ask_for_lock() { /* the statement sees the checkpoint as it is now, though it may wait */
    d_step {
        rebuild == fills && stage[REBUILD] == rests ->
        target = checkpoint[serving];
        rebuild = waits
    }
}

inline get_lock() { /* and then brings the tables to the present, which is at least where the serving ones are */
    d_step {
        rebuild == waits && NOBODY_IS_INSIDE ->
#ifndef STALE_TARGET
        look_at_highest(REBUILD);
        look_at_bounds(REBUILD);
        target = MORE(target, LESS(highest[REBUILD], safe[REBUILD]));
#ifndef CHECKPOINT_NOT_READ_AGAIN
        target = MORE(target, checkpoint[serving]);
#endif
        highest[REBUILD] = 0;
        safe[REBUILD] = 0;
#endif
        rebuild = holds_lock
    }
}

inline switch() {
    d_step {
        rebuild == holds_lock && stage[REBUILD] == rests && position[REBUILD] >= target ->
        HOLDS(reads_never_go_back, checkpoint[1] >= checkpoint[serving]);
        serving = 1;
        target = 0;
        forget(REBUILD);
        rebuild = is_over
    }
}

inline check_that_all_is_applied() {
    d_step {
        HOLDS(all_is_applied, rebuild == is_over && serving == 1 && applied[1] == stored);
        skip
    }
}

inline write_events(me) {
    if
    :: read_bound(me)
    :: lock_bound(me)
    :: write(me)
    :: commit_event(me)
    :: roll_back(me)
    fi
}

inline project(me) {
    if
    :: start(me)
    :: look(me)
    :: look_again(me)
    :: read_events(me)
    :: move(me)
    :: apply_and_commit(me)
#ifdef CHECKPOINT_APART
    :: commit_checkpoint(me)
#endif
    :: die(me)
    fi
}

#ifndef DRIVEN
active proctype world() {
    do
    :: write_events(0)
    :: write_events(1)
    :: project(0)
    :: project(1)
    :: project(REBUILD)
    :: ask_for_lock()
    :: get_lock()
    :: switch()
    :: deaths < DEATHS -> deaths = DEATHS
    :: timeout -> check_that_all_is_applied(); break
    od
}
#endif
