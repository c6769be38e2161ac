/* Becoming another program: announce, ask, be told, start or leave; and anybody may die at any step.
 *
 * Stands for   Child    execute() of preload/exec_calls.cc, Question of ask.cc, leave_as() of leave.cc, start() of
 *                       shim_start.cc: forked by the top process, it becomes a program, which has an effect and ends
 *              Top      the top process: it waits for its children, ends, and asks for a flush (log_exit() of leave.cc)
 *              Broker   Session::run, pass, decide and replay (broker/session.cc), begin_answer and reclaim_slots
 *                       (session_region.cc), Recorder::handle, end_process, check_processes and finish
 *
 * The log is a channel here: that it is one is what ring.pml shows. A record is appended in two steps, as a session may
 * be given up between the look at its state and the writing.
 *
 * What must hold: a step is stored only if all its effects were told, and its program ran with the shim in it. If a
 * change of a result was made, all of them are made and the program does not run as well. A slot answers
 * nobody but who asked in it. Every run comes to its end, with all slots free and, if the top process ended in order,
 * with its log read.
 *
 * Smaller than the real thing: one slot, two steps below the top one. Time is a choice: `late` lets somebody's patience
 * end once although the broker lives.
 */
#ifndef DEATHS
#define DEATHS 1
#endif
#define NOBODY 0
#define TOP 1
#define FIRST 2
#define SECOND 3
#ifndef EFFECTS
#define EFFECTS 1
#endif

mtype = { forked_child, exec, started, effect, exited, reaped, flush }
#define LOG_RECORDS 4
chan log = [LOG_RECORDS] of { mtype, byte /* pid */, bool /* asks in the slot */, bool /* reaped: by a signal */ };

/* the region */
bool region_gone;
mtype = { slot_free, slot_claimed, slot_answering, slot_answered, slot_abandoned }
mtype slot = slot_free;
byte slot_owner;
mtype = { run_it, leave, go_on }
mtype verdict;
byte answer_for; /* whose question was answered, which no program knows */
bool redo; byte done; /* RedoLog: whether changes for who waits in the slot are written down, and how many have been made */

/* the world */
byte deaths, late;
bool broker_dead, dead[4], reaped_by_top[4], killed[4];
byte effects[4];           /* what the program has really done */
#define CHANGES 2          /* of a result */
byte changed[4];           /* which of them have been made, a bit each: twice is as good as once */
bool ran[4];               /* the program itself was started */
bool stored[4], flushed;

#ifdef BREAK_STORE_UNSTARTED
#define was_traced true
#else
#define was_traced started_traced[who]
#endif
#define log_is_read (len(log) == 0)

#define DIE(who) atomic { deaths < DEATHS -> deaths++; killed[who] = true; goto died }

/* append(): LogWriter::reserve, then the rest of it */
inline append(kind, who, asks, by_signal) {
  if
  :: region_gone -> detached = true
  :: !region_gone && !detached ->
    if
    :: log!kind, who, asks, by_signal
    :: atomic { len(log) == LOG_RECORDS && broker_dead -> region_gone = true; detached = true } /* wait_for_room */
    fi
  :: detached && !region_gone
  :: DIE(who)
  fi
}

/* Question::claim */
inline claim(who) {
  if
#ifdef BREAK_CLAIM_IN_TWO_STEPS
  :: atomic { slot == slot_free && !region_gone -> slot = slot_claimed };
     if
     :: slot_owner = who
     :: DIE(who)
     fi
#else
  :: atomic { slot == slot_free && !region_gone -> slot = slot_claimed; slot_owner = who }
#endif
  :: atomic { (region_gone || broker_dead) -> region_gone = true; detached = true }
  :: DIE(who)
  fi
}

/* redo_rest(), and what Replay::apply() does */
inline make_changes(who) {
  do
  :: done < CHANGES -> changed[who] = changed[who] | (1 << done); done++
  :: done == CHANGES -> break
  :: DIE(who)
  od
}

/* Question::wait: `got` tells whether there is an answer */
inline wait_for_answer(who) {
  if
  :: atomic { slot == slot_answered -> got = true; assert(answer_for == who) }
  :: (broker_dead || region_gone) ->
    /* what is answered is taken even now */
    if
    :: atomic { slot == slot_answered -> got = true; assert(answer_for == who) }
    :: atomic { slot == slot_claimed -> slot = slot_abandoned; region_gone = true; detached = true }
    :: slot == slot_answering && broker_dead ->
      if
      :: redo -> make_changes(who); got = true; assert(answer_for == who)
      :: !redo
      fi;
      atomic { region_gone = true; detached = true }
    fi
  :: atomic { late < 1 && slot == slot_claimed -> late++; slot = slot_abandoned; region_gone = true; detached = true }
  :: DIE(who)
  fi
}

inline release() {
#ifdef BREAK_RELEASE_IN_TWO_STEPS
  slot_owner = NOBODY;
  slot = slot_free
#else
  d_step { slot_owner = NOBODY; slot = slot_free }
#endif
}

