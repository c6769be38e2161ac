#!/bin/bash
# The policy table is in order: every row names a scenario that is there and shows it, what is said to bring strictness
# back is tried, no program stands in a row that never holds for it, and the page in docs is made from the table as it is.
set -u
cd "${SOURCE:-$(dirname "$0")/../..}" || exit 1
faults=0
"${VESTAL:-build/bin/vestal}" policy --markdown | diff -u docs/policy.md - ||
  { echo 'docs/policy.md is out of date: vestal policy --markdown >docs/policy.md'; faults=1; }

python3 - <<'P' || faults=1
import os, re, sys, tomllib
faults = []
table = tomllib.load(open('broker/policy.toml', 'rb'))

# A scenario: the lines of a script that begin with `hits`, `runs` or another word, and the name in quotes.
def lines_of(script, name):
    if not os.path.isfile('tests/' + script): return []
    found = []
    for line in open('tests/' + script):
        match = re.match(r"(\w+) '([^']*)' (.*)", line)
        if match and match[2] == name: found.append((match[1], match[3]))
    return found

def is_strict(row, command):
    strict = row.get('strict', {})
    for word in re.findall(r"[^\s'\"]+", command):
        for letter in strict.get('letters', ''):
            if re.match(r'-\w', word) and letter in word: return True
        for one in strict.get('words', []):
            # a long word may be shortened
            if one.startswith('--') and len(word) > 3 and one.startswith(word.split('=')[0]): return True
            if word == one or (one.endswith('*') and word.startswith(one[:-1])): return True
    return False

seen, tests = {}, {}
for row in table['policy']:
    who = row['programs'][0]
    script, _, name = row['test'].partition(': ')
    lines = lines_of(script, name)
    if not any(kind in ('hits', 'shows') for kind, _ in lines): faults.append(f"{who}: no scenario '{row['test']}' shows what the row ignores")
    runs = [text for kind, text in lines if kind == 'runs']
    if not runs: faults.append(f"{who}: no scenario '{row['test']}' shows what the row does not ignore")
    if 'strict' in row and not any(is_strict(row, text) for text in runs):
        faults.append(f"{who}: no scenario '{row['test']}' tries what brings strictness back")
    if row['test'] in tests: faults.append(f"{who}: its scenario is that of {tests[row['test']]} too")
    tests[row['test']] = who
    for program in row['programs']:
        if program in seen: faults.append(f"{program}: stands in the row for {seen[program]} too")
        if not row.get('only_with'): seen[program] = who  # after a row that always holds no other one is reached
# What the scenarios are about is in the table.
for line in open('tests/end_to_end/policy.sh'):
    match = re.match(r"(?:hits|runs|shows) '([^']*)'", line)
    if match and 'end_to_end/policy.sh: ' + match[1] not in tests: faults.append(f"'{match[1]}': a scenario of no row")
print('\n'.join(faults))
sys.exit(bool(faults))
P
exit $faults
