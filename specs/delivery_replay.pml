/* Whether the model of delivery can do what the engine was seen doing. See specs/delivery_replay.py.

   The recording says: what the queue held, the points that the engine passed (and where it was killed), what each
   transaction committed, and what a subscriber saw, each in order. Free are: how many commands were taken, when the
   servers did their part, recovery. */

#include "replay.pml"
#include "delivery.pml"

#define ENGINE 0

hidden byte queue[COPIES + 1] = QUEUE;
hidden byte committed_up_to[COMMITS + 1] = COMMITTED;
hidden byte shown[SIGHTS + 1] = SHOWN;
byte commits, sights; /* matched so far */
byte are_confirmed;   /* batches that the engine knows to be confirmed … */
byte may_acknowledge; /* … and those that it's about to acknowledge */

#define IS_CONFIRMED (arrived >= waiting[are_confirmed].tag)

inline commit_as_recorded(which) {
    atomic {
        transaction[which].is == under_way ->
        commit(which);
        if
        :: transaction[which].is == refused
        :: transaction[which].is == done && commits < COMMITS && version == committed_up_to[commits] -> commits++
        fi
    }
}

inline arrive_as_recorded(which) {
    atomic {
        nempty(outlet[which]) && sights < SIGHTS ->
        arrive(which);
        v == shown[sights] -> sights++
    }
}

active proctype engine() {
    d_step {
        for (i : 0 .. COPIES - 1) { copy[i] = queue[i] }
        queued = COPIES;
        sent = COMMANDS
    }
    do
    :: recover()
    :: recovered()
    :: sweep()
    :: take(1)
    :: take(2)
    :: take(3)
    :: atomic { stage == taken -> decide(); stage == committed } /* the inbox knew all of them: nothing to commit */
    :: atomic { NEXT(ENGINE, BEFORE_COMMIT) && stage == taken -> decide(); stage == committing -> pass() }
    :: atomic { NEXT(ENGINE, AFTER_COMMIT) -> learn_of_commit(); pass() }
    :: atomic { NEXT(ENGINE, AFTER_PUBLISH) -> publish(); pass() }
    :: atomic { NEXT(ENGINE, AFTER_CONFIRM) && are_confirmed < in_flight && IS_CONFIRMED -> are_confirmed++; pass() }
    :: atomic { NEXT(ENGINE, BEFORE_ACK) && may_acknowledge < are_confirmed -> may_acknowledge++; pass() }
    :: atomic { may_acknowledge > 0 -> acknowledge(); may_acknowledge--; are_confirmed-- }
    :: atomic { NEXT(ENGINE, KILLED) -> break_off(); may_acknowledge = 0; are_confirmed = 0; pass() }
    :: learn_of_conflict()
    :: clear_outbox()
    :: settle()
    :: commit_as_recorded(session)
    :: commit_as_recorded(1 - session)
    :: arrive_as_recorded(session)
    :: arrive_as_recorded(1 - session)
    :: points == POINTS && commits == COMMITS && sights == SIGHTS && acknowledged == queued ->
        HOLDS(is_impossible, false)
    od
}
