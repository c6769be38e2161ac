"""What strace wrote of a session, as facts per program.

A program is what one process is between two execve. Its facts are tuples: a kind, paths, and an errno number (0: it
succeeded). Paths are absolute, by the working directory, and otherwise as the program spelled them. Written for the
options in watch.sh: strace -f -y -i, with the environment of every execve in full.
"""
import collections
import errno
import os
import re
import struct
import subprocess

PART = r'(?:"(?:[^"\\]|\\.)*"(?:\.\.\.)?|<(?:[^>\\]|\\.)*>)'
LINE = re.compile(r'(\d+) +\[([0-9a-f?]+)\] (.*)')
CALL = re.compile(r'(\w+)\((.*)\) += (-?\d+|0x[0-9a-f]+|\?)(?:<(?:[^>\\]|\\.)*>(?:\(deleted\))?)?(?: (E[A-Z0-9]+) |\s*$| )', re.S)
TOKEN = re.compile(PART + r'|[\[{(]|[\])}]|, |.', re.S)
FORKS = ('fork', 'vfork', 'clone', 'clone3')
PATH_MAX = 4096
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
# Which of open's flags say what is asked of the path.
FLAGS = WRITES | os.O_EXCL | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_APPEND | os.O_PATH
EFFECTS = {'mkdir', 'rmdir', 'unlink', 'rename', 'link', 'symlink', 'chmod', 'chown', 'utimens', 'truncate', 'mknod', 'xattr_set'}


def words_of(text):
    """The arguments of a call, split where no bracket, quote or name of a descriptor is open."""
    words, depth, word = [], 0, ''
    for token in TOKEN.findall(text):
        if token == ', ' and depth == 0:
            words.append(word)
            word = ''
            continue
        depth += (token in '[{(') - (token in '])}')
        word += token
    return words + [word]


def plain(quoted):
    """A word of C without its quotes."""
    body = quoted[1:quoted.rindex('"')]
    if '\\' not in body:
        return body
    simple = {'n': '\n', 't': '\t', 'r': '\r', 'v': '\v', 'f': '\f', 'a': '\a', 'b': '\b'}
    out = re.sub(rb'\\(x[0-9a-f]{2}|[0-7]{1,3}|.)', lambda m: unescape(m[1].decode('latin1'), simple), os.fsencode(body))
    return os.fsdecode(out)


def unescape(code, simple):
    if code[0] == 'x' and len(code) == 3:
        return bytes([int(code[1:], 16)])
    if code[0] in '01234567':
        return bytes([int(code, 8)])
    return simple.get(code, code).encode('latin1')


def join(directory, path):
    """As both sides spell it: the directory in front, "." left out."""
    if not path.startswith('/'):
        path = directory.rstrip('/') + '/' + path
    path = re.sub(r'/(?:\.?/)+', '/', path)
    path = re.sub(r'(?:/\.)+$', '', path)
    return path.rstrip('/') or '/'


def number_of_error(name):
    return getattr(errno, name, 0) if name else 0


def flags_of(text):
    if re.fullmatch(r'0x[0-9a-f]+|\d+', text):
        return int(text, 0)
    value = 0
    for name in text.split('|'):
        value |= getattr(os, name, 0) if name != '__O_TMPFILE' else os.O_TMPFILE
    return value


class Program:
    def __init__(self, pid, number, path):
        self.pid, self.number, self.path = pid, number, path
        self.facts = []         # (fact, who, line): who is program, shim, loader or client
        self.written = {}       # by descriptor it was given: bytes
        self.untraced = False
        self.libraries = set()  # that the plan tells ld.so to load
        self.plan_flags = 0
        self.end = None
        self.vfork_child = False
        self.aliases = {}       # of descriptors it was given: all numbers it had
        self.jobserver = set()


class Process:
    def __init__(self, pid, cwd, own, program):
        self.pid, self.cwd, self.own, self.program = pid, cwd, own, program
        self.origin = {}       # of descriptors it was given, by number: which one
        self.opened = {}       # what it opened itself, by number: the name
        self.phase, self.base, self.guesses = 'program', None, None
        self.jobserver = set()


