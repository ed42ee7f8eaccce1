/*
 * The kill lease, as a Promela model for Spin. README.md beside it says what is left out and why.
 *
 * One store, one replica that is also a relay, one sidecar behind it, one observed call, one
 * observed kill. A network that loses, delays, reorders and doubles: a message, once sent, may
 * arrive at any later time, any number of times, or never. Every MUTANT_ macro takes one guard out.
 *
 * What must hold; each assertion names its claim, PUSH in holder.pml, the others in call.pml:
 *   BOUND      no covered call starts later than the bound after the commit of the kill
 *   EFFECTIVE  none starts after `effective` was answered
 *   FLAG       tier B: a start that breaks one of these after a long pause is flagged
 *   PUSH       a push never extends a lease
 *   INTENT     no intent commits after a kill that covers it
 */

/* Time. A tick is TICK units of a true clock; a clock counts SLOW to FAST units in a tick. */
#define TICK 3
#define SLOW (TICK - 1)  /* 1 - rho, rho = 1/3 */
#define FAST (TICK + 1)  /* 1 + rho */
#ifndef L
#define L 3              /* kill lease, ticks */
#endif
#define D 1              /* pause between the last check and the write, ticks */
#ifdef SHARP
#define BOUND (L + D - 1)
#else
#define BOUND (L + D)    /* no start this many ticks after the commit; promised: L(1+rho) + D */
#endif
#define LEASE (L * SLOW) /* L(1-rho): how long a holder starts calls, in units of its clock */

/* How long who grants `left` waits until it takes its holder for expired, in its own units. */
#ifdef MUTANT_NO_PAUSE_IN_EXPIRY
#define WAIT(left) (((left) * FAST + SLOW - 1) / SLOW)
#else
#define WAIT(left) (((left) * FAST + SLOW - 1) / SLOW + D * FAST)
#endif

#define LESS(a, b) ((a) > (b) -> (a) - (b) : 0)
#define MAX(a, b) ((a) > (b) -> (a) : (b))

/* The kill log: entry 1 kills, 2 lifts, 3 kills, 4 lifts. Every entry covers the observed call. */
#ifndef KILLS
#define KILLS 2
#endif
#define killed(e) ((e) % 2)
#define last_kill(e) ((e) - 1 + (e) % 2)  /* of e > 0 */
#define killed_since(e, view) ((view) > (e) && last_kill(view) > (e))

#define R 0  /* the replica, holder of the store's lease, relay of the sidecar */
#define S 1  /* the sidecar, holder of the relay's lease */

#include "holder.pml"

/* The store. Rows of holders are written before the reply leaves. */
byte epoch;         /* of the last committed entry */
byte store_waits;   /* for the replica, units of the store's clock; 0: expired */
bit store_acked;    /* the replica has acknowledged the observed kill */
byte gone_waits;    /* for the replica as it was before its restarts */
byte relay_waits;   /* the relay for the sidecar, units of the relay's clock */
bit relay_acked;
bit ack_sent;       /* the replica's acknowledgement is on its way to the store */

inline settle() { /* nothing is waited for once `effective` was answered */
  effective = 1;
  store_waits = 0;
  store_acked = 0;
  gone_waits = 0;
  relay_waits = 0;
  relay_acked = 0;
  ack_sent = 0
}

#include "call.pml"

inline restart(who) {
  h[who].left = 0;
  h[who].view = 0;
  forget_nonce(who);
  relay_acked = 0; /* what the relay knew, and what it knew of this sidecar */
  if
  :: frozen(who) -> end_call()
  :: else
  fi
}

/* Any clock may change its rate at any tick. Two of them are worst at one end: a store that is
 * fast takes holders for expired first, a sidecar that is slow starts calls longest. The replica
 * is worst slow as a holder and fast as a relay. EVERY_RATE lets all three change, in more states. */
byte counts[3];
#define STORE 2

inline any_rate(clock) {
  if
  :: counts[clock] = SLOW
  :: counts[clock] = FAST
  fi
}

#ifdef EVERY_RATE
#define worst_rate(clock, rate) any_rate(clock)
#else
#define worst_rate(clock, rate) counts[clock] = rate
#endif

