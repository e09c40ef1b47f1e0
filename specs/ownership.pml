/* Two processes and one shard: leases, hand-over, a frozen owner that wakes as a zombie, and what stops it.

   Who owns the shard is decided in Postgres: a process that was silent for too long is struck off, which frees its
   lease. It may have been frozen, though, and go on where it stood. The broker lets one consumer at a time have the
   queue (single active consumer); a cancelled or closed consumer makes room for the next.

   Follows datapunk/membership.py, shard.py (_take_over, _give_back), settling.py, store/leases.py, and quorum queues.
   A process handles one batch at a time here; how batches overlap is in delivery.pml. One actor, one event a
   command: commands are numbered as they are sent, events by version. A set of either is a mask of bits. */

#include "promises.pml"

#ifndef COMMANDS
#define COMMANDS 3
#endif
#ifndef FREEZES
#define FREEZES 2
#endif
#ifndef DEATHS
#define DEATHS 1
#endif
#ifndef MOVES
#define MOVES 1 /* times that the shard becomes the other one's share for no reason seen here */
#endif
#define NOBODY 2

#ifdef NO_OPTIMISTIC_CONCURRENCY
#define ONCE_EVEN_UNFENCED
#endif
#ifdef ONCE_EVEN_UNFENCED /* what inbox and versions see to by themselves, whatever becomes of leases */
#define CANCELLED_FIRST
#define UNFENCED
#endif

hidden byte takes_effect_once, takes_effect_in_order, decided_on_newest_state;
hidden byte published_in_order, published_before_acknowledged, all_is_done, all_is_published;
hidden byte i, v, is_known;

#define BIT(number) (1 << (number))
#define HAS(set, number) (((set) >> (number)) & 1)

/* The broker. */
byte sent;
byte ready, acknowledged;       /* commands */
byte held[2];                   /* delivered and not acknowledged, by process */
bool consumes[2];
byte consumer = NOBODY;
byte seen, last_seen;           /* events that subscribers have seen */

/* The store. */
byte version;
byte caused_by[COMMANDS + 2];
byte event_of[COMMANDS + 1];    /* the inbox: a command's event, or 0 */
byte outbox;                    /* events */
byte owner = NOBODY, epoch;     /* the lease */
byte share;                     /* whose the shard should be */
bool struck_off[2];
bool stands_back[2];            /* alive, and no member: it can't reach the broker */

/* The processes. */
mtype = { running, frozen, dead };
mtype is[2] = running;
mtype = { without, recovering, republishing, idle, taken, decided, committed, published };
mtype stage[2] = without;       /* `without` the shard, or at work with it */
bool hands_over[2], is_cut[2];
byte lease[2];                  /* the epoch of it */
byte hand[2];                   /* commands of the batch */
byte fresh[2];                  /* of these, those that the inbox didn't know */
byte base[2];                   /* the version that they were decided on */
byte cache[2];                  /* the actor's version in memory, plus one; 0: not loaded */
byte events[2];                 /* of the batch, or of the recovery */
byte freezes, deaths, moves;

#define RUNS(me) (is[me] == running)
#define OTHER(me) (1 - me)
#ifdef NO_SINGLE_ACTIVE_CONSUMER
#define MAY_HAVE_THE_QUEUE(me) consumes[me]
#else
#define MAY_HAVE_THE_QUEUE(me) (consumer == me)
#endif

#ifdef UNFENCED
#define FENCE(me) true
#else
#define FENCE(me) (owner == me && epoch == lease[me])
#endif
#ifdef NO_OPTIMISTIC_CONCURRENCY
#define RIGHT_VERSION(me) true
#else
#define RIGHT_VERSION(me) (base[me] == version)
#endif

#if defined(CANCELLED_FIRST) || defined(RELEASED_EARLY)
#define TAKES_MORE(me) true /* all that was delivered */
#define NOTHING_LEFT(me) (held[me] == 0)
#else
#define TAKES_MORE(me) !hands_over[me] /* the rest goes back, in the moment in which the consumer ends */
#define NOTHING_LEFT(me) true
#endif

/* --- the broker ------------------------------------------------------------------------------------------- */

inline send() { d_step { sent < COMMANDS -> sent++; ready = ready | BIT(sent) } }

inline deliver(me) {
    d_step {
        MAY_HAVE_THE_QUEUE(me) && ready ->
        i = 1;
        do
        :: HAS(ready, i) -> break
        :: else -> i++
        od;
        ready = ready & ~BIT(i);
        held[me] = held[me] | BIT(i)
    }
}

inline end_consumer(me) {
    consumes[me] = false;
    if
    :: consumer == me && consumes[OTHER(me)] -> consumer = OTHER(me)
    :: consumer == me && !consumes[OTHER(me)] -> consumer = NOBODY
    :: else
    fi
}