class Trace:
    def __init__(self, path, shim, client, directory):
        self.programs = []
        self.processes, self.tasks, self.children, self.counts = {}, {}, {}, {}
        self.unknown = {}
        self.shim, self.client, self.directory = shim, client, directory
        self.own_sites = own_sites(shim)
        self.top = None
        lines = list(complete_lines(path))
        for tid, _, text, number in lines:
            call = CALL.match(text)
            if call and call[1] in FORKS and call[3].isdigit() and int(call[3]) > 0:
                self.children.setdefault(int(call[3]), collections.deque()).append((number, tid, call[1], call[2]))
        for tid, at, text, number in lines:
            self.line(tid, at, text, number)

    # ---- processes

    def begin(self, process, path):
        count = self.counts.get(process.pid, -1) + 1
        self.counts[process.pid] = count
        process.program = Program(process.pid, count, path)
        self.programs.append(process.program)

    def process_of(self, tid):
        if tid in self.tasks:
            return self.tasks[tid]
        if not self.children.get(tid):
            if self.top is not None: raise SystemExit(f'process {tid} comes from nowhere')
            process = Process(tid, self.directory, {}, None)
            self.top = tid
            self.begin(process, 'vestal')
            process.phase = 'client'
        else:
            _, parent_tid, call, words = self.children[tid].popleft()
            parent = self.process_of(parent_tid)
            if 'CLONE_THREAD' in words:
                self.tasks[tid] = parent
                return parent
            process = Process(tid, parent.cwd, dict(parent.own), None)
            process.origin = dict(parent.origin)
            process.phase, process.base, process.guesses = parent.phase, parent.base, parent.guesses
            process.jobserver = set(parent.jobserver)
            self.begin(process, parent.program.path)
            process.program.untraced = parent.program.untraced
            process.program.jobserver = process.jobserver
            process.program.plan_flags = parent.program.plan_flags
            process.program.vfork_child = call == 'vfork' or 'CLONE_VFORK' in words or parent.program.vfork_child
        self.tasks[tid] = process
        return process

    def executed(self, process, path, environment):
        self.begin(process, path)
        program = process.program
        process.own = {}
        process.origin = {}
        process.base = process.guesses = None
        process.jobserver = set()
        region = preload = None
        for word in environment:
            if word.startswith('VESTAL_REGION='):
                region = word
                program.path = original_of(word) or program.path
            elif word.startswith('LD_PRELOAD='): preload = word[len('LD_PRELOAD='):]
            elif word.startswith('VESTAL_PROGRAM='): program.path = word.split(':', 1)[1].rpartition(':')[0]
            elif word.startswith('MAKEFLAGS='):
                found = re.search(r'--jobserver-(?:auth|fds)=(\d+),(\d+)', word)
                if found: process.jobserver = program.jobserver = {int(found[1]), int(found[2])}
        if region is None:
            program.untraced, process.phase = True, 'untraced'
            return
        program.plan_flags = int(region.split(':')[2], 16)
        process.phase = 'static'
        if preload is not None:
            process.phase = 'loader'
            program.libraries = set(preload.split(':'))

    # ---- whose call it is

    def who(self, process, at, name, words, result):
        if process.phase in ('client', 'untraced'):
            return process.phase
        if process.phase == 'static':  # its first calls are the shim's own, but where that lies is not known yet
            guesses = {at - site for site in self.own_sites if (at - site) % 4096 == 0}
            process.guesses = guesses if process.guesses is None else process.guesses & guesses
            return 'shim'
        if process.base is not None and at - process.base in self.own_sites:
            return 'shim'
        return 'loader' if process.phase == 'loader' else 'program'

    # ---- one call

    def line(self, tid, at, text, number):
        process = self.process_of(tid)
        ended = re.match(r'\+\+\+ (exited with|killed by) (\w+)', text)
        if ended:
            if tid == process.pid:
                process.program.end = int(ended[2]) if ended[1] == 'exited with' else ended[2]
            del self.tasks[tid]  # the number is used again, if there are many processes
            return
        replaced = re.match(r'\+\+\+ superseded by execve in pid (\d+)', text)
        if replaced: self.tasks.pop(int(replaced[1]), None)  # a thread that goes on under the number of its process
        call = CALL.match(text)
        if not call:
            return
        name, words = call[1], words_of(call[2])
        result = int(call[3], 0) if call[3] != '?' else None
        if result is None:
            return
        # It has the descriptors of now. (It may have begun before, and ended.)
        if name in FORKS and result > 0 and any(made[0] == number for made in self.children[result]):
            self.process_of(result)
        error = number_of_error(call[4])
        place = int(at, 16) if '?' not in at else 0
        for word in words[:1]:
            if word.startswith('AT_FDCWD<'): process.cwd = plain('"' + word[9:-1] + '"')
        if name == 'getcwd' and result > 0 and words[0].startswith('"'):
            process.cwd = plain(words[0])
        who = self.who(process, place, name, words, result)
        # ld.so maps the shim: from there its addresses are known.
        if name == 'mmap' and process.phase == 'loader' and words[0] == 'NULL' and f'<{self.shim}>' in text:
            process.base = result
        reader = CALLS.get(name)
        if reader is None:
            self.unknown[name] = number
            return
        noted = lambda *fact, by=who: process.program.facts.append((fact, by, number))
        try:
            reader(Made(self, process, name, words, result, error, who, noted))
        except (IndexError, ValueError) as problem:
            raise SystemExit(f'line {number} is not understood ({problem}): {text[:500]}')
        # The shim's first work is to map the session's region.
        if process.phase == 'loader' and who == 'shim' and name == 'open': process.phase = 'program'
        if process.phase == 'static' and name == 'close':
            if len(process.guesses) != 1: raise SystemExit(f'line {number}: where the shim lies in {process.program.path} cannot be told')
            process.base, process.phase = process.guesses.pop(), 'program'


