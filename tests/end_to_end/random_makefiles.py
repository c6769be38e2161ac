#!/usr/bin/env python3
"""Makefiles made up at random, with prerequisites left out, and edits to what they build from.

After each edit the tree is built three ways: from nothing by make, from what is there by make, and from what is there by
`vestal make --precise`. The last must give what the first gives; how often make alone does not is counted.

    random_makefiles.py VESTAL FIRST LAST [COMPLETE]

builds in the working directory, prints a line for each difference and at the end `makefiles edits wrong_make
wrong_precise nothing_done`. With COMPLETE no prerequisite is left out and make runs two recipes at once.
"""
import os
import random
import shutil
import stat
import subprocess
import sys


class Makefile:
    """What stands in the tree, and how it is changed."""

    def __init__(self, dice, complete):
        self.dice = dice
        self.complete = complete
        self.files = {f's{i}.in': f'source {i}\n' for i in range(dice.randint(2, 4))}
        self.files |= {f'h{i}.inc': f'header {i}\n' for i in range(2)}
        self.files['cfg'] = 'cfg\n'
        self.files['w0.src'] = 'w0\n'
        self.variables = {'FLAG': 'f', 'OPT': 'o'}
        self.environment = {'SETTING': 'x'}
        self.rules = []
        targets = []
        for i in range(dice.randint(4, 8)):
            rule = self.make_rule(f't{i}', targets)
            self.rules.append(rule)
            targets.append(rule['target'])

    def make_rule(self, target, earlier):
        dice = self.dice
        inputs = dice.sample(sorted(n for n in self.files if n.endswith(('.in', '.inc'))), dice.randint(1, 3))
        inputs += dice.sample(earlier, min(len(earlier), dice.randint(0, 2)))
        declared = inputs if self.complete else [name for name in inputs if dice.random() < 0.5]
        kind = dice.choice(['cat', 'cat', 'temporary', 'moved_if_changed', 'aside', 'variable', 'setting', 'function', 'optional',
                            'listing', 'tool', 'pattern', 'script', 'quiet_lines', 'link', 'depfile', 'nested'])
        if self.complete and kind in ('setting', 'optional', 'listing', 'variable', 'function', 'link', 'nested'):
            kind = 'cat'
        return {'target': target, 'inputs': inputs, 'declared': declared, 'kind': kind, 'salt': 0}

    def recipe(self, rule):
        target, inputs, salt = rule['target'], ' '.join(rule['inputs']), rule['salt']
        more = f'; echo {salt}' if salt else ''
        cat = f'cat {inputs}{more}'
        return {
            'cat': [f'({cat}) > $@'],
            'temporary': [f'({cat}) > {target}.tmp', f'tr a-z A-Z < {target}.tmp > $@', f'rm {target}.tmp'],
            'moved_if_changed': [f'({cat}) | cut -c1-3 > $@.new; cmp -s $@.new $@ || cp $@.new $@; rm $@.new'],
            'aside': [f'({cat}) > $@', f'wc -c < {rule["inputs"][-1]} > {target}.aside'],
            'variable': [f'(echo $(FLAG) $(OPT); {cat}) > $@'],
            'setting': [f'(echo $$SETTING; {cat}) > $@'],
            'function': [f'(echo $(CFG) $(shell cat {rule["inputs"][0]}); {cat}) > $@'],
            'optional': [f'if test -f extra; then cat extra {inputs}; else {cat}; fi > $@'],
            'listing': [f'(echo $(sort $(wildcard *.src)); {cat}) > $@'],
            'tool': [f"printf '#!/bin/sh\\ncat {inputs}\\necho {salt}\\n' > {target}.sh", f'chmod +x {target}.sh', f'./{target}.sh > $@'],
            'pattern': [f'@({cat}) > $@'],
            'script': [f"sed 's/e/{salt}/' {inputs} > $@"],
            'quiet_lines': ['@echo one', f'-@({cat}) > $@', '@true'],
            'link': [f'({cat}) > {target}.real', f'ln -sf {target}.real $@'],
            'depfile': [f'({cat}) > $@', f'echo "$@: {inputs}" > {target}.d'],
            'nested': [f'@$(MAKE) -s -f nested.mk FROM="{inputs}" TO={target} SALT={salt}'],
        }[rule['kind']]

    def text(self):
        lines = [f'{name} = {value}' for name, value in self.variables.items()]
        lines += ['CFG := $(shell cat cfg)', 'all: ' + ' '.join(rule['target'] for rule in self.rules)]
        for rule in self.rules:
            lines.append(f'{rule["target"]}: ' + ' '.join(rule['declared']))
            lines += ['\t' + line for line in self.recipe(rule)]
            if rule['kind'] == 'depfile' and not self.complete:
                lines.append(f'-include {rule["target"]}.d')
        return '\n'.join(lines) + '\n'

    def edit(self):
        """A change: of what is in the tree, or of what a build has left there. Returns (text, function of a directory)."""
        dice = self.dice
        inputs = sorted(name for name in self.files)
        what = dice.choice(['change', 'change', 'change', 'restore', 'touch', 'old', 'remove', 'damage', 'variable', 'environment', 'recipe', 'extra', 'wildcard', 'nothing', 'cfg'])
        if self.complete and what in ('old', 'damage', 'variable', 'environment', 'recipe', 'extra', 'wildcard', 'cfg', 'restore'):
            what = 'change'
        if what == 'cfg':
            self.files['cfg'] = dice.choice(['cfg\n', 'other\n', 'third\n'])
        if what == 'change':
            name = dice.choice([name for name in inputs if name.endswith(('.in', '.inc'))])
            self.files[name] = f'{name} {dice.randint(0, 3)}\n'
            return f'change {name}', None
        if what == 'restore':
            name = dice.choice([name for name in inputs if name.endswith(('.in', '.inc'))])
            self.files[name] = f'source {dice.randint(0, 3)}\n'
            return f'restore {name} with an old time', lambda place: os.utime(f'{place}/{name}', (1e9, 1e9))
        if what in ('touch', 'old'):
            name = dice.choice(inputs)
            time = None if what == 'touch' else (1e9, 1e9)
            return f'{what} {name}', lambda place: os.utime(f'{place}/{name}', time)
        if what in ('remove', 'damage'):
            name = dice.choice(self.rules)['target']

            def act(place):
                if not os.path.lexists(f'{place}/{name}'):
                    return
                if what == 'remove':
                    os.remove(f'{place}/{name}')
                else:
                    with open(f'{place}/{name}', 'a') as file:
                        file.write('damaged\n')
            return f'{what} {name}', act
        if what == 'variable':
            self.variables[dice.choice(sorted(self.variables))] = dice.choice('pqr')
        if what == 'environment':
            self.environment['SETTING'] = dice.choice('xyz')
        if what == 'recipe':
            dice.choice(self.rules)['salt'] += 1
        if what == 'extra':
            if 'extra' in self.files:
                del self.files['extra']
            else:
                self.files['extra'] = 'extra\n'
        if what == 'wildcard':
            name = f'w{dice.randint(0, 2)}.src'
            if name in self.files:
                del self.files[name]
            else:
                self.files[name] = 'w\n'
        return what, None

    def write(self, place):
        """Makes the sources what they are to be, and touches only what differs."""
        wanted = dict(self.files)
        wanted['Makefile'] = self.text()
        wanted['nested.mk'] = '$(TO): $(firstword $(FROM))\n\t(cat $(FROM); echo $(SALT)) > $@\n'
        for name in os.listdir(place):
            if (name == 'extra' or name.endswith('.src')) and name not in wanted:
                os.remove(f'{place}/{name}')
        for name, text in wanted.items():
            path = f'{place}/{name}'
            if os.path.exists(path) and open(path).read() == text:
                continue
            with open(path, 'w') as file:
                file.write(text)


