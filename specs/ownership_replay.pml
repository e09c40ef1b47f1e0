/* Whether the model of ownership can do what two processes were seen doing. See specs/ownership_replay.py.

   The recording says: the points that each process passed (and where it was killed), in one order; who committed what
   under which epoch; which command led to which event; what a subscriber saw first of each event. Free are: freezes,
   whose share the shard is, who is struck off and when, and what the broker and Postgres did. */

#include "replay.pml"
#include "ownership.pml"

hidden byte committer[COMMITS + 1] = COMMITTERS;
hidden byte committed_up_to[COMMITS + 1] = COMMITTED;
hidden byte rank_of_epoch[COMMITS + 1] = EPOCHS; /* among those that something was committed under */
hidden byte effect_of[EVENTS + 1] = EFFECTS;     /* an event's command */
hidden byte shown[EVENTS + 1] = SHOWN;
byte commits;                /* matched so far */
byte last_rank, last_epoch;  /* of the last commit */
byte told[2];                /* the last point of recovery or batch that a process passed; 0: none that counts */
bool gave[2];                /* whether it handed over, and is yet to say so */

#define AT(me, where, point) (stage[me] == where && told[me] == point)
#define IS_NEXT_EPOCH(me) \
    (rank_of_epoch[commits] == last_rank && lease[me] == last_epoch || \
     rank_of_epoch[commits] == last_rank + 1 && lease[me] > last_epoch)

inline tell(me, point) { told[me] = point; points++ }

inline commit_as_recorded(me) {
    atomic {
        AT(me, decided, BEFORE_COMMIT) && fresh[me] ->
        commit(me);
        if
        :: stage[me] == committed ->
            commits < COMMITS && committer[commits] == me && committed_up_to[commits] == version && IS_NEXT_EPOCH(me);
            last_rank = rank_of_epoch[commits];
            last_epoch = lease[me];
            commits++
        :: else -> told[me] = 0
        fi
    }
}

inline is_all_matched() {
    d_step {
        points == POINTS && commits == COMMITS && version == EVENTS && last_seen == EVENTS ->
        is_known = true;
        for (i : 1 .. EVENTS) { is_known = is_known && caused_by[i] == effect_of[i - 1] && shown[i - 1] == i }
        HOLDS(is_impossible, !is_known)
    }
}

inline process(me) {
    if
    :: deliver(me)
    :: atomic { freeze(me); freezes = 0 } /* as often as it likes */
    :: wake(me)
    :: cut(me)
    :: strike_off(me)
    :: atomic { told[me] = 0; acquire(me) }
    :: atomic { stage[me] != recovering || told[me] == EPOCH_BEGUN -> notice_loss(me); told[me] = 0 }
    :: atomic { stage[me] != recovering || told[me] == EPOCH_BEGUN -> notice_cut(me); told[me] = 0 }
    :: atomic { stage[me] != recovering || told[me] == EPOCH_BEGUN -> stand_back(me); told[me] = 0 }
    :: come_back(me)
    :: atomic { NEXT(me, SESSION_ENDED) && (stage[me] == without || AT(me, recovering, 0)) -> pass() }
    :: atomic { NEXT(me, KILLED) -> die(me); told[me] = 0; gave[me] = false; pass() }
    :: start_again(me)

    :: atomic { NEXT(me, EPOCH_BEGUN) && AT(me, recovering, 0) -> tell(me, EPOCH_BEGUN) }
    :: atomic { AT(me, recovering, EPOCH_BEGUN) -> recover(me) }
    :: atomic { NEXT(me, AFTER_RECOVERY) && stage[me] == republishing -> recovered(me); tell(me, AFTER_RECOVERY) }
    :: atomic { NEXT(me, HANDING_OVER) -> begin_to_hand_over(me); pass() }
    :: atomic { hand_over(me); gave[me] = true }
    :: atomic { NEXT(me, HANDED_OVER) && gave[me] -> gave[me] = false; pass() }

    :: take(me)
    :: atomic { decide(me); told[me] = 0 }
    :: atomic { stage[me] == decided && fresh[me] == 0 -> commit(me) } /* the inbox knew all of them */
    :: atomic { NEXT(me, BEFORE_COMMIT) && AT(me, decided, 0) && fresh[me] -> tell(me, BEFORE_COMMIT) }
    :: commit_as_recorded(me)
    :: atomic { NEXT(me, AFTER_COMMIT) && AT(me, committed, BEFORE_COMMIT) -> tell(me, AFTER_COMMIT) }
    :: atomic { NEXT(me, AFTER_PUBLISH) && told[me] == (fresh[me] -> AFTER_COMMIT : 0) ->
        publish(me);
        tell(me, AFTER_PUBLISH) }
    :: atomic { NEXT(me, AFTER_CONFIRM) && AT(me, published, AFTER_PUBLISH) -> tell(me, AFTER_CONFIRM) }
    :: atomic { NEXT(me, BEFORE_ACK) && AT(me, published, AFTER_CONFIRM) -> tell(me, BEFORE_ACK) }
    :: atomic { told[me] == BEFORE_ACK -> acknowledge(me); told[me] = 0 }
    :: sweep(me)
    fi
}

active proctype engines() {
    do
    :: send()
    :: atomic { move_share(); moves = 0 }
    :: process(0)
    :: process(1)
    :: is_all_matched()
    od
}
