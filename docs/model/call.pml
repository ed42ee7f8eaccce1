/* The observed call, from its intent to its write, and what is claimed of it. */

/* What is observed. */
byte watched;       /* epoch of the observed kill, 0 before its commit */
byte age;           /* ticks since that commit, up to BOUND */
bit effective;      /* and `effective` was answered */

mtype = { IDLE, READ, INTENT, CHECKED };
mtype call = IDLE;
byte call_epoch;    /* the epoch its intent was written under */
bit caller;         /* R or S, once checked */
byte pause;         /* ticks since the check, up to D + 1 */
byte token;         /* ticks until the resource refuses its credential */

#define frozen(who) (call == CHECKED && caller == who)
#define covered (watched > 0 && call_epoch < watched)

inline end_call() {
  call = IDLE;
  call_epoch = 0;
  caller = 0;
  pause = 0;
  token = 0
}

/* How many ticks the resource takes the credential: its clock may be D behind. */
#ifdef MUTANT_TOKEN_OUTLIVES_LEASE
#define token_life(left) (2 * BOUND)
#else
#define token_life(left) (((left) + TICK - 1) / TICK + D)
#endif

inline check(who) {
  caller = who;
  pause = 0;
  token = token_life(h[who].left);
  call = CHECKED
}

/* Who wrote looks at its lease once more. */
#ifdef MUTANT_UNBOUNDED_PAUSE
#define late false
#else
#define late (h[caller].left == 0)
#endif

#define may_start(who) \
  (h[who].left > 0 && !killed(h[who].view) && !killed_since(call_epoch, h[who].view))

proctype Call() {
  do
  :: d_step { /* the intent reads the kill state under the shared lock */
      call == IDLE && !killed(epoch) && watched == 0 -> call_epoch = epoch; call = READ
    }
  :: d_step {
      call == READ ->
      assert(!killed(epoch) && !killed_since(call_epoch, epoch)); /* INTENT */
      call = INTENT
    }
  :: d_step { call == INTENT && may_start(R) -> check(R) }
  :: d_step { call == INTENT && may_start(S) -> check(S) }
  :: d_step { /* tier A: the resource refuses a credential that has run out */
      call == CHECKED && token > 0 ->
      assert(!covered || age < BOUND); /* BOUND */
      assert(!covered || !effective);  /* EFFECTIVE */
      end_call()
    }
  :: d_step { /* tier B: the bound while the pause is short, a flag when it was not */
      call == CHECKED ->
      assert(!covered || age < BOUND || pause > D); /* BOUND */
      assert(!covered || !effective || pause > D);  /* EFFECTIVE */
      assert(!covered || age < BOUND || late);      /* FLAG */
      assert(!covered || !effective || late);       /* FLAG */
      end_call()
    }
  od
}
