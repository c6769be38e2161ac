#!/usr/bin/env python3
"""Compares, program by program, what the kernel saw of a session with what the shims logged.

    compare.py TRACE EVENTS SHIM VESTAL CACHE DIRECTORY ROWS NAME

TRACE is strace's (see watch.sh), EVENTS the broker's ($VESTAL_EVENTS), DIRECTORY where the command was started. What is
on one side only has to be explained by a row of explained.txt. Looks are compared as sets, for a repetition is logged
once; changes are counted.
"""
import collections
import errno
import fnmatch
import os
import re
import sys

sys.dont_write_bytecode = True  # beside the sources

import trace
from trace import EFFECTS, FLAGS, WRITES, join, plain

EVENT = re.compile(r'(\d+) (\d+) (\w+)( malformed)? result=(-?\d+) arg=(-?0x[0-9a-f]+)( asks)?(?: parent=(\d+))?'
                   r'(?: mode=\d+ size=\d+ mtime=-?\d+)?(?: bytes=(\d+))?((?: "(?:[^"\\]|\\.)*")*)$')
NOFOLLOW, ATTRIBUTES = 1, 4


class Logged:
    """What a program's shim has logged."""
    def __init__(self, inherited=frozenset()):
        self.inherited = inherited  # by the process it was forked from: a repetition is logged once
        self.facts = []             # (fact, line)
        self.written, self.end = collections.Counter(), None

    def all(self):
        return self.inherited | {fact for fact, _ in self.facts}


class Log:
    def __init__(self, path, directory):
        self.programs, self.faults = {}, []
        self.counts, self.cwd, self.ended = {}, {}, set()
        with open(path, errors='surrogateescape') as lines:
            for number, line in enumerate(lines, 1):
                found = EVENT.match(line.rstrip('\n'))
                if not found or found[4]: self.faults.append(f'event {number}: {line.strip()}')
                else: self.event(number, found, directory)

    def event(self, number, found, directory):
        pid, kind, result, arg = int(found[2]), found[3], int(found[5]), int(found[6], 0)
        texts = [plain(text) for text in re.findall(r'"(?:[^"\\]|\\.)*"', found[10])]
        parent = int(found[8]) if found[8] else arg if kind == 'forked_child' else None
        # A number is used again, if there are many processes.
        if pid not in self.counts or kind == 'forked_child' or (parent is not None and pid in self.ended):
            above = self.programs.get((parent, self.counts.get(parent)))
            self.counts[pid] = self.counts.get(pid, -1) + 1
            self.programs[pid, self.counts[pid]] = Logged(frozenset(above.all()) if above else frozenset())
            self.cwd[pid] = self.cwd.get(parent, directory)
            self.ended.discard(pid)
        if kind == 'started':
            self.counts[pid] += 1
            self.programs[pid, self.counts[pid]] = Logged()
        program = self.programs[pid, self.counts[pid]]
        path = join(self.cwd[pid], texts[0]) if texts else ''
        error = -result if result < 0 else 0
        note = lambda *fact: program.facts.append((fact, number))
        if kind == 'exec':
            self.cwd[pid] = texts[1]
            program.executing = texts[0]
            note('exec', texts[0], 0)
        elif kind == 'exec_failed':
            program.facts = [each for each in program.facts if each[0] != ('exec', program.executing, 0)]
            note('exec', program.executing, error)
        elif kind == 'look' and arg & ATTRIBUTES: note('attributes', path, bool(arg & NOFOLLOW), error)
        elif kind == 'look': note('look', path, bool(arg & NOFOLLOW), error)
        elif kind == 'fstat': note('fstat', arg)
        elif kind == 'access': note('access', path, arg, error)
        elif kind == 'open': note('open', path, arg & FLAGS, error)
        elif kind == 'readlink': note('readlink', path, texts[1] if len(texts) > 1 else '', error)
        elif kind == 'list': note('list', path)
        elif kind == 'chdir':
            note('chdir', path, error)
            if not error: self.cwd[pid] = texts[1] if len(texts) > 1 else '/'
        elif kind in ('rename', 'link'): note(kind, path, join(self.cwd[pid], texts[1]), error)
        elif kind == 'symlink': note(kind, path, texts[1], error)
        elif kind in EFFECTS: note(kind, path, error)
        elif kind == 'spoil': note('spoil', texts[0])
        elif kind == 'fd_kind': note('described', arg)
        elif kind == 'fd_read': note('described', arg), note('read', arg)
        elif kind == 'stream': program.written[arg] += int(found[9])
        elif kind == 'exited':
            program.end = result
            self.ended.add(pid)
        elif kind == 'reaped' and arg in self.counts and self.programs[arg, self.counts[arg]].end is None: self.ended.add(arg)


class Rows:
    """explained.txt: side, whose, kind, pattern of the path, reason."""
    def __init__(self, path, places):
        self.rows, self.used = [], collections.Counter()
        for number, line in enumerate(open(path), 1):
            line = line.split('#')[0].strip()
            if not line: continue
            side, whose, kind, pattern, reason = line.split(None, 4)
            for name, place in places.items(): pattern = pattern.replace('@' + name + '@', place)
            self.rows.append((side, whose, kind, pattern, number))

    def explain(self, side, whose, fact):
        path = next((word for word in fact[1:] if isinstance(word, str)), '')
        for row_side, row_whose, kind, pattern, number in self.rows:
            if row_side == side and row_whose == whose and kind in (fact[0], 'any') and fnmatch.fnmatchcase(path, pattern) \
                    and not (kind == 'any' and is_change(fact)):
                self.used[number] += 1
                return True
        return False


def is_change(fact):
    if fact[0] == 'open': return bool(fact[2] & WRITES) and fact[3] == 0
    return fact[0] in EFFECTS and fact[-1] == 0


