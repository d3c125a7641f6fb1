# SPDX-License-Identifier: Apache-2.0
"""What the live campaigns share: a cluster whose nodes live on rigs, and the committed file of results that add up."""
import concurrent.futures
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, HERE)
sys.path.insert(0, os.path.join(ROOT, 'tests/live'))
from cluster import REGIONS, Cluster, Failure, Producer, read  # noqa: E402
from rigs import Forgetful, sweep  # noqa: E402

RESULTS = os.path.join(HERE, 'results.jsonl')


def need_root(word):
    if os.geteuid() != 0:
        print(f'{word}: mounting needs root: sudo make {word}', file=sys.stderr)
        sys.exit(1)


def commit():
    """The commit that is tested; with + if the sources differ from it."""
    def git(*words):
        return subprocess.run(['git', '-C', ROOT, *words], capture_output=True, text=True).stdout.strip()
    return git('rev-parse', '--short', 'HEAD') + ('+' if git('status', '--porcelain', '--', 'src', 'proto') else '')


def note(kind, **values):
    """Adds a line to the results."""
    with open(RESULTS, 'a') as f:
        f.write(json.dumps({'kind': kind, **values}) + '\n')


def results(kind):
    if not os.path.exists(RESULTS):
        return []
    with open(RESULTS) as f:
        return [r for r in map(json.loads, f) if r['kind'] == kind]


class DiskCluster(Cluster):
    """Three ternd whose data directories are on rigs: `rigs` makes a region's, or gives None for the plain disk."""

    def __init__(self, rigs=lambda region, path: Forgetful(path), extra=''):
        self.work = tempfile.mkdtemp(prefix='tern-rigs-')
        made = {region: rigs(region, os.path.join(self.work, region)) for region in REGIONS}
        self.disks = {region: rig for region, rig in made.items() if rig is not None}
        super().__init__(extra=extra, data_dirs={region: rig.mount for region, rig in self.disks.items()})

    def __enter__(self):
        try:
            for disk in self.disks.values():
                disk.up()
            return super().__enter__()
        except BaseException:
            self._take_down()
            raise

    def __exit__(self, kind, value, trace):
        for disk in self.disks.values():
            for words in (('fault', 'all', 'ok'), ('on',)):
                try:
                    disk.ask(*words)
                except Exception:  # noqa: BLE001: a rig may be gone or know no `on`
                    pass
        super().__exit__(kind, value, trace)
        if kind is not None:
            self.keep_data()
        self._take_down()

    def keep_data(self):
        """What the nodes have on their disks, beside their logs."""
        for region, disk in self.disks.items():
            shutil.copytree(disk.mount, os.path.join(self.dir, region, 'data.kept'), dirs_exist_ok=True)

    def _take_down(self):
        for disk in self.disks.values():
            disk.down()
        sweep(self.work)
        shutil.rmtree(self.work, ignore_errors=True)

    def power_failure(self, regions, seeds):
        """All at once: nothing they had not synced is left, whatever they were doing. Returns what the rigs tell."""
        pids = {r: self.pid(r) for r in regions}
        lost = {r: self.disks[r].cut(seeds.get(r)) for r in regions}
        for pid in pids.values():
            if pid is not None:
                os.kill(pid, signal.SIGKILL)
        for r in regions:
            self.disks[r].on()
        for r in regions:
            self.regions('kill', r)
        return lost

    def start(self, regions):
        with concurrent.futures.ThreadPoolExecutor(3) as pool:
            list(pool.map(lambda r: self.regions('start', r), regions))


class Load:
    """Producers one after the other, and the sum of what was acknowledged."""

    def __init__(self, cluster, topic, rate):
        self.cluster, self.topic, self.rate = cluster, topic, rate
        self.acked, self.next, self.producer = set(), 0, None

    def begin(self):
        self.producer = Producer(self.cluster, self.topic, 1000000, self.rate, first=self.next,
                                 options=['-X', 'message.timeout.ms=60000'])

    def end(self):
        """Until everything that was sent is acknowledged or given up; the longest time without an ack, in ms."""
        self.producer.process.send_signal(signal.SIGINT)
        self.producer.finish(90)
        self.acked |= self.producer.acked
        self.next += 1000000
        gap = self.producer.summary['longest_gap_ms']
        self.producer = None
        return gap

    def missing(self):
        """(lost, duplicated): acknowledged numbers that can't be read, numbers that are there twice."""
        values = list(read(self.cluster, self.topic).values())
        seen = set(values)
        return sorted(self.acked - seen), len(values) - len(seen)

    def stop(self):
        if self.producer is not None and self.producer.process.poll() is None:
            self.producer.process.kill()
            self.producer.process.wait()