proctype Child(byte me) {
  bool detached, got;
  append(forked_child, me, false, false);
  if
  :: detached -> goto native
  :: else
  fi;
  claim(me);
  if
  :: detached -> goto native
  :: else
  fi;
  append(exec, me, true, false);
  if
  :: detached -> goto native /* the slot stays claimed: nobody needs it any more */
  :: else
  fi;
  wait_for_answer(me);
  if
  :: got && verdict == leave ->
    /* leave_as: streams, then the slot, then the end */
    assert(changed[me] == (1 << CHANGES) - 1);
    release();
    append(exited, me, false, false);
    goto died
  :: got && verdict != leave -> release()
  :: else -> skip
  fi;
native:
  if
  :: true
  :: DIE(me)
  fi;
  atomic { ran[me] = true; assert(changed[me] == 0) }
  /* the shim's constructor; an image that is no longer there leaves the program without a shim */
  if
  :: append(started, me, false, false)
  :: detached = true
  fi;
  do
  :: effects[me] < EFFECTS ->
    effects[me]++;
    append(effect, me, false, false)
  :: else -> break
  od;
  append(exited, me, false, false);
died:
  dead[me] = true
}

proctype Top() {
  bool detached, got;
  byte child = FIRST;
  run Child(FIRST);
  run Child(SECOND);
  do
  :: child > SECOND -> break
  :: child <= SECOND && dead[child] -> /* wait4 */
    reaped_by_top[child] = true;
    append(reaped, child, false, killed[child]);
    child++
  :: DIE(TOP)
  od;
  append(exited, TOP, false, false);
  if
  :: detached -> goto died
  :: else
  fi;
  claim(TOP);
  if
  :: detached -> goto died
  :: else
  fi;
  append(flush, TOP, true, false);
  if
  :: detached -> goto died
  :: else
  fi;
  wait_for_answer(TOP);
  if
  :: got ->
    release();
    assert(flushed)
  :: else
  fi;
died:
  dead[TOP] = true
}

/* Recorder::end_process and finish */
inline end_process(who) {
  d_step {
    if
    :: known[who] ->
      if
      :: step_open[who] && !replayed[who] && !spoiled[who] && was_traced ->
        stored[who] = true;
        assert(ran[who] && heard[who] == effects[who] && effects[who] == EFFECTS)
      :: else
      fi;
      known[who] = false;
      step_open[who] = false
    :: else
    fi
  }
}

#define gone_without_a_word(who) (known[who] && dead[who] && (reaped_by_top[who] || dead[TOP]) && log_is_read)

proctype Broker() {
  mtype kind;
  byte who;
  bool asks, by_signal, mine;
  bool known[4], step_open[4], started_traced[4], replayed[4], spoiled[4];
  byte heard[4];
  do
  :: log?kind, who, asks, by_signal ->
    if
    :: kind == forked_child -> known[who] = true
    :: kind == exec ->
      d_step { step_open[who] = true; mine = false }
      /* next_event: only if the slot is still the asker's; begin_answer */
      if
#ifdef BREAK_ANSWER_WHO_GAVE_UP
      :: true -> mine = true
#else
      :: atomic { slot == slot_claimed && slot_owner == who -> slot = slot_answering; mine = true }
      :: atomic { slot == slot_abandoned && slot_owner == who -> slot = slot_free; slot_owner = NOBODY }
      :: atomic { slot_owner != who || (slot != slot_abandoned && slot != slot_claimed) }
#endif
      fi;
      if
      :: mine -> /* a hit, staged before: write_leave() and apply() */
        if
        :: skip
        :: atomic { deaths < DEATHS -> deaths++; goto died }
        fi;
#ifndef BREAK_ANSWER_AFTER_CHANGES
        d_step { verdict = leave; answer_for = who };
#endif
#ifndef BREAK_WRITE_NOTHING_DOWN
        done = 0;
        redo = true;
#endif
        do
        :: done < CHANGES -> changed[who] = changed[who] | (1 << done); done++
        :: done == CHANGES -> break
        :: atomic { deaths < DEATHS -> deaths++; goto died }
        od;
#ifdef BREAK_FORGET_TOO_EARLY
        redo = false;
#endif
        if
        :: skip
        :: atomic { deaths < DEATHS -> deaths++; goto died }
        fi;
        d_step { verdict = leave; answer_for = who; replayed[who] = true; slot = slot_answered };
#ifndef BREAK_NEVER_FORGET
        redo = false
#endif
      :: mine -> d_step { verdict = run_it; answer_for = who; slot = slot_answered }
      :: else
      fi
    :: kind == started -> started_traced[who] = true
    :: kind == effect -> heard[who]++
    :: kind == exited && who != TOP -> end_process(who)
    :: kind == exited && who == TOP
    :: kind == reaped ->
#ifndef BREAK_BELIEVE_THE_KILLED
      spoiled[who] = spoiled[who] || by_signal;
#endif
      end_process(who)
    :: kind == flush ->
      flushed = true;
      if
      :: d_step { slot == slot_claimed && slot_owner == who -> answer_for = who; verdict = go_on; slot = slot_answered }
      :: else
      fi
    fi;
    d_step { kind = 0; who = 0; asks = false; by_signal = false; mine = false }
  /* check_processes */
  :: atomic { gone_without_a_word(FIRST) -> spoiled[FIRST] = true; end_process(FIRST) }
  :: atomic { gone_without_a_word(SECOND) -> spoiled[SECOND] = true; end_process(SECOND) }
#ifndef BREAK_LEAK_SLOTS
  /* reclaim_slots */
  :: d_step { slot != slot_free && slot != slot_answering && (slot_owner == NOBODY || dead[slot_owner]) ->
     slot = slot_free; slot_owner = NOBODY }
#endif
  :: atomic { deaths < DEATHS -> deaths++; goto died }
  :: atomic { dead[TOP] && log_is_read && !known[FIRST] && !known[SECOND] && dead[FIRST] && dead[SECOND] && (slot == slot_free || region_gone) -> goto over }
  od;
died:
  broker_dead = true;
over:
  skip
}

init {
  atomic {
    run Top();
    run Broker()
  }
}
