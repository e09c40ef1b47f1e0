/* Whether the model of projection can do what projectors and a rebuild were seen doing. See specs/projection_replay.py.

   The recording says: the points that each projector passed, and where anybody was killed, in one order; which
   positions hold an event in the end; and, in order, who moved which checkpoint from where to where, with which
   events applied in the same transaction, and when the generations were switched. Free are: the writers, which may
   have been as slow as it takes; locks; whether a projector began a new session before it read. A reader's steps are
   taken at one go, at the last moment: what it saw before that, it could have seen with slower writers. */

#include "replay.pml"
#include "projection.pml"

#define SWITCHED READERS /* in the place of who moved */

hidden byte mover[MOVES + 1] = MOVERS;
hidden byte moved[MOVES + 1] = MOVED;  /* which generation */
hidden byte moved_from[MOVES + 1] = MOVED_FROM;
hidden byte moved_to[MOVES + 1] = MOVED_TO;
hidden byte moved_with[MOVES + 1] = MOVED_WITH; /* events */
byte moves;        /* matched so far, switches among them */
bool has_news[2];  /* whether a projector moved the checkpoint, and is yet to say so */

#define IS_STORED(position) (((STORED) >> (position)) & 1)
#define IS_AS_RECORDED(me) \
    (moves < MOVES && mover[moves] == me && moved[moves] == generation[me] && moved_from[moves] == position[me] && \
     moved_to[moves] == safe[me] && moved_with[moves] == events[me])

inline write_as_recorded(me) {
    if
    :: read_bound(me)
    :: lock_bound(me)
    :: write(me)
    :: atomic { writer[me] == written && IS_STORED(position_of[me]) -> commit_event(me) }
    :: atomic { writer[me] != written || !IS_STORED(position_of[me]) -> roll_back(me) }
    fi
}

inline read(me) {
    if
    :: stage[me] == rests
    :: stage[me] != starts -> die(me); deaths = 0; start(me)
    :: stage[me] == starts -> start(me)
    fi;
    look(me);
    look_again(me);
    read_events(me);
    stage[me] == has_events
}

inline move_as_recorded(me) {
    move(me);
    stage[me] == has_moved && IS_AS_RECORDED(me) ->
    apply_and_commit(me);
    moves++
}

inline project_as_recorded(me) {
    if
    :: atomic { NEXT(me, BEFORE_CHECKPOINT) && !has_news[me] -> read(me); pass() }
    :: atomic { moves < MOVES && mover[moves] == me && !has_news[me] -> move_as_recorded(me); has_news[me] = true }
    :: atomic { NEXT(me, AFTER_CHECKPOINT) && has_news[me] -> has_news[me] = false; pass() }
    :: atomic { NEXT(me, KILLED) ->
        if
        :: stage[me] != starts -> die(me); deaths = 0
        :: stage[me] == starts
        fi;
        has_news[me] = false;
        pass() }
    fi
}

inline rebuild_as_recorded() {
    if
    :: start(REBUILD)
    :: atomic { moves < MOVES && mover[moves] == REBUILD -> read(REBUILD); move_as_recorded(REBUILD) }
    :: ask_for_lock()
    :: get_lock()
    :: atomic { moves < MOVES && mover[moves] == SWITCHED -> switch(); moves++ }
    :: atomic { NEXT(REBUILD, KILLED) ->
        if
        :: stage[REBUILD] != starts -> die(REBUILD); deaths = 0
        :: stage[REBUILD] == starts
        fi;
        pass() }
    fi
}

active proctype projection() {
    do
    :: write_as_recorded(0)
    :: write_as_recorded(1)
    :: project_as_recorded(0)
    :: project_as_recorded(1)
    :: rebuild_as_recorded()
    :: points == POINTS && moves == MOVES && stored == STORED -> HOLDS(is_impossible, false)
    od
}
