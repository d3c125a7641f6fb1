# SPDX-License-Identifier: Apache-2.0
"""Three real ternd for one test: started by deploy/local/regions in a directory and on ports of their own."""
import collections
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BIN = os.environ.get('TERN_BIN', os.path.join(ROOT, 'build'))
REGIONS = ['eu-west', 'eu-central', 'eu-north']


class Failure(Exception):
    """What was expected, and what was there instead."""


def expect(what, got, wanted):
    if got != wanted:
        raise Failure(f'{what}: got {got!r}, expected {wanted!r}')


given_out = set()
giving = threading.Lock()


def free_base():
    """Ten ports in a row that nobody listens on, below the range that the kernel hands out."""
    with giving:
        base = find_free_base()
        given_out.add(base)
        return base


def find_free_base():
    for base in range(21000 + os.getpid() % 500 * 10, 32000, 10):
        taken = base in given_out
        for port in range(base, base + 10):
            with socket.socket() as s:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    s.bind(('127.0.0.1', port))
                except OSError:
                    taken = True
                    break
        if not taken:
            return base
    raise Failure('no ten free ports in a row')


class Cluster:
    def __init__(self, extra='', data_dirs=None, wan=()):
        """wan: ('us',) or ('us', '--loss', '0.1'): regions up --wan ..., as root."""
        self.up = ['up', *(['--wan', *wan] if wan else [])]
        self.dir = tempfile.mkdtemp(prefix='tern-live-')
        self.base = free_base()
        self.env = dict(os.environ, REGIONS_DIR=self.dir, REGIONS_PORT_BASE=str(self.base), REGIONS_BIN=BIN,
                        REGIONS_EXTRA=extra, TERN_PROFILE=os.path.join(self.dir, 'profile.yaml'))
        for region, path in (data_dirs or {}).items():
            os.makedirs(os.path.join(self.dir, region), exist_ok=True)
            os.symlink(path, os.path.join(self.dir, region, 'data'))

    def __enter__(self):
        try:
            self.regions(*self.up, timeout=120)
        except BaseException:
            self.__exit__(*sys.exc_info())
            raise
        return self

    def __exit__(self, kind, value, trace):
        subprocess.run([self.script, 'down'], env=self.env, capture_output=True, timeout=60)
        if kind is None and 'LIVE_KEEP' not in os.environ:
            shutil.rmtree(self.dir, ignore_errors=True)
        else:
            print(f'    logs are kept in {self.dir}')

    script = os.path.join(ROOT, 'deploy/local/regions')

    def regions(self, *words, check=True, timeout=60):
        done = subprocess.run([self.script, *words], env=self.env, capture_output=True, text=True, timeout=timeout)
        if check and done.returncode != 0:
            raise Failure(f'regions {" ".join(words)}: exit {done.returncode}: {done.stdout}{done.stderr}')
        return done.stdout

    def tern(self, *words, check=True, stdin=None):
        done = subprocess.run([os.path.join(BIN, 'tern'), *words], env=self.env, capture_output=True, text=True,
                              timeout=60, input=stdin)
        if check and done.returncode != 0:
            raise Failure(f'tern {" ".join(words)}: exit {done.returncode}: {done.stdout}{done.stderr}')
        return done

    def json(self, *words):
        return json.loads(self.tern(*words, '-o', 'json', check=False).stdout)

    def kafka(self, region):
        return f'127.0.0.1:{self.base + 3 * REGIONS.index(region)}'

    def brokers(self):
        return ','.join(self.kafka(r) for r in REGIONS)

    def data(self, region):
        return os.path.join(self.dir, region, 'data')

    def pid(self, region):
        for line in self.regions('status').splitlines():
            name, state, pid, _port = line.split()
            if name == region:
                return int(pid) if pid != '-' else None
        raise Failure(f'no region {region}')

    def kill_all(self):
        """At once; back when the processes are gone, and with them the locks on their directories."""
        pids = [self.pid(region) for region in REGIONS]
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        for pid in pids:
            while os.path.exists(f'/proc/{pid}'):
                time.sleep(0.01)

    def log(self, region):
        with open(os.path.join(self.dir, region, 'log'), errors='replace') as f:
            return f.read()

    def leaders(self, topic):
        for t in self.json('topic', 'list')['topics']:
            if t['name'] == topic:
                return t['leaders']
        raise Failure(f'no topic {topic}')

    def apply(self, text):
        path = os.path.join(self.dir, f'policy-{time.monotonic_ns()}.yaml')
        with open(path, 'w') as f:
            f.write(text)
        return self.tern('policy', 'apply', path)

    def wait(self, what, question, seconds=20):
        """Until question() is true; its last answer is in the failure."""
        until = time.monotonic() + seconds
        while True:
            answer = question()
            if answer:
                return answer
            if time.monotonic() > until:
                raise Failure(f'{what}: still {answer!r} after {seconds} s')
            time.sleep(0.1)

    def healthy(self):
        self.wait('tern status says ok', lambda: self.tern('status', check=False).returncode == 0)


class Producer:
    """numbered_producer in the background."""

    def __init__(self, cluster, topic, records, rate, brokers=None, first=0, options=()):
        self.cluster, self.topic = cluster, topic
        self.acked_path = os.path.join(cluster.dir, f'acked-{topic}-{first}')
        self.process = subprocess.Popen(
            [os.path.join(BIN, 'numbered_producer'), '--brokers', brokers or cluster.brokers(), '--topic', topic,
             '--records', str(records), '--rate', str(rate), '--first', str(first), '--acked', self.acked_path, *options],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)

    def finish(self, timeout=120):
        out, _ = self.process.communicate(timeout=timeout)
        self.summary = json.loads(out)
        with open(self.acked_path) as f:
            self.acked = {int(line) for line in f}
        if self.summary.get('failed'):
            print(f'    producer of {self.topic}: {self.summary}')
        return self


def read(cluster, topic, brokers=None):
    """Everything that can be read, as {(partition, offset): number}."""
    for _ in range(20):
        done = subprocess.run(['kcat', '-C', '-q', '-e', '-b', brokers or cluster.brokers(), '-t', topic, '-o',
                               'beginning', '-f', '%p %o %s\n', '-X', 'fetch.error.backoff.ms=20', '-X',
                               'check.crcs=true'], capture_output=True, text=True, timeout=120)
        # kcat gives up on what other clients try again: a leader that is being chosen.
        if done.returncode == 0 or 'Leader not available' not in done.stderr:
            break
        time.sleep(0.5)
    if done.returncode != 0:
        raise Failure(f'kcat -C {topic}: exit {done.returncode}: {done.stderr}')
    records = {}
    for line in done.stdout.splitlines():
        partition, offset, value = line.split(' ', 2)
        records[int(partition), int(offset)] = int(value.split()[0])
    return records


def judge(records, acked, what='records'):
    """Nothing acknowledged is lost, nothing is there twice, offsets have no gaps."""
    counts = collections.Counter(records.values())
    lost = sorted(acked - set(counts))
    double = sorted(n for n, times in counts.items() if times > 1)
    expect(f'{what} lost (first ones {lost[:5]})', len(lost), 0)
    expect(f'{what} duplicated (first ones {double[:5]})', len(double), 0)
    ends = collections.Counter()
    for partition, _ in records:
        ends[partition] += 1
    for partition, count in ends.items():
        offsets = sorted(o for p, o in records if p == partition)
        expect(f'offsets of partition {partition}', (offsets[0], offsets[-1]), (0, count - 1))