inline close(me) { /* one step for the broker: the consumer ends, and what it held is ready again, in its old place */
    end_consumer(me);
    ready = ready | held[me];
    held[me] = 0
}

inline announce(event) {
    if
    :: !HAS(seen, event) ->
#ifndef ONCE_EVEN_UNFENCED
        HOLDS(published_in_order, event == last_seen + 1);
#endif
        seen = seen | BIT(event);
        last_seen = event
    :: else
    fi
}

inline cut(me) { /* the broker misses the heartbeats of a frozen process */
    d_step { is[me] == frozen && !is_cut[me] && stage[me] != without -> is_cut[me] = true; close(me) }
}

/* --- membership ------------------------------------------------------------------------------------------- */

inline acquire(me) {
    d_step {
        RUNS(me) && stage[me] == without && !struck_off[me] && !stands_back[me] && owner == NOBODY && share == me ->
        owner = me;
        epoch++;
        lease[me] = epoch;
        cache[me] = 0;
        stage[me] = recovering
    }
}

inline strike_off(me) {
    d_step {
        !RUNS(me) && !struck_off[me] ->
        struck_off[me] = true;
        share = OTHER(me);
        if
        :: owner == me -> owner = NOBODY
        :: else
        fi
    }
}

inline move_share() {
    d_step {
        moves < MOVES && !struck_off[OTHER(share)] && !stands_back[OTHER(share)] -> moves++; share = OTHER(share)
    }
}

inline forget(me) {
    close(me);
    is_cut[me] = false;
    hands_over[me] = false;
    stage[me] = without;
    hand[me] = 0; fresh[me] = 0; base[me] = 0; cache[me] = 0; events[me] = 0; lease[me] = 0
}

inline notice_loss(me) { /* with the next heartbeat: start over, as a new member */
    d_step {
        RUNS(me) && struck_off[me] -> struck_off[me] = false; forget(me)
    }
}

inline notice_cut(me) { /* a new session, with a new epoch of the same lease */
    d_step {
        RUNS(me) && is_cut[me] && !struck_off[me] ->
        forget(me);
        if
        :: owner == me -> epoch++; lease[me] = epoch; stage[me] = recovering
        :: else
        fi
    }
}

inline stand_back(me) { /* no new session is to be had: it leaves, so that the other has everything */
    d_step {
        RUNS(me) && is_cut[me] && !struck_off[me] && !stands_back[me] ->
        forget(me);
        stands_back[me] = true;
        share = OTHER(me);
        if
        :: owner == me -> owner = NOBODY
        :: else
        fi
    }
}

inline come_back(me) { /* a member again; one that is alone has everything */
    d_step {
        RUNS(me) && stands_back[me] ->
        stands_back[me] = false;
        if
        :: struck_off[OTHER(me)] || stands_back[OTHER(me)] -> share = me
        :: else
        fi
    }
}

/* --- taking over and handing over ------------------------------------------------------------------------- */

inline recover(me) {
    d_step {
        RUNS(me) && stage[me] == recovering ->
        events[me] = outbox;
        stage[me] = republishing
    }
}

inline recovered(me) {
    d_step {
        RUNS(me) && stage[me] == republishing ->
        for (v : 1 .. COMMANDS) {
            if
            :: HAS(events[me], v) -> announce(v)
            :: else
            fi
        }
        outbox = outbox & ~events[me];
        events[me] = 0;
        if
        :: !is_cut[me] ->
            consumes[me] = true;
            if
            :: consumer == NOBODY -> consumer = me
            :: else
            fi
        :: else
        fi;
        stage[me] = idle
    }
}

inline begin_to_hand_over(me) {
    d_step {
        RUNS(me) && stage[me] != without && !hands_over[me] && owner == me && share != me ->
        hands_over[me] = true;
#ifdef CANCELLED_FIRST
        end_consumer(me);
#endif
#ifdef RELEASED_EARLY
        end_consumer(me);
        owner = NOBODY;
#endif
        skip
    }
}

inline hand_over(me) {
    d_step {
        RUNS(me) && hands_over[me] && stage[me] == idle && NOTHING_LEFT(me) ->
        if
        :: owner == me && !struck_off[me] -> owner = NOBODY
        :: else
        fi;
        forget(me)
    }
}

/* --- a batch ---------------------------------------------------------------------------------------------- */

inline take(me) {
    d_step {
        RUNS(me) && stage[me] == idle && TAKES_MORE(me) && held[me] ->
        hand[me] = held[me];
        stage[me] = taken
    }
}

