/* A holder of a lease: how it asks, what a reply and a push do, how its time runs down. */

typedef Holder {
  byte left;        /* of the lease, in units of its clock; 0: no call starts */
  byte view;        /* highest epoch heard of */
  bit asked;        /* a nonce is out */
  byte since;       /* its send */
  bit replied;      /* a reply to that nonce is on its way */
  byte reply_left;  /* the lease it brings if it arrives now, counted from the send */
  byte reply_view;
};
Holder h[2];

byte was; /* 0 between two steps */

inline ask(who) {
  h[who].asked = 1;
  h[who].since = 0;
#ifdef MUTANT_ANY_NONCE
  h[who].reply_left = (h[who].replied -> LEASE : 0)
#else
  forget_reply(who)
#endif
}

inline forget_reply(who) {
  h[who].replied = 0;
  h[who].reply_left = 0;
  h[who].reply_view = 0
}

inline forget_nonce(who) {
  h[who].asked = 0;
  h[who].since = 0;
  forget_reply(who)
}

inline reply(who, lease, view_) {
  h[who].replied = 1;
  h[who].reply_left = LESS(lease, h[who].since);
  h[who].reply_view = view_;
  h[who].since = 0
}

inline accept(who) {
  h[who].left = MAX(h[who].left, h[who].reply_left);
#ifdef MUTANT_REPLY_OVERWRITES
  h[who].view = h[who].reply_view;
#else
  h[who].view = MAX(h[who].view, h[who].reply_view);
#endif
  forget_nonce(who)
}

inline push(who, e) {
  was = h[who].left;
  h[who].view = e;
#ifdef MUTANT_PUSH_EXTENDS
  h[who].left = LEASE;
#endif
  assert(h[who].left <= was); /* PUSH */
  was = 0
}

inline run_down(who, units) {
  h[who].left = LESS(h[who].left, units);
#ifndef MUTANT_EXPIRY_FROM_RECEIPT
  if
  :: h[who].asked && !h[who].replied -> h[who].since = h[who].since + units
  :: else
  fi;
  h[who].reply_left = LESS(h[who].reply_left, units);
  if /* a nonce that can bring no lease any more is as good as none */
  :: h[who].since >= LEASE || (h[who].replied && h[who].reply_left == 0) -> forget_nonce(who)
  :: else
  fi
#endif
}