inline tick() {
  run_down(R, counts[R]);
  run_down(S, counts[S]);
  store_waits = LESS(store_waits, counts[STORE]);
  gone_waits = LESS(gone_waits, counts[STORE]);
  relay_waits = LESS(relay_waits, counts[R]);
  if
  :: watched > 0 && age < BOUND -> age++
  :: else
  fi;
  if
  :: call == CHECKED ->
    pause = (pause > D -> pause : pause + 1);
    token = LESS(token, 1)
  :: else
  fi;
  counts[R] = 0;
  counts[S] = 0;
  counts[STORE] = 0
}

proctype Clock() {
  do
  :: atomic {
      any_rate(R);
      worst_rate(S, SLOW);
      worst_rate(STORE, FAST);
      d_step { tick() }
    }
  od
}

/* An entry takes the lock alone: it waits for intents that have read and not committed. */
#ifdef MUTANT_PLAIN_READ
#define lock_is_free true
#else
#define lock_is_free (call != READ)
#endif

proctype Store() {
  do
  :: d_step { /* a kill that is not observed */
      !killed(epoch) && epoch + 2 < 2 * KILLS && watched == 0 && lock_is_free ->
      epoch++
    }
  :: d_step { /* the observed kill */
      !killed(epoch) && epoch < 2 * KILLS && watched == 0 && lock_is_free ->
      epoch++;
      watched = epoch
    }
  :: d_step { killed(epoch) && lock_is_free -> epoch++ } /* a lift */
  :: d_step { /* a grant: one row written by the node that has the last commit */
      h[R].asked && !h[R].replied ->
      reply(R, LEASE, epoch);
      store_waits = (effective || store_acked -> 0 : WAIT(LEASE))
    }
#ifdef MUTANT_STALE_PRIMARY
  :: d_step { /* a deposed primary grants from what it had, and its row is nobody's */
      h[R].asked && !h[R].replied && epoch > 0 ->
      reply(R, LEASE, epoch - 1)
    }
#endif
  :: d_step { ack_sent -> ack_sent = 0; store_acked = 1; store_waits = 0 }
  :: d_step {
      watched > 0 && !effective && store_waits == 0 && gone_waits == 0 ->
      settle()
    }
  od
}

/* The relay acknowledges for those behind it. */
#ifdef MUTANT_RELAY_ACKS_ALONE
#define known_below true
#else
#define known_below (relay_waits == 0)
#endif

/* What it grants in turn. */
#ifdef MUTANT_FULL_RELAY_LEASE
#define relayed LEASE
#else
#define relayed h[R].left
#endif

proctype Replica() {
  do
  :: d_step { !frozen(R) -> ask(R) }
  :: d_step { !frozen(R) && h[R].replied -> accept(R) }
  :: d_step { !frozen(R) && epoch >= 1 && h[R].view < 1 -> push(R, 1) }
  :: d_step { !frozen(R) && epoch >= 3 && h[R].view < 3 -> push(R, 3) }
#ifdef MUTANT_HEARTBEAT
  :: d_step { !frozen(R) -> h[R].left = LEASE } /* a heartbeat that says nothing of kills */
#endif
  :: d_step { /* as a relay: what is left, and it remembers how long it has to wait */
      !frozen(R) && h[S].asked && !h[S].replied && h[R].left > 0 ->
      reply(S, relayed, h[R].view);
      relay_waits = (effective || relay_acked -> 0 : MAX(relay_waits, WAIT(relayed)))
    }
  :: d_step {
      !frozen(R) && watched > 0 && h[R].view >= watched && known_below && !store_acked ->
      ack_sent = !effective
    }
  :: d_step { /* a restart is a new holder; the store goes on waiting for the old one */
      true;
#ifndef MUTANT_RESTART_KEEPS_ROW
      gone_waits = MAX(gone_waits, store_waits);
      store_waits = 0;
#endif
      store_acked = 0;
      ack_sent = 0;
      relay_waits = 0;
      restart(R)
    }
  od
}

proctype Sidecar() {
  do
  :: d_step { !frozen(S) -> ask(S) }
  :: d_step { !frozen(S) && h[S].replied -> accept(S) }
  :: d_step { !frozen(S) && epoch >= 1 && h[S].view < 1 -> push(S, 1) }
  :: d_step { !frozen(S) && epoch >= 3 && h[S].view < 3 -> push(S, 3) }
  :: d_step {
      !frozen(S) && watched > 0 && h[S].view >= watched && !effective && !relay_acked ->
      relay_acked = 1;
      relay_waits = 0
    }
  :: d_step { true; restart(S) }
  od
}

init {
  atomic {
    run Clock();
    run Store();
    run Replica();
    run Sidecar();
    run Call()
  }
}
