/* A command through one shard and one process: sent, taken, decided, committed, published, confirmed, acknowledged.

   What may go wrong, at every point: the process dies or loses a connection (either ends the session, and the next
   one begins with recovery); the connection breaks during a commit, which takes effect all the same, even later;
   bytes written before a break arrive after it, or never; a client sends a command twice.

   Follows datapunk/shard.py, settling.py, announcing.py, store/append.py and store/leases.py. One actor, one event a
   command: commands are numbered as they are sent, events by version. A set of either is a mask of bits. */

#include "promises.pml"

#ifndef COMMANDS
#define COMMANDS 3
#endif
#ifndef AGAIN
#define AGAIN 1     /* copies that the client sends besides */
#endif
#ifndef BREAKS
#define BREAKS 2
#endif
#define COPIES (COMMANDS + AGAIN)
#ifndef IN_FLIGHT
#define IN_FLIGHT 2 /* batches published and not yet confirmed; the engine has 4 */
#endif

#ifdef ONCE_EVEN_UNFENCED /* what inbox and versions see to by themselves, whatever becomes of leases */
#define UNFENCED
#endif

hidden byte takes_effect_once, takes_effect_in_order, published_in_order, published_before_acknowledged;
hidden byte all_is_done, all_is_published;
hidden byte i, v;

/* The broker: a queue; and what subscribers have seen. What isn't acknowledged is delivered again, in order. */
byte copy[COPIES];
byte queued, delivered, acknowledged;
int seen;
byte last_seen;
byte sent, again;

/* The store. */
byte version;
byte caused_by[COPIES + 2]; /* an event's command */
byte event_of[COPIES + 2];  /* the inbox: a command's event, or 0 */
int outbox;
byte epoch;                 /* of the lease; each recovery begins a new one */

/* The process. Sessions alternate between 0 and 1: what the last one left under way may still happen. */
mtype = { recovering, republishing, idle, taken, committing, committed };
mtype stage = recovering;
bit session;
byte breaks;
byte from, to;              /* the copies in hand */
byte first, last;           /* their events */
byte written, arrived;      /* on this session's outlet; the broker confirms what arrived */
byte acknowledging;
int republished, confirmed; /* events whose outbox rows may go: soon, now */
chan outlet[2] = [2 * COPIES + 2] of { byte };
typedef Batch { byte tag, to, first, last }
Batch waiting[IN_FLIGHT];   /* for the broker's confirms, up to a tag each */
byte in_flight;

mtype = { none, under_way, done, refused };
typedef Transaction { mtype is; byte base, epoch; int commands }
Transaction transaction[2];

#define BIT(number) (1 << (number))
#define HAS(set, number) (((set) >> (number)) & 1)

#ifdef NO_INBOX
#define IS_PROCESSED(command) false
#else
#define IS_PROCESSED(command) (event_of[command] > 0)
#endif

/* --- the client ------------------------------------------------------------------------------------------- */

inline send() { d_step { sent < COMMANDS -> sent++; copy[queued] = sent; queued++ } }

inline send_again(command) {
    d_step { again < AGAIN && command > 0 && command <= sent -> again++; copy[queued] = command; queued++ }
}

/* --- the process ------------------------------------------------------------------------------------------ */

inline recover() {
    d_step {
        stage == recovering ->
        epoch++;
        republish();
        stage = republishing
    }
}

inline sweep() { /* every few seconds, for what a lost commit left behind; here at any time */
    d_step {
        stage == idle && in_flight == 0 && (outbox & ~confirmed) ->
        republish();
        stage = republishing
    }
}

inline republish() {
    republished = 0;
#ifndef RECOVERY_SKIPPED
    for (v : 1 .. version) {
        if
        :: HAS(outbox & ~confirmed, v) -> outlet[session]!v; written++; republished = republished | BIT(v)
        :: else
        fi
    }
#endif
}

inline recovered() {
    d_step {
        stage == republishing && arrived >= written ->
        outbox = outbox & ~republished;
        republished = 0;
        stage = idle
    }
}

inline take(count) {
    d_step {
        stage == idle && delivered + count <= queued ->
        from = delivered;
        to = delivered + count;
        delivered = to;
        stage = taken
    }
}

inline decide() { /* look into the inbox, decide the rest on the newest state, send the transaction */
    d_step {
        stage == taken ->
        transaction[session].commands = 0;
        for (i : from .. to - 1) {
            if
            :: !IS_PROCESSED(copy[i]) ->
                transaction[session].commands = transaction[session].commands | BIT(copy[i])
            :: else
            fi
        }
        first = 1;
        last = 0;
        if
        :: transaction[session].commands == 0 -> stage = committed
        :: else ->
            transaction[session].base = version;
            transaction[session].epoch = epoch;
            transaction[session].is = under_way;
            stage = committing
        fi
    }
}

inline learn_of_commit() {
    d_step {
        stage == committing && transaction[session].is == done ->
        first = transaction[session].base + 1;
        last = transaction[session].base;
        for (i : 1 .. COMMANDS) { last = last + HAS(transaction[session].commands, i) }
        transaction[session].is = none;
        stage = committed
    }
}