inline decide(me) {
    d_step {
        RUNS(me) && stage[me] == taken ->
        fresh[me] = 0;
        for (i : 1 .. COMMANDS) {
            if
            :: HAS(hand[me], i) && event_of[i] == 0 -> fresh[me] = fresh[me] | BIT(i)
            :: else
            fi
        }
        if
        :: cache[me] == 0 -> cache[me] = version + 1
        :: else
        fi;
        base[me] = cache[me] - 1;
        stage[me] = decided
    }
}

inline commit(me) {
    d_step {
        RUNS(me) && stage[me] == decided ->
        is_known = false;
        for (i : 1 .. COMMANDS) { is_known = is_known || HAS(fresh[me], i) && event_of[i] > 0 }
        if
        :: !FENCE(me) -> forget(me) /* nothing to commit: the look into the inbox tells */
        :: FENCE(me) && fresh[me] == 0 -> events[me] = 0; stage[me] = committed
        :: FENCE(me) && fresh[me] && (!RIGHT_VERSION(me) || is_known) -> cache[me] = 0; stage[me] = taken
        :: else ->
            HOLDS(decided_on_newest_state, base[me] == version);
            events[me] = 0;
            for (i : 1 .. COMMANDS) {
                if
                :: HAS(fresh[me], i) ->
                    HOLDS(takes_effect_once, event_of[i] == 0);
#ifndef ONCE_EVEN_UNFENCED
                    HOLDS(takes_effect_in_order, i == caused_by[version] + 1);
#endif
                    version++;
                    caused_by[version] = i;
                    event_of[i] = version;
                    events[me] = events[me] | BIT(version)
                :: else
                fi
            }
            outbox = outbox | events[me];
            cache[me] = version + 1;
            stage[me] = committed
        fi
    }
}

inline publish(me) {
    d_step {
        RUNS(me) && stage[me] == committed ->
        for (v : 1 .. COMMANDS) {
            if
            :: HAS(events[me], v) -> announce(v)
            :: else
            fi
        }
        stage[me] = published
    }
}

inline acknowledge(me) {
    d_step {
        RUNS(me) && stage[me] == published ->
        if
        :: !is_cut[me] ->
            for (i : 1 .. COMMANDS) {
                if
                :: HAS(hand[me], i) ->
#ifdef ONCE_EVEN_UNFENCED
                    HOLDS(takes_effect_once, event_of[i] > 0);
#else
                    HOLDS(published_before_acknowledged, event_of[i] > 0 && HAS(seen, event_of[i]));
#endif
                    skip
                :: else
                fi
            }
            acknowledged = acknowledged | hand[me];
            held[me] = held[me] & ~hand[me]
        :: else
        fi;
        outbox = outbox & ~events[me];
        events[me] = 0; hand[me] = 0; fresh[me] = 0; base[me] = 0;
        stage[me] = idle
    }
}

inline sweep(me) { /* what a late commit left behind */
    d_step {
        RUNS(me) && stage[me] == idle && owner == me && outbox ->
        for (v : 1 .. COMMANDS) {
            if
            :: HAS(outbox, v) -> announce(v)
            :: else
            fi
        }
        outbox = 0
    }
}

/* --- what may happen to a process ------------------------------------------------------------------------- */

inline freeze(me) { d_step { freezes < FREEZES && RUNS(me) -> freezes++; is[me] = frozen } }

inline wake(me) { d_step { is[me] == frozen -> is[me] = running } }

inline die(me) { d_step { deaths < DEATHS && is[me] != dead -> deaths++; forget(me); is[me] = dead } }

inline start_again(me) { d_step { is[me] == dead && struck_off[me] -> is[me] = running; struck_off[me] = false; stands_back[me] = false } }

inline check_that_all_is_done() {
    d_step {
        HOLDS(all_is_done, acknowledged == BIT(COMMANDS + 1) - 2 && version == COMMANDS);
        HOLDS(all_is_published, seen == BIT(version + 1) - 2)
    }
}

inline anything(me) {
    if
    :: deliver(me)
    :: cut(me)
    :: acquire(me)
    :: strike_off(me)
    :: notice_loss(me)
    :: notice_cut(me)
    :: stand_back(me)
    :: come_back(me)
    :: recover(me)
    :: recovered(me)
    :: begin_to_hand_over(me)
    :: hand_over(me)
    :: take(me)
    :: decide(me)
    :: commit(me)
    :: publish(me)
    :: acknowledge(me)
    :: sweep(me)
    :: freeze(me)
    :: wake(me)
    :: die(me)
    :: start_again(me)
    fi
}

#ifndef DRIVEN
active proctype world() {
    do
    :: send()
    :: move_share()
    :: anything(0)
    :: anything(1)
    :: freezes < FREEZES -> freezes = FREEZES /* nothing goes wrong from now on */
    :: timeout -> check_that_all_is_done(); break
    od
}
#endif