def original_of(region):
    """What a copy that ld.so loads stands for; None if there is no copy. See preload/protocol.h."""
    fields = region.split(':', 5)
    return fields[5].rpartition(':')[0] if len(fields) == 6 else None


def spelled_of(region):
    """How it was spelled, if that is a path from the root."""
    fields = region.split(':', 5)
    if len(fields) < 6: return None
    path, _, spelled = fields[5].rpartition(':')
    return spelled if spelled.startswith('/') else path


def own_sites(shim):
    """Where the shim makes calls of its own, as against those that it passes on; see preload/kernel.h."""
    dump = subprocess.run(['objcopy', '-O', 'binary', '--only-section=.vestal.own_calls', '--set-section-flags',
                           '.vestal.own_calls=alloc', shim, '/dev/stdout'], capture_output=True, check=True).stdout
    return {site for (site,) in struct.iter_unpack('<Q', dump)}


def complete_lines(path):
    """Lines as calls: what strace had to break off, because another process came in between, is put together again."""
    waiting = {}
    with open(path, errors='surrogateescape') as lines:
        for number, line in enumerate(lines, 1):
            found = LINE.match(line.rstrip('\n'))
            if not found:
                continue
            tid, at, text = int(found[1]), found[2], found[3]
            if text.endswith('<unfinished ...>'):
                text = text[:-len(' <unfinished ...>')]
                # Another thread may get the number before this call is over.
                if re.match(r'close\(\d+<.*>$', text):
                    yield tid, at, text + ') = 0', number
                    continue
                waiting[tid] = (at, text + ' ' * text.endswith(','))
                # The first thing a child does may come before its parent's call is over.
                continue
            resumed = re.match(r'<\.\.\. \w+ resumed>(.*)', text)
            if resumed:
                start = waiting.pop(tid, None)
                if start is None: continue
                at, text = start[0], start[1] + resumed[1]
            yield tid, at, text, number


class Made:
    """A call that was made."""
    def __init__(self, trace, process, name, words, result, error, who, note):
        self.trace, self.process, self.name, self.words = trace, process, name, words
        self.result, self.error, self.who, self.note = result, error, who, note

    def fd(self, at):
        found = re.match(r'(0x[0-9a-f]+|-?\d+)', self.words[at])
        number = int(found[1], 0) if found else None
        return number

    def fd_name(self, at):
        found = re.match(r'-?\d+<(.*)>(\(deleted\))?$', self.words[at])
        return plain('"' + found[1] + '"') if found else None

    def text(self, at):
        word = self.words[at]
        return plain(word) if word.startswith('"') else None

    def path(self, at, directory=None):
        """None: it names nothing, or the kernel did not look at what it names."""
        text = self.text(at)
        if self.words[at].endswith('"...'): return None
        if not text or self.error in (errno.EFAULT, errno.ENOSYS) or len(os.fsencode(text)) >= PATH_MAX:
            return None
        if text.startswith('/') or directory is None or self.words[directory].startswith('AT_FDCWD'):
            return join(self.process.cwd, text)
        base = self.fd_name(directory)
        return join(base, text) if base and base.startswith('/') else None

    def kind_of(self, fd):
        return self.process.own.get(fd, 'given')


