# SPDX-License-Identifier: Apache-2.0
"""One cluster of three real ternd for one run: disks that fail below it, a network between the regions, clocks that can be moved."""
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
REGIONS = ['eu-west', 'eu-central', 'eu-north']
sys.path.insert(0, os.path.join(ROOT, 'jepsen/disk'))
import rigs  # noqa: E402

SCRIPT = os.path.join(ROOT, 'deploy/local/regions')
STORE = 'store: {journal_file: 8MiB, journal_files: 6, segment: 4MiB, reserve: 48MiB}'


class Broken(Exception):
    """The rig, not tern, does not do what it should."""


def free_base():
    """Ten ports in a row that nobody listens on, below the range that the kernel hands out."""
    for base in range(20000 + os.getpid() % 700 * 10, 32000, 10):
        try:
            for port in range(base, base + 10):
                with socket.socket() as s:
                    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    s.bind(('0.0.0.0', port))
            return base
        except OSError:
            continue
    raise Broken('no ten free ports in a row')


class Cluster:
    """disks: {region: 'forgetful' | 'badblock' | 'plain'}; wan: a profile of tests/wan, or None for loopback."""

    def __init__(self, path, binaries, disks, wan=None, seed=0):
        self.dir, self.bin, self.wan, self.seed = path, binaries, wan, seed
        self.base = free_base()
        self.env = dict(os.environ, REGIONS_DIR=path, REGIONS_PORT_BASE=str(self.base), REGIONS_BIN=binaries, REGIONS_EXTRA=STORE,
                        TERN_PROFILE=os.path.join(path, 'profile.yaml'))
        shim = os.path.join(binaries, 'jepsen/shim/clock.so')
        self.node_env = dict(self.env, LD_PRELOAD=shim) if os.path.exists(shim) else self.env
        self.down_on_purpose = set()
        self.disks = {}
        for region in REGIONS:
            home = os.path.join(path, region)
            os.makedirs(home, exist_ok=True)
            with open(os.path.join(home, 'clock'), 'wb') as f:
                f.write(struct.pack('<q', 0))
            if disks[region] == 'plain':
                continue
            rigs.BIN = binaries
            kind = rigs.Forgetful if disks[region] == 'forgetful' else rigs.Badblock
            disk = kind(os.path.join(path, 'disks', region), *(['512M'] if kind is rigs.Badblock else []))
            disk.up()
            self.disks[region] = disk
            os.symlink(disk.mount, os.path.join(home, 'data'))

    # ---- words of deploy/local/regions ---------------------------------------------------------------

    def regions(self, *words, check=True, timeout=120, binaries=None):
        env = dict(self.node_env, REGIONS_BIN=binaries) if binaries else self.node_env
        done = subprocess.run([SCRIPT, *words], env=env, capture_output=True, text=True, timeout=timeout, stdin=subprocess.DEVNULL)
        if check and done.returncode != 0:
            raise Broken(f'regions {" ".join(words)}: exit {done.returncode}: {done.stdout}{done.stderr}')
        return done

    def up(self):
        self.regions('up', *(['--wan', self.wan, '--seed', str(self.seed)] if self.wan else []), timeout=300)

    def down(self, keep=False):
        """keep: what was on the disks stays, as files in the nodes' directories."""
        for disk in self.disks.values():
            try:
                disk.fault('all', 'ok')
                disk.on() if isinstance(disk, rigs.Forgetful) else None
            except (OSError, rigs.RigError):
                pass
        self.regions('down', check=False)
        for region, disk in self.disks.items():
            link = os.path.join(self.dir, region, 'data')
            if keep:
                try:
                    shutil.copytree(disk.mount, link + '.kept', ignore=shutil.ignore_patterns('lost+found'), symlinks=True)
                except (OSError, shutil.Error) as error:
                    print(f'jepsen: what {region} had on its disk is not kept: {error}', file=sys.stderr)
            disk.down()
            os.unlink(link)
            if os.path.isdir(link + '.kept'):
                os.rename(link + '.kept', link)

    def pid(self, region):
        for line in self.regions('status').stdout.splitlines():
            name, _state, pid, _port = line.split()
            if name == region:
                return int(pid) if pid != '-' else None
        return None

    def quick_pid(self, region):
        try:
            with open(os.path.join(self.dir, region, 'pid')) as f:
                pid = int(f.read())
            with open(f'/proc/{pid}/stat') as f:
                return pid if f.read().rsplit(')', 1)[1].split()[0] not in 'ZX' else None
        except (OSError, ValueError):
            return None

    def signal(self, region, number):
        pid = self.quick_pid(region)
        if pid is not None:
            os.kill(pid, number)
        return pid

    def gone(self, region, seconds=20):
        until = time.monotonic() + seconds
        while self.quick_pid(region) is not None:
            if time.monotonic() > until:
                raise Broken(f'{region} is still there after {seconds} s')
            time.sleep(0.02)

    def kill(self, region):
        self.down_on_purpose.add(region)
        self.signal(region, signal.SIGKILL)
        self.gone(region)

    def start(self, region, binaries=None, check=True):
        done = self.regions('start', region, check=check, binaries=binaries, timeout=60)
        if done.returncode == 0:
            self.down_on_purpose.discard(region)
        return done

    def data(self, region):
        return os.path.realpath(os.path.join(self.dir, region, 'data'))

    def log(self, region, since=0):
        try:
            with open(os.path.join(self.dir, region, 'log'), errors='replace') as f:
                f.seek(since)
                return f.read()
        except OSError:
            return ''

    def log_size(self, region):
        try:
            return os.path.getsize(os.path.join(self.dir, region, 'log'))
        except OSError:
            return 0

    def set_clock(self, region, seconds):
        with open(os.path.join(self.dir, region, 'clock'), 'r+b') as f:
            f.write(struct.pack('<q', int(seconds * 1e9)))

    # ---- the network ---------------------------------------------------------------------------------

    def net(self, *words):
        return self.regions('wan', *words)

    def counters(self):
        """{(from, to): {...}}"""
        shown = json.loads(self.regions('wan', 'show', 'json').stdout)
        return {(link['from'], link['to']): link for link in shown['links']}

    def heal_network(self):
        if self.wan:
            self.net('heal')
            self.net('profile', self.wan)

    # ---- words of tern -------------------------------------------------------------------------------

    def tern(self, *words, stdin=None, timeout=30, wait='3s'):
        try:
            return subprocess.run([os.path.join(self.bin, 'tern'), '--timeout', wait, *words], env=self.env, capture_output=True, text=True,
                                  timeout=timeout, input=stdin, **({} if stdin is not None else {'stdin': subprocess.DEVNULL}))
        except subprocess.TimeoutExpired:
            return subprocess.CompletedProcess(words, 124, '', 'timed out')

    def json(self, *words, **options):
        done = self.tern(*words, '-o', 'json', **options)
        try:
            return json.loads(done.stdout)
        except ValueError:
            return None

    def apply(self, text):
        path = os.path.join(self.dir, 'policy.yaml')
        with open(path, 'w') as f:
            f.write(text)
        return self.tern('policy', 'apply', path)

    def healthy(self, seconds):
        """True as soon as tern says that all is well."""
        until = time.monotonic() + seconds
        while self.tern('status').returncode != 0:
            if time.monotonic() > until:
                return False
            time.sleep(0.3)
        return True

    # ---- clients -------------------------------------------------------------------------------------

    def kafka(self, region):
        """As a client inside a region reaches that node."""
        if not self.wan:
            return f'127.0.0.1:{self.base + 3 * REGIONS.index(region)}'
        with open(os.path.join(self.dir, 'profile.yaml')) as f:
            for line in f:
                if f'region: {region},' in line:
                    return line.split('kafka: "')[1].split('"')[0]
        raise Broken(f'{region} is not in the profile')

    def inside(self, region, command, **options):
        words = [SCRIPT, 'exec', region, '--', *command] if self.wan else command
        return subprocess.Popen(words, env=self.env, text=True, start_new_session=True, **options)


def copy_durably(source, to):
    """Files and names are synced, so that a power failure later does not take them."""
    shutil.copytree(source, to, dirs_exist_ok=True)
    for path, names, files in os.walk(to, topdown=False):
        for name in [*files, '.']:
            fd = os.open(os.path.join(path, name), os.O_RDONLY)
            os.fsync(fd)
            os.close(fd)


def empty(path):
    for name in os.listdir(path):
        if name == 'lost+found':
            continue
        full = os.path.join(path, name)
        shutil.rmtree(full) if os.path.isdir(full) else os.unlink(full)
    fd = os.open(path, os.O_RDONLY)
    os.fsync(fd)
    os.close(fd)
