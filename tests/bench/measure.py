# SPDX-License-Identifier: Apache-2.0
"""What a system uses while it is measured, apart from what the emulator, the client and the rest of the machine use; and the physical floor."""
import json
import os
import socket
import statistics
import subprocess
import sys
import threading
import time

from systems import BIN, ROOT, run

sys.path.insert(0, os.path.join(ROOT, 'tests/wan'))
from rig import inside  # noqa: E402

TICK = os.sysconf('SC_CLK_TCK')
GROUP = '/sys/fs/cgroup/cpuacct/tern-bench-peers'


def process_cpu(pid):
    """Seconds; 0 if it is gone."""
    try:
        with open(f'/proc/{pid}/stat') as f:
            fields = f.read().rsplit(')', 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICK
    except OSError:
        return 0.0


def machine_cpu():
    """Seconds that all processors were busy, and that were stolen."""
    with open('/proc/stat') as f:
        v = [int(x) for x in f.readline().split()[1:]]
    return (v[0] + v[1] + v[2] + v[5] + v[6]) / TICK, v[7] / TICK


def group_ready():
    try:
        os.makedirs(GROUP, exist_ok=True)
        return os.access(os.path.join(GROUP, 'cgroup.procs'), os.W_OK)
    except OSError:
        return False


def attach(pids):
    """The nodes' processes into a cpuacct group; false: there is none to write, /proc is used."""
    if not group_ready():
        return False
    try:
        for pid in pids:
            with open(os.path.join(GROUP, 'cgroup.procs'), 'w') as f:
                f.write(str(pid))
        return True
    except OSError:
        return False


def group_cpu():
    with open(os.path.join(GROUP, 'cpuacct.usage')) as f:
        return int(f.read()) / 1e9


class Meter:
    """Processor time of the nodes between two moments; also memory at the end."""

    def __init__(self, system):
        self.system = system
        self.pids = system.pids()
        self.by_group = attach(self.pids)
        self.begin()

    def nodes_cpu(self):
        return group_cpu() if self.by_group else sum(map(process_cpu, self.pids))

    def begin(self):
        self.at = time.monotonic()
        self.nodes, self.each, self.emulator = self.nodes_cpu(), [process_cpu(p) for p in self.pids], process_cpu(self.system.emulator())
        self.busy, self.stolen = machine_cpu()

    def end(self, client_s=0.0):
        seconds = time.monotonic() - self.at
        busy, stolen = machine_cpu()
        nodes, emulator = self.nodes_cpu() - self.nodes, process_cpu(self.system.emulator()) - self.emulator
        each = [process_cpu(p) - e for p, e in zip(self.pids, self.each)]
        return {'seconds': seconds, 'nodes_cpu_s': nodes, 'each_cpu_s': each, 'emulator_cpu_s': emulator, 'client_cpu_s': client_s,
                'others_cores': max(0.0, busy - self.busy - nodes - emulator - client_s) / seconds, 'stolen_cores': (stolen - self.stolen) / seconds,
                'cpu_by': 'cgroup cpuacct' if self.by_group else '/proc', 'load': os.getloadavg()[0]}


def forget_peaks(pids):
    """The largest RSS counts from now on."""
    for pid in pids:
        with open(f'/proc/{pid}/clear_refs', 'w') as f:
            f.write('5')


def memory(pids):
    """MiB of each node."""
    found = []
    for pid in pids:
        with open(f'/proc/{pid}/smaps_rollup') as f:
            fields = dict(line.split(':', 1) for line in f.read().splitlines()[1:])
        with open(f'/proc/{pid}/status') as f:
            peak = next(int(line.split()[1]) for line in f if line.startswith('VmHWM'))
        found.append({'rss': int(fields['Rss'].split()[0]) / 1024, 'pss': int(fields['Pss'].split()[0]) / 1024, 'peak_rss': peak / 1024})
    return found


# ---- the floor -----------------------------------------------------------------------------------


def netns(system, n):
    done = subprocess.run(['cksum'], input=os.path.realpath(system.state).encode(), capture_output=True)
    return f'/run/netns/tern-{int(done.stdout.split()[0]):08x}-{n}'


def round_trip(system, a, b, count=40):
    """Median in ms of one byte over TCP from node a's region to node b's and back, as programs see it."""
    with inside(netns(system, b)):
        listener = socket.create_server((f'10.90.0.{b}', 0))

    def echo():
        conn, _ = listener.accept()
        conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while True:
            got = conn.recv(1)
            if not got:
                return
            conn.sendall(got)
    thread = threading.Thread(target=echo, daemon=True)
    thread.start()
    with inside(netns(system, a)):
        client = socket.create_connection(listener.getsockname())
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    took = []
    for _ in range(count):
        at = time.monotonic()
        client.sendall(b'x')
        client.recv(1)
        took.append((time.monotonic() - at) * 1e3)
    client.close()
    listener.close()
    return statistics.median(took)


def fdatasync(folder, size=1200, rate=1000, seconds=3, jobs=3):
    """Percentiles in ms of overwriting a recycled file and syncing it, on so many files of the file system at once."""
    return json.loads(run([os.path.join(BIN, 'tests/bench/fdatasync_probe'), folder, str(size), str(rate), str(seconds), str(jobs)]).stdout)


def floor(system):
    """Round trip to the region nearest to eu-west, and an fdatasync."""
    trip, disk = min(round_trip(system, 1, 2), round_trip(system, 1, 3)), fdatasync(system.dir)
    return {'round_trip_ms': trip, 'fdatasync_ms': disk['p50_ms'], 'ms': trip + disk['p50_ms'], 'fdatasync': disk}