def look(directory, path, flags=None, nofollow=False):
    def read(made):
        asked = made.words[flags] if flags is not None else ''
        if made.text(path) == '' or made.words[path] == 'NULL':
            if 'AT_EMPTY_PATH' not in asked: return
            if not made.words[directory].startswith('AT_FDCWD'): return describe(made, directory)
            return made.note('look', made.process.cwd, nofollow, made.error)
        name = made.path(path, directory)
        if name: made.note('look', name, nofollow or 'AT_SYMLINK_NOFOLLOW' in asked, made.error)
    return read


def describe(made, at):
    fd = made.fd(at)
    if made.error: return
    made.note('fstat', fd, made.fd_name(at), made.kind_of(fd))


def access(directory, path, mode):
    bits = {'F_OK': 0, 'R_OK': 4, 'W_OK': 2, 'X_OK': 1}
    def read(made):
        name = made.path(path, directory)
        asked = made.words[mode]
        value = sum(bits[bit] for bit in asked.split('|')) if asked[0].isalpha() else int(asked, 0)
        if name: made.note('access', name, value, made.error)
    return read


def readlink(directory, path):
    def read(made):
        name = made.path(path, directory)
        if not name or int(made.words[path + 2]) <= 0: return
        target = made.text(path + 1) if not made.error else ''
        made.note('readlink', name, target, made.error)
    return read


def open_file(directory, path, flags):
    def read(made):
        if made.name == 'creat':
            asked = os.O_CREAT | os.O_WRONLY | os.O_TRUNC
        elif made.name == 'openat2':
            asked = flags_of(re.search(r'flags=([^,}]+)', made.words[flags])[1])
        else:
            asked = flags_of(made.words[flags])
        name = made.path(path, directory)
        if not made.error:
            made.process.own[made.result] = 'nameless' if asked & os.O_TMPFILE == os.O_TMPFILE else 'own'
            made.process.opened[made.result] = name
        if name: made.note('open', name, asked & FLAGS, made.error)
    return read


def listing(made):
    name = made.fd_name(0)
    if not made.error and name: made.note('list', name)


def change_directory(made):
    if made.name == 'fchdir':
        name = made.fd_name(0)
        if made.error or not name: return
    else:
        name = made.path(0)
        if not name: return
    made.note('chdir', name, made.error)
    if not made.error: made.process.cwd = name


def effect(kind, *places, value=None):
    """Each of `places` is (directory or None, path)."""
    def read(made):
        names = [made.path(path, directory) for directory, path in places]
        if None in names: return
        # As fchmodat does where links are not followed: it is logged under the file's own name.
        by_number = re.match(r'/proc/self/fd/(\d+)$', names[0])
        if by_number and not made.error and kind in ('chmod', 'chown', 'utimens'):
            names[0] = made.process.opened.get(int(by_number[1])) or names[0]
        fact_kind = kind
        if made.name == 'unlinkat' and 'AT_REMOVEDIR' in made.words[2]: fact_kind = 'rmdir'
        if made.name.endswith('setxattr') and made.text(1) == 'system.posix_acl_access': fact_kind = 'chmod'
        made.note(fact_kind, *names, made.error)
    return read


def link(old, new, flags=None):
    def read(made):
        first, second = made.path(old[1], old[0]), made.path(new[1], new[0])
        if flags is not None and 'AT_EMPTY_PATH' in made.words[flags] and made.text(old[1]) == '':
            first = f'/proc/self/fd/{made.fd(old[0])}'
        if first and second: made.note('link', first, second, made.error)
    return read


def symlink(directory, path):
    def read(made):
        name = made.path(path, directory)
        if name: made.note('symlink', name, made.text(0), made.error)
    return read


def by_descriptor(kind):
    def read(made):
        fd, name = made.fd(0), made.fd_name(0)
        if made.error or made.kind_of(fd) == 'nameless' or not name or not name.startswith('/'): return
        if made.words[0].endswith('(deleted)') or name.startswith('/memfd:'): return
        made.note('chmod' if made.name == 'fsetxattr' and made.text(1) == 'system.posix_acl_access' else kind, name, 0)
    return read