inline learn_of_conflict() {
    d_step {
        stage == committing && transaction[session].is == refused ->
        transaction[session].is = none;
        stage = taken
    }
}

inline publish() {
    d_step {
        stage == committed && in_flight < IN_FLIGHT ->
        for (v : first .. last) { outlet[session]!v; written++ }
        waiting[in_flight].tag = written;
        waiting[in_flight].to = to;
        waiting[in_flight].first = first;
        waiting[in_flight].last = last;
        in_flight++;
#ifdef ACK_BEFORE_PUBLISH
        acknowledging = to;
#endif
        stage = idle
    }
}

inline acknowledge() { /* the oldest batch in flight, once the broker has confirmed the last of its events */
    d_step {
        in_flight > 0 && arrived >= waiting[0].tag ->
        for (v : waiting[0].first .. waiting[0].last) { confirmed = confirmed | BIT(v) }
        acknowledging = waiting[0].to;
        for (i : 0 .. IN_FLIGHT - 2) {
            waiting[i].tag = waiting[i + 1].tag;
            waiting[i].to = waiting[i + 1].to;
            waiting[i].first = waiting[i + 1].first;
            waiting[i].last = waiting[i + 1].last
        }
        in_flight--
    }
}

inline clear_outbox() { /* with a later commit, or by the sweep */
    d_step {
        confirmed ->
        outbox = outbox & ~confirmed;
        confirmed = 0
    }
}

/* --- the servers ------------------------------------------------------------------------------------------ */

inline commit(which) {
    d_step {
        transaction[which].is == under_way ->
        if
#ifndef UNFENCED
        :: transaction[which].epoch != epoch -> transaction[which].is = refused
#endif
        :: transaction[which].base != version -> transaction[which].is = refused
        :: else ->
            for (i : 1 .. COMMANDS) {
                if
                :: HAS(transaction[which].commands, i) ->
                    HOLDS(takes_effect_once, event_of[i] == 0);
                    HOLDS(takes_effect_in_order, i == caused_by[version] + 1);
                    version++;
                    caused_by[version] = i;
                    event_of[i] = version;
                    outbox = outbox | BIT(version)
                :: else
                fi
            }
            transaction[which].is = done
        fi
    }
}

inline arrive(which) {
    d_step {
        nempty(outlet[which]) ->
        outlet[which]?v;
        if
        :: !HAS(seen, v) ->
#ifndef ONCE_EVEN_UNFENCED
            HOLDS(published_in_order, v == last_seen + 1);
#endif
            seen = seen | BIT(v);
            last_seen = v
        :: else
        fi;
        arrived = arrived + (which == session)
    }
}

inline settle() {
    d_step {
        acknowledged < acknowledging ->
        for (i : acknowledged .. acknowledging - 1) {
#ifdef ONCE_EVEN_UNFENCED
            HOLDS(takes_effect_once, event_of[copy[i]] > 0)
#else
            HOLDS(published_before_acknowledged, event_of[copy[i]] > 0 && HAS(seen, event_of[copy[i]]))
#endif
        }
        acknowledged = acknowledging
    }
}

inline break_off() { /* what the session before this one left under way is over for good now */
    d_step {
        breaks < BREAKS ->
        breaks++;
        session = 1 - session;
        transaction[session].is = none;
        do
        :: outlet[session]?_
        :: empty(outlet[session]) -> break
        od;
        delivered = acknowledged;
        acknowledging = acknowledged;
        in_flight = 0; written = 0; arrived = 0; from = 0; to = 0; first = 0; last = 0; republished = 0; confirmed = 0;
        stage = recovering
    }
}

inline break_during_commit() { /* and the process believes that it failed, and decides again */
    d_step {
        stage == committing && breaks < BREAKS ->
        breaks++;
        stage = taken
    }
}

/* When nothing moves any more. */
inline check_that_all_is_done() {
    d_step {
        HOLDS(all_is_done, acknowledged == queued && version == COMMANDS);
        HOLDS(all_is_published, seen == BIT(version + 1) - 2)
    }
}

#ifndef DRIVEN
active proctype world() {
    do
    :: send()
    :: send_again(1)
    :: send_again(sent)
    :: recover()
    :: sweep()
    :: recovered()
    :: take(1)
    :: take(2)
    :: decide()
    :: learn_of_commit()
    :: learn_of_conflict()
    :: publish()
    :: acknowledge()
    :: clear_outbox()
    :: commit(session)
    :: commit(1 - session)
    :: arrive(session)
    :: arrive(1 - session)
    :: settle()
    :: break_off()
#ifdef UNCERTAIN_TAKEN_FOR_FAILED
    :: break_during_commit()
#endif
    :: breaks < BREAKS -> breaks = BREAKS /* nothing breaks from now on */
    :: timeout -> check_that_all_is_done(); break
    od
}
#endif
