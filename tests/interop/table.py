# SPDX-License-Identifier: Apache-2.0
"""docs/COMPATIBILITY.md, made from what runs of the suite found: docs/results/interop.json keeps each cell with its run."""
import json
import os
import subprocess
import time

import apache
import clients
from toolchain import HERE, ROOT, WORK

TITLES = {'produce': 'produces', 'group': 'group, commits', 'kill': 'leader region killed', 'rolling': 'rolling restart',
          'transactions': 'transactions', 'exactly-once': 'exactly-once copy', 'kip848': 'KIP-848',
          'transactions-v2': 'transaction.version 2', 'sessions': 'fetch sessions'}


class Page:
    """A quick run leaves the docs alone; a partial one renews its own rows, another one begins with nothing."""

    def __init__(self, quick, partial):
        self.folder = os.path.join(WORK, 'quick') if quick else os.path.join(ROOT, 'docs')
        self.path = os.path.join(self.folder, 'results', 'interop.json')
        self.known = {}
        os.makedirs(os.path.dirname(self.path), exist_ok=True)
        if partial and not quick and os.path.exists(self.path):
            with open(self.path) as f:
                self.known = json.load(f)
        self.at = subprocess.run(['git', 'rev-parse', '--short=10', 'HEAD'], cwd=ROOT, capture_output=True, text=True).stdout.strip()
        self.day = time.strftime('%Y-%m-%d')

    def write(self, cells):
        for (row, column), (state, remark) in cells.items():
            self.known.setdefault(row, {})[column] = {'state': state, 'remark': remark, 'commit': self.at, 'day': self.day}
        with open(self.path, 'w') as f:
            json.dump(self.known, f, indent=1, sort_keys=True)
            f.write('\n')
        with open(os.path.join(self.folder, 'COMPATIBILITY.md'), 'w') as f:
            f.write(page(self.known))


def cell(known, row, column, can):
    if not can:
        return '-'
    got = known.get(row, {}).get(column)
    if got is None:
        return 'not run'
    return {'ok': 'yes', 'FAIL': '**FAILS**', 'skip': 'skipped'}[got['state']]


def plain(text):
    """For one line of a page."""
    return ' '.join(text.split()).replace('|', '/').replace('<', '(').replace('>', ')')[:300]


def differences():
    """[(api, versions, what is wrong, what Kafka answers, why not tern)]"""
    with open(os.path.join(HERE, 'kafka_differs.txt')) as f:
        return [tuple(cell.strip() for cell in line.split('|')) for line in f if line.strip() and not line.startswith('#')]


def page(known):
    out = ['# Compatibility', '',
           'Made by `make interop`; do not edit. Unmodified clients and tools, three real regions on one machine. *yes*: passed in the run',
           'that is named; *FAILS*, *skipped* (no toolchain or registry there) and *not run* say so; *-*: the client has no such thing.', '',
           '## Clients', '',
           'Each client writes (idempotent, `acks=all`), reads in a group with a second member that joins under way, and commits, while the region',
           'that leads its topic is killed and each region is restarted once; those that have transactions also write some (every fourth is',
           'aborted) and copy the topic exactly once. One checker judges all of them by what they logged: nothing lost, duplicated, reordered or read',
           'again after its commit, and the kill lies between acks. The last three columns are stories of their own: the whole of it by the new group',
           'protocol; transactions and copy with transaction.version 2 finalised, where the epoch shows that each transaction was of that version; a',
           'topic of 300 partitions, all of them in fetch sessions (KIP-227).', '',
           '| client | version | ' + ' | '.join(TITLES[f] for f in clients.FEATURES) + ' | run |',
           '|---|---|' + '---|' * (len(clients.FEATURES) + 1)]
    for c in clients.ALL:
        runs = {f'{v["day"]} {v["commit"]}' for v in known.get(c.name, {}).values()}
        out.append(f'| {c.name} | {c.version} | ' + ' | '.join(cell(known, c.name, f, c.can(f)) for f in clients.FEATURES) +
                   f' | {", ".join(sorted(runs))} |')
    notes = [f'- {c.name}: {c.why}.' for c in clients.ALL if c.why]
    if notes:
        out += ['', *notes]
    for heading, functions in (('Apache\'s tools', apache.TOOLS), ('Programs of Apache Kafka', apache.APPS)):
        out += ['', f'## {heading}', '', f'Version {apache.VERSION}, from Maven, by the classes that the scripts of the same names run.', '',
                '| what | works | run |', '|---|---|---|']
        for f in functions:
            runs = {f'{v["day"]} {v["commit"]}' for v in known.get(apache.title(f), {}).values()}
            out.append(f'| {apache.title(f)} | {cell(known, apache.title(f), "works", True)} | {", ".join(sorted(runs))} |')
    out += ['', '## Bad input', '',
            f'Every API and version with all that can be wrong about a request (`tests/live/hostile`); `make reference` asks Apache Kafka {apache.VERSION} the',
            'same. It answers otherwise here:', '', '| API | versions | what is wrong | Kafka | why not tern |', '|---|---|---|---|---|']
    out += ['| ' + ' | '.join(row) + ' |' for row in differences()]
    wrong = [(row, column, v) for row, columns in sorted(known.items()) for column, v in sorted(columns.items()) if v['state'] != 'ok']
    if wrong:
        out += ['', '## What fails or was skipped', '']
        out += [f'- {row}, {column}: {v["state"]}: {plain(v["remark"])}' for row, column, v in wrong]
    return '\n'.join(out) + '\n'