def times(directory, path):
    def read(made):
        if made.name == 'utimensat' and words_of(made.words[2][1:-1])[-1] == 'UTIME_OMIT': return
        if made.words[path] == 'NULL' or made.text(path) == '': return by_descriptor('utimens')(made)
        name = made.path(path, directory)
        if name: made.note('utimens', name, made.error)
    return read


def state_of_file_system(made):
    name = made.fd_name(0) if made.name == 'fstatfs' else made.path(0)
    if not made.error: return made.note('spoil', 'asked for the state of a file system')
    if made.name == 'statfs' and name: made.note('look', name, False, made.error)


def attributes(made):
    absent = made.error in (0, errno.ENODATA, errno.EOPNOTSUPP, errno.ERANGE)
    lists = 'list' in made.name
    if (made.error == 0 and (made.result > 0 or not lists)) or made.error == errno.ERANGE: made.note('spoil', 'read extended attributes')
    name = made.fd_name(0) if made.name[0] == 'f' else made.path(0)
    if name and (absent or made.name[0] != 'f'): made.note('attributes', name, made.name[0] == 'l' and made.name != 'listxattr', 0 if absent else made.error)


def execute(made):
    at = made.name == 'execveat'
    name = made.path(1 if at else 0, 0 if at else None)
    if at and 'AT_EMPTY_PATH' in made.words[4] and made.text(1) == '': name = made.fd_name(0)
    if name is None: return
    environment = [plain(word) for word in words_of(made.words[3 if at else 2][1:-1]) if word.startswith('"')]
    if made.process.phase == 'client' and name == made.trace.client: return
    image = next((word.split(':', 1)[1].rpartition(':')[0] for word in environment if word.startswith('VESTAL_PROGRAM=')), None)
    spelled = next((spelled_of(word) for word in environment if word.startswith('VESTAL_REGION=')), None)
    made.note('exec', image or spelled or name, made.error, by='program')
    if not made.error: made.trace.executed(made.process, name, environment)


def new_descriptor(kind):
    def read(made):
        if not made.error: made.process.own[made.result] = kind
    return read


def pair(made):
    if made.error: return
    for fd in re.findall(r'(?:\[|, )(\d+)<', made.words[-2] if made.name == 'pipe2' else made.words[-1]): made.process.own[int(fd)] = 'nameless'


def duplicate(made):
    if made.error: return
    fd = made.fd(0)
    if made.result == fd: return
    process = made.process
    process.own.pop(made.result, None)
    process.origin.pop(made.result, None)
    if fd in process.own: process.own[made.result] = process.own[fd]
    else:
        origin = process.origin[made.result] = process.origin.get(fd, fd)
        process.program.aliases.setdefault(origin, {origin}).add(made.result)


def control(made):
    if made.words[1] in ('F_DUPFD', 'F_DUPFD_CLOEXEC'): duplicate(made)


def close(made):
    fd = made.fd(0)
    made.process.own.pop(fd, None)
    made.process.origin.pop(fd, None)


def close_range(made):
    if 'CLOEXEC' in made.words[2]: return
    first, last = int(made.words[0]), int(made.words[1])
    for fd in [fd for fd in made.process.own if first <= fd <= last]: del made.process.own[fd]


def read_bytes(made):
    fd = made.fd(0 if made.name != 'mmap' else 4)
    if made.error or fd is None or fd < 0 or fd in made.process.own: return
    if made.name == 'mmap' and 'MAP_ANON' in made.words[3]: return
    origin = made.process.origin.get(fd, fd)
    if made.who == 'program' and origin not in made.process.jobserver: made.note('read', origin)


def write_bytes(made):
    fd = made.fd(0)
    if made.error or made.result <= 0 or fd in made.process.own or made.who != 'program': return
    origin = made.process.origin.get(fd, fd)
    if origin in made.process.jobserver: return
    made.process.program.written[origin] = made.process.program.written.get(origin, 0) + made.result


def to_socket(made):
    found = re.search(r'sun_path="((?:[^"\\]|\\.)*)"', made.words[1])
    if made.name == 'connect' and found and made.error == errno.ENOENT: return made.note('look', join(made.process.cwd, plain('"' + found[1] + '"')), False, made.error)
    if made.name == 'connect' and found and made.error == errno.ECONNREFUSED: return made.note('access', join(made.process.cwd, plain('"' + found[1] + '"')), 0, 0)
    if made.name == 'connect' or not made.error: made.note('spoil', 'used the network or a socket')


def nothing(made):
    pass