def compare(seen, log, rows):
    faults, compared = list(log.faults), 0
    fault = lambda program, words: faults.append(f'{program.path} ({program.pid}): {words}')
    for program in seen.programs:
        if program.untraced:
            if not rows.explain('kernel', 'untraced', ('run', program.path)): fault(program, 'runs without the shim')
            continue
        logged = log.programs.pop((program.pid, program.number), None) or Logged()
        known = logged.all()
        saw = {fact for fact, _, _ in program.facts}
        changes = collections.Counter(fact for fact, _ in logged.facts if is_change(fact))
        for fact, who, line in program.facts:
            if who == 'program':
                compared += 1
                if is_known(fact, known, changes, program): continue
            elif who == 'loader' and fact[0] == 'open' and fact[1] in program.libraries and not is_change(fact):
                continue
            if who == 'loader' and fact[-1] == errno.ENOENT and rows.explain('kernel', who, ('absent', fact[1])): continue
            if rows.explain('kernel', who, fact) or (fact[0] == 'fstat' and who in ('shim', 'loader', 'client')): continue
            fault(program, f'line {line}: the kernel saw, and nobody logged: {who} {shown(fact)}')
        for fact, number in logged.facts:
            compared += 1
            if is_change(fact):
                if changes[fact] > 0:
                    changes[fact] -= 1
                    fault(program, f'event {number}: logged once more than the kernel saw: {shown(fact)}')
            elif not was_seen(fact, saw) and not rows.explain('log', 'program', fact):
                fault(program, f'event {number}: logged, and the kernel saw nothing: {shown(fact)}')
        for group in groups_of(set(program.written) | set(logged.written), program.aliases):
            saw_bytes, logged_bytes = (sum(written.get(fd, 0) for fd in group) for written in (program.written, logged.written))
            compared += 1
            # In a child made by vfork the shim takes every descriptor for one that was given.
            if saw_bytes != logged_bytes and not (program.vfork_child and logged_bytes >= saw_bytes):
                fault(program, f'wrote {saw_bytes} bytes to descriptors it was given {sorted(group)}, logged {logged_bytes}')
        if isinstance(program.end, int) and logged.end is not None and logged.end != program.end:
            fault(program, f'ended with {program.end}, logged {logged.end}')
        if isinstance(program.end, int) and logged.end is None: fault(program, 'its end was not logged')
    for (pid, number), logged in log.programs.items():
        if logged.facts: faults.append(f'process {pid}, program {number}: logged {len(logged.facts)} events, and the kernel saw no such program')
    for name, line in seen.unknown.items(): faults.append(f'line {line}: {name}: the check does not know this call; see CALLS in trace.py')
    return faults, compared


def groups_of(numbers, aliases):
    """Numbers of descriptors, those together that have stood for the same."""
    groups = []
    for group in [{fd} for fd in numbers] + [{origin} | others for origin, others in aliases.items()]:
        for other in [other for other in groups if other & group]:
            groups.remove(other)
            group = group | other
        groups.append(group)
    return groups


def is_known(fact, known, changes, program):
    kind = fact[0]
    if is_change(fact):
        changes[fact] -= 1
        return changes[fact] >= 0
    if kind == 'fstat':
        fd, name, fd_class = fact[1:]
        if fd_class == 'nameless' or program.plan_flags & SKIP_FSTAT and fd_class == 'own': return True
        if ('fstat', fd) in known or ('described', fd) in known or ('look', name, False, 0) in known: return True
        return fd_class == 'given' and fd in program.jobserver
    if kind == 'exec' and fact[2]:  # what cannot be executed has been looked at
        return fact in known or any(other[0] == 'look' and other[1] == fact[1] for other in known)
    if kind == 'read': return any(('read', fd) in known for fd in program.aliases.get(fact[1], {fact[1]}))
    if kind == 'readlink' and fact[3] == 0:
        return any(other[:2] == fact[:2] and other[3] == 0 and other[2].startswith(fact[2]) for other in known if other[0] == 'readlink')
    return fact in known


SKIP_FSTAT = 2


def was_seen(fact, saw):
    kind = fact[0]
    if kind in ('described', 'spoil', 'read'): return True  # of descriptors, and derived
    if kind == 'fstat': return any(other[:2] == fact[:2] for other in saw)
    if kind == 'look' and any(other[0] == 'fstat' and other[2] == fact[1] for other in saw): return True
    if kind == 'readlink' and fact[3] == 0: return any(other[0] == kind and other[1] == fact[1] and fact[2].startswith(other[2]) for other in saw)
    return fact in saw


def shown(fact):
    kind, *words = fact
    if kind == 'open': words[1] = f'flags {words[1]:#o}'
    if kind not in ('fstat', 'read', 'described') and isinstance(words[-1], int):
        words[-1] = errno.errorcode.get(words[-1], 'done') if words[-1] else 'done'
    return ' '.join([kind] + [str(word) for word in words])


def main():
    trace_path, events, shim, client, cache, directory, rows_used, name = sys.argv[1:]
    log = Log(events, directory)
    seen = trace.Trace(trace_path, shim, client, directory)
    rows = Rows(os.path.join(os.path.dirname(os.path.abspath(__file__)), 'explained.txt'), {'SHIM': shim, 'CACHE': cache})
    faults, compared = compare(seen, log, rows)
    traced = sum(not program.untraced for program in seen.programs)
    print(f'{name}: {traced} programs, {compared} facts, {sum(rows.used.values())} explained, {len(faults)} not')
    for words in faults[:40]: print('    ' + words)
    if len(faults) > 40: print(f'    and {len(faults) - 40} more')
    with open(rows_used, 'a') as file: print(*rows.used, sep='\n', file=file)
    sys.exit(bool(faults) or traced < 2)


main()
