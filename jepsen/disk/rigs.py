#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Puts disks that fail up and down. As a program: `rigs.py forgetful|badblock up|down DIR`, `rigs.py ask DIR WORDS...`,
`rigs.py sweep DIR` (whatever is left below DIR, also after a crash). Needs root. See README.md."""
import os
import shutil
import signal
import socket
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BIN = os.environ.get('TERN_BIN', os.path.join(ROOT, 'build/release'))


class RigError(Exception):
    pass


def run(*words, check=True):
    done = subprocess.run(words, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60)
    if check and done.returncode != 0:
        raise RigError(f'{" ".join(words)}: exit {done.returncode}: {done.stdout}{done.stderr}')
    return done.stdout.strip()


def mounts_below(path):
    """Mount points at or below a path, the innermost first."""
    path = os.path.realpath(path)
    with open('/proc/self/mounts') as f:
        points = [line.split()[1].replace('\\040', ' ') for line in f]
    return [p for p in reversed(points) if p == path or p.startswith(path + '/')]


def loops_below(path):
    """Loop devices whose file is below a path."""
    path = os.path.realpath(path)
    found = []
    for name in sorted(os.listdir('/sys/block')):
        try:
            with open(f'/sys/block/{name}/loop/backing_file') as f:
                if f.read().startswith(path + '/'):
                    found.append(f'/dev/{name}')
        except OSError:
            pass
    return found


def ask(path, *words):
    """One command over a rig's socket; its answer as {name: number or text}."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as s:
        s.settimeout(30)
        s.connect(path)
        s.sendall((' '.join(str(w) for w in words) + '\n').encode())
        answer = b''
        while True:
            part = s.recv(4096)
            if not part:
                break
            answer += part
    text = answer.decode().strip()
    if not text.startswith('ok'):
        raise RigError(f'{" ".join(str(w) for w in words)}: {text}')
    pairs = (word.split('=', 1) for word in text.split()[1:])
    return {k: int(v) if v.isdigit() else v for k, v in pairs}


def sweep(path):
    """Takes down whatever a rig left below a directory: nothing hangs, nothing stays mounted."""
    for sock in sockets_below(path):
        for words in (('fault', 'all', 'ok'), ('on',)):
            try:
                ask(sock, *words)
            except (OSError, RigError):
                pass
    fuse_last = sorted(mounts_below(path), key=lambda p: p.endswith('/fuse'))
    for point in fuse_last:
        if point.endswith('/fuse'):
            detach_loops(path)
        if subprocess.run(['umount', point], capture_output=True).returncode != 0:
            subprocess.run(['umount', '-l', point], capture_output=True)
    detach_loops(path)


def detach_loops(path):
    for device in loops_below(path):
        subprocess.run(['losetup', '-d', device], capture_output=True)


def sockets_below(path):
    """Sockets of rigs: at DIR/socket, or one directory further down."""
    candidates = [os.path.join(path, 'socket')]
    if os.path.isdir(path):
        candidates += [os.path.join(path, name, 'socket') for name in os.listdir(path)]
    return [c for c in candidates if os.path.exists(c)]


class Rig:
    """DIR/mount is the file system, DIR/socket the command socket. Usable in a `with`."""

    def __init__(self, path):
        self.dir = os.path.abspath(path)
        self.mount = os.path.join(self.dir, 'mount')
        self.socket = os.path.join(self.dir, 'socket')

    def __enter__(self):
        self.up()
        return self

    def __exit__(self, *_):
        self.down()

    def ask(self, *words):
        return ask(self.socket, *words)

    def stats(self):
        return self.ask('stats')

    def fault(self, op, mode, **options):
        """fault('write', 'eio', after=3, count=1), fault('fsync', 'hang'), fault('all', 'ok')"""
        self.ask('fault', op, mode, *(f'{k}={v}' for k, v in options.items()))

    def server(self):
        """The pid of the program behind it."""
        for name in os.listdir('/proc'):
            try:
                with open(f'/proc/{name}/cmdline', 'rb') as f:
                    words = f.read().split(b'\0')
            except (OSError, ValueError):
                continue
            if len(words) > 4 and words[1] == b'mount' and words[4] == self.socket.encode():
                return int(name)
        return None

    def down(self):
        sweep(self.dir)
        until = time.monotonic() + 5
        while self.server() is not None and time.monotonic() < until:
            time.sleep(0.01)
        pid = self.server()
        if pid is not None:
            os.kill(pid, signal.SIGKILL)
        shutil.rmtree(self.dir, ignore_errors=True)


class Forgetful(Rig):
    def up(self):
        for name in ('backing', 'mount'):
            os.makedirs(os.path.join(self.dir, name), exist_ok=True)
        run(os.path.join(BIN, 'jepsen/disk/forgetful'), 'mount', os.path.join(self.dir, 'backing'), self.mount,
            self.socket)

    def forget(self, seed=None, **options):
        """The power fails and is back at once; for processes that are dead already. Without a seed everything unsynced
        is lost, with one it decides what is lost, kept, or torn."""
        return self.ask('forget', *self._options(seed, options))

    def cut(self, seed=None, **options):
        """The power fails: from this moment nothing is answered until on()."""
        return self.ask('cut', *self._options(seed, options))

    def on(self):
        """Calls that waited fail with EIO, and all handles from before."""
        self.ask('on')

    @staticmethod
    def _options(seed, options):
        return [f'{k}={v}' for k, v in {**({} if seed is None else {'seed': seed}), **options}.items()]


class Badblock(Rig):
    """An ext4 on a loop device on a file whose reads, writes and syncs fail on command."""

    def __init__(self, path, size='256M'):
        super().__init__(path)
        self.size = size
        self.image = os.path.join(self.dir, 'image')
        self.device = None

    def up(self):
        fuse = os.path.join(self.dir, 'fuse')
        for path in (fuse, self.mount):
            os.makedirs(path, exist_ok=True)
        try:
            run('truncate', '-s', self.size, self.image)
            run(os.path.join(BIN, 'jepsen/disk/badblock'), 'mount', self.image, fuse, self.socket)
            self.device = run('losetup', '-f', '--show', os.path.join(fuse, 'disk'))
            run('mkfs.ext4', '-q', '-F', '-m', '0', '-E', 'lazy_itable_init=0,lazy_journal_init=0', self.device)
            run('mount', '-t', 'ext4', self.device, self.mount)
        except Exception:
            self.down()
            raise

    def remount(self):
        """As after a reboot: what the kernel remembers of the failures is gone, the journal is replayed."""
        run('umount', self.mount)
        run('mount', '-t', 'ext4', self.device, self.mount)


def main():
    kinds = {'forgetful': Forgetful, 'badblock': Badblock}
    words = sys.argv[1:]
    try:
        if len(words) == 3 and words[0] in kinds and words[1] in ('up', 'down'):
            if os.geteuid() != 0:
                raise RigError('mounting needs root: run this with sudo')
            getattr(kinds[words[0]](words[2]), words[1])()
        elif len(words) >= 3 and words[0] == 'ask':
            print(' '.join(f'{k}={v}' for k, v in ask(os.path.join(words[1], 'socket'), *words[2:]).items()) or 'ok')
        elif len(words) == 2 and words[0] == 'sweep':
            sweep(words[1])
        else:
            print(__doc__, file=sys.stderr)
            return 2
    except (RigError, OSError) as e:
        print(f'rigs: {e}', file=sys.stderr)
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())