def tree_of(place):
    tree = {}
    for name in sorted(os.listdir(place)):
        path = f'{place}/{name}'
        status = os.lstat(path)
        if stat.S_ISLNK(status.st_mode):
            tree[name] = ('link', os.readlink(path))
        else:
            tree[name] = (oct(status.st_mode), open(path).read())
    return tree


def build(command, place, makefile):
    environment = dict(os.environ, LC_ALL='C', **makefile.environment)
    done = subprocess.run(command, cwd=place, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120)
    if done.returncode != 0:
        print(f'{command} fails in {place}: {done.stdout}')
    return done.stdout


def main():
    vestal, first, last = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    complete = len(sys.argv) > 4
    make = ['make', '-j2'] if complete else ['make']
    counts = dict(makefiles=0, edits=0, wrong_make=0, wrong_precise=0, nothing_done=0)
    for seed in range(first, last + 1):
        makefile = Makefile(random.Random(seed), complete)
        counts['makefiles'] += 1
        places = {name: f'{seed}/{name}' for name in ('clean', 'make', 'precise')}
        for place in places.values():
            os.makedirs(place)
        history = []
        for number in range(10):
            text, act = ('as it is', None) if number == 0 else makefile.edit()
            history.append(text)
            shutil.rmtree(places['clean'])
            os.makedirs(places['clean'])
            for name, place in places.items():
                makefile.write(place)
                if act and name != 'clean':
                    act(place)
            build(make, places['clean'], makefile)
            build(make, places['make'], makefile)
            told = build([vestal] + make + ['--precise'], places['precise'], makefile)
            wanted = tree_of(places['clean'])
            counts['edits'] += 1
            counts['wrong_make'] += tree_of(places['make']) != wanted
            found = tree_of(places['precise'])
            if found != wanted:
                counts['wrong_precise'] += 1
                different = [name for name in sorted(set(wanted) | set(found)) if wanted.get(name) != found.get(name)]
                print(f'seed {seed}, after {history}: {different} differ; make said {told!r}')
                break
            again = build([vestal] + make + ['--precise'], places['precise'], makefile)
            counts['nothing_done'] += 'Nothing to be done' in again
        else:
            shutil.rmtree(str(seed))
    print(' '.join(str(count) for count in counts.values()))
    return 1 if counts['wrong_precise'] else 0


sys.exit(main())