CALLS = {
    'stat': look(None, 0), 'lstat': look(None, 0, nofollow=True), 'newfstatat': look(0, 1, 3), 'statx': look(0, 1, 2),
    'fstat': lambda made: describe(made, 0),
    'access': access(None, 0, 1), 'faccessat': access(0, 1, 2), 'faccessat2': access(0, 1, 2),
    'readlink': readlink(None, 0), 'readlinkat': readlink(0, 1),
    'open': open_file(None, 0, 1), 'openat': open_file(0, 1, 2), 'openat2': open_file(0, 1, 2), 'creat': open_file(None, 0, None),
    'getdents': listing, 'getdents64': listing, 'chdir': change_directory, 'fchdir': change_directory,
    'statfs': state_of_file_system, 'fstatfs': state_of_file_system,
    'getxattr': attributes, 'lgetxattr': attributes, 'fgetxattr': attributes,
    'listxattr': attributes, 'llistxattr': attributes, 'flistxattr': attributes,
    'mkdir': effect('mkdir', (None, 0)), 'mkdirat': effect('mkdir', (0, 1)),
    'mknod': effect('mknod', (None, 0)), 'mknodat': effect('mknod', (0, 1)),
    'rmdir': effect('rmdir', (None, 0)), 'unlink': effect('unlink', (None, 0)), 'unlinkat': effect('unlink', (0, 1)),
    'rename': effect('rename', (None, 0), (None, 1)), 'renameat': effect('rename', (0, 1), (2, 3)), 'renameat2': effect('rename', (0, 1), (2, 3)),
    'link': link((None, 0), (None, 1)), 'linkat': link((0, 1), (2, 3), 4),
    'symlink': symlink(None, 1), 'symlinkat': symlink(1, 2),
    'chmod': effect('chmod', (None, 0)), 'fchmodat': effect('chmod', (0, 1)), 'fchmodat2': effect('chmod', (0, 1)), 'fchmod': by_descriptor('chmod'),
    'chown': effect('chown', (None, 0)), 'lchown': effect('chown', (None, 0)), 'fchownat': effect('chown', (0, 1)), 'fchown': by_descriptor('chown'),
    'truncate': effect('truncate', (None, 0)), 'ftruncate': by_descriptor('truncate'),
    'utime': times(None, 0), 'utimes': times(None, 0), 'futimesat': times(0, 1), 'utimensat': times(0, 1),
    'setxattr': effect('xattr_set', (None, 0)), 'lsetxattr': effect('xattr_set', (None, 0)), 'fsetxattr': by_descriptor('xattr_set'),
    'removexattr': effect('xattr_set', (None, 0)), 'lremovexattr': effect('xattr_set', (None, 0)), 'fremovexattr': by_descriptor('xattr_set'),
    'execve': execute, 'execveat': execute, 'connect': to_socket, 'bind': to_socket,
    'dup': duplicate, 'dup2': duplicate, 'dup3': duplicate, 'fcntl': control, 'close': close, 'close_range': close_range,
    'pipe': pair, 'pipe2': pair, 'socketpair': pair,
    **{name: new_descriptor('nameless') for name in ('socket', 'eventfd2', 'epoll_create', 'epoll_create1', 'memfd_create', 'timerfd_create',
                                                     'signalfd4', 'pidfd_open', 'inotify_init1', 'inotify_init', 'userfaultfd')},
    **{name: read_bytes for name in ('read', 'pread64', 'readv', 'preadv', 'preadv2', 'mmap')},
    **{name: write_bytes for name in ('write', 'writev')},
    # Of these the arguments are descriptors that have been followed otherwise, or processes.
    **{name: nothing for name in ('lseek', 'ioctl', 'poll', 'ppoll', 'select', 'pselect6', 'epoll_ctl', 'epoll_wait', 'epoll_pwait', 'fallocate',
                                  'fsync', 'fdatasync', 'sync_file_range', 'fadvise64', 'flock', 'getcwd', 'pwrite64', 'pwritev', 'pwritev2',
                                  'copy_file_range', 'sendfile', 'splice', 'readahead', 'inotify_add_watch', 'pidfd_send_signal',
                                  'fork', 'vfork', 'clone', 'clone3', 'exit', 'exit_group', 'wait4', 'waitid', 'kill', 'tkill', 'tgkill',
                                  'rt_sigqueueinfo', 'rt_tgsigqueueinfo', 'syncfs')},
}
