/* The log: shims append, the broker reads, and either may die at any step.
 *
 * Stands for   Writer   LogWriter::reserve, put, commit and wait_for_room of preload/log_ring.cc
 *              Reader   LogReader of broker/log_reader.cc, with what the recorder makes of its events:
 *                       Recorder::handle, spoil_all and finish (broker/recorder.cc, recorder_steps.cc)
 *
 * Each writer is a process that is a step of its own. Its first record is the exec record, which opens the step; its
 * last is the one that ends it, after which the step is stored unless it was spoiled.
 *
 * What must hold: a step is stored only if each of its records was read, once, in order and as it was written. Nobody
 * waits for ever: every run comes to its end, whoever dies.
 *
 * Smaller than the real thing: three units, records of one or two of them, two writers with two records each. Futexes are conditions that are waited
 * for, as all waits of the shim end by themselves after 20 ms and look again. A writer may be so slow that the reader
 * gives it up although it lives (`given_up_alive`), as happens when it is stopped for longer than hole_ms_max.
 */
#define UNITS 3
#define WRITERS 2
#ifndef RECORDS
#define RECORDS 2
#endif
#ifndef DEATHS
#define DEATHS 1
#endif
#ifndef SLOW
#define SLOW 1
#endif
#define POSITIONS (WRITERS * RECORDS * 2)

#define place(p) ((p) % UNITS)
#define stamp_of(p) ((p) + 1)
#define id_of(w, r) ((w) * RECORDS + (r) + 1)

/* The region. `body` is what else a unit holds: whose record it is; `units` is RecordHead::units, in the first one. */
byte head, tail;
byte stamp[UNITS], body[UNITS], units[UNITS];

bool broker_dead;
hidden byte i, id, w, record, next; /* of use within a step only */
byte deaths, given_up_alive;
bool writer_gone[WRITERS];
byte writing[WRITERS]; /* 1 + position of the record under way */
#define nobody_writes(p) (writing[0] != (p) + 1 && writing[1] != (p) + 1)

/* What really is at a position, which no program knows. */
byte true_id[POSITIONS], true_units[POSITIONS];

bool stored[WRITERS];

#define DIE atomic { deaths < DEATHS -> deaths++; goto dead }

proctype Writer(byte me) {
  byte sent, n, at;
  do
  :: sent < RECORDS ->
    /* reserve */
#ifdef ANY_LENGTH
    if
    :: n = 1
    :: n = 2
    fi;
#else
    n = 1 + (me + sent) % 2;
#endif
    d_step {
      at = head;
      head = head + n;
      true_id[at] = id_of(me, sent);
      true_units[at] = n;
      writing[me] = at + 1;
    }
    if
    :: at + n <= tail + UNITS
    :: broker_dead -> goto dead /* give_up_session: nothing is written any more */
    :: DIE
    fi;
#ifdef BREAK_COMMIT_BEFORE_WRITE
    stamp[place(at)] = stamp_of(at);
#endif
    /* put: texts first, then the head */
    if
    :: n == 2 -> body[place(at + 1)] = id_of(me, sent)
    :: n == 1
    :: DIE
    fi;
    d_step { body[place(at)] = id_of(me, sent); units[place(at)] = n }
    if
    :: true
    :: DIE
    fi;
    d_step {
      /* commit */
#ifndef BREAK_COMMIT_BEFORE_WRITE
      stamp[place(at)] = stamp_of(at);
#endif
      writing[me] = 0; sent++; n = 0; at = 0
    }
  :: sent == RECORDS -> break
  od;
dead:
  skip;
  d_step { writer_gone[me] = true; writing[me] = 0; sent = RECORDS; n = 0; at = 0 }
}

proctype Reader() {
  byte position, pass_end, n;
  byte copied[2];
  bool lost, hole;
  bool open[WRITERS], spoiled[WRITERS], over[WRITERS];
  byte heard[WRITERS];
  bool doubtful[UNITS]; /* places of what was given up: its writer may still come and write there */
  do
  :: atomic { deaths < DEATHS -> deaths++; goto dead }
  :: true ->
    /* begin_pass; the last one is after all writers have gone */
    if
    :: pass_end == head && position == pass_end && writer_gone[0] && writer_gone[1] -> goto done
    :: else -> pass_end = head
    fi;
    do
    :: position >= pass_end -> break
    :: position < pass_end ->
      if
#ifdef BREAK_IGNORE_STAMPS
      :: true
#else
      :: stamp[place(position)] == stamp_of(position)
#endif
        ->
#ifdef BREAK_TAIL_BEFORE_READ
        tail = position + units[place(position)];
#endif
        /* copy_record, a unit at a time */
        n = units[place(position)];
        if
        :: n == 0 || n > 2 || n > pass_end - position -> lost = true
        :: else ->
          copied[0] = body[place(position)];
          copied[1] = copied[0];
          if
          :: n == 2 ->
            copied[1] = body[place(position + 1)];
            if
            :: stamp[place(position + 1)] == stamp_of(position + 1) -> lost = true
            :: else
            fi
          :: else
          fi
        fi
      :: stamp[place(position)] != stamp_of(position) ->
        tail = position; /* publish_tail before waiting */
        if
        :: stamp[place(position)] == stamp_of(position) -> goto again
        :: nobody_writes(position) -> lost = true; hole = true
        :: atomic { given_up_alive < SLOW && !nobody_writes(position) -> given_up_alive++; lost = true; hole = true }
        fi
      fi;
      d_step {
#ifndef BREAK_TRUST_PLACES_GIVEN_UP
        /* Who stands where something was given up may have been written over by its late writer. */
        lost = lost || doubtful[place(position)] || (n == 2 && doubtful[place(position + 1)]);
#endif
        next = position + 1;
        if
        :: lost ->
          /* skip(): on to the next record that is complete */
          do
          :: next < pass_end && next < position + UNITS && stamp[place(next)] != stamp_of(next) -> next++
          :: else -> break
          od
        :: else -> next = position + n
        fi;
        /* consume() wipes what was read before its place is given back */
        i = position;
        do
        :: i < next ->
          stamp[place(i)] = 0;
          doubtful[place(i)] = doubtful[place(i)] || hole;
          i++
        :: i >= next -> break
        od;
        /* the recorder */
        if
        :: lost -> /* spoil_all */
          spoiled[0] = spoiled[0] || open[0];
          spoiled[1] = spoiled[1] || open[1]
        :: else ->
          id = copied[0];
          w = (id - 1) / RECORDS;
          record = (id - 1) % RECORDS;
          if
          :: record == 0 -> open[w] = true
          :: record != 0 && !open[w] -> /* a process of unknown origin */
            spoiled[0] = spoiled[0] || open[0];
            spoiled[1] = spoiled[1] || open[1]
          :: else
          fi;
          if
          :: id == true_id[position] && n == true_units[position] && copied[1] == copied[0] && record == heard[w] -> heard[w]++
          :: else
          fi;
          if
          :: record == RECORDS - 1 && open[w] && !over[w] ->
            over[w] = true;
            stored[w] = !spoiled[w];
            assert(!stored[w] || heard[w] == RECORDS)
          :: else
          fi
        fi;
        position = next;
        n = 0; copied[0] = 0; copied[1] = 0; lost = false; hole = false
      }
      /* consume() raises the tail now and then */
      if
      :: tail = position
      :: true
      fi;
again:
      skip
    od;
    tail = position
  od;
dead:
  broker_dead = true;
done:
  skip
}

init {
  atomic {
    run Writer(0);
    run Writer(1);
    run Reader()
  }
}
