# SPDX-License-Identifier: Apache-2.0
"""A network of tests/wan/namespaces for one test, and what can be measured in it from outside the emulator."""
import ctypes
import json
import os
import shutil
import socket
import statistics
import struct
import subprocess
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
SCRIPT = os.path.join(HERE, 'namespaces')
CLONE_NEWNET = 0x40000000
SO_TIMESTAMPNS = 35
libc = ctypes.CDLL(None, use_errno=True)


class Failure(Exception):
    """What was expected, and what was there instead."""


def expect(what, good, got):
    if not good:
        raise Failure(f'{what}: {got}')


class inside:
    """Sockets that this thread makes meanwhile belong to the namespace; None: nothing changes."""

    def __init__(self, path):
        self.path = path

    def enter(self, path):
        with open(path, 'rb') as f:
            if libc.setns(f.fileno(), CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), f'setns {path}')

    def __enter__(self):
        if self.path:
            self.own = os.open('/proc/thread-self/ns/net', os.O_RDONLY)
            self.enter(self.path)

    def __exit__(self, *_):
        if self.path:
            libc.setns(self.own, CLONE_NEWNET)
            os.close(self.own)


class Net:
    """Three nodes, a b c, numbers 1 2 3."""

    def __init__(self, *options, ports=('', '', '')):
        self.state = os.path.join(tempfile.mkdtemp(prefix='tern-wan-'), 'state')
        self.nodes = [f'{name}={port}' for name, port in zip('abc', ports)]
        self.options = options

    def __enter__(self):
        try:
            self.up(*self.options)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.script('down')
        shutil.rmtree(os.path.dirname(self.state), ignore_errors=True)

    def script(self, verb, *words, check=True):
        done = subprocess.run([SCRIPT, verb, self.state, *words], capture_output=True, text=True, timeout=60)
        if check and done.returncode != 0:
            raise Failure(f'namespaces {verb} {" ".join(words)}: exit {done.returncode}: {done.stdout}{done.stderr}')
        return done

    def up(self, *options):
        return self.script('up', *options, *self.nodes).stderr

    def ctl(self, text, check=True):
        return self.script('ctl', *text.split(), check=check)

    def show(self):
        return json.loads(self.ctl('show json').stdout)

    def link(self, a, b):
        names = dict(zip((1, 2, 3), 'abc'))
        for link in self.show()['links']:
            if link['from'] == names[a] and link['to'] == names[b]:
                return link
        raise Failure('no such link')

    def tag(self):
        done = subprocess.run(['cksum'], input=os.path.realpath(self.state).encode(), capture_output=True)
        return f'{int(done.stdout.split()[0]):08x}'

    def netns(self, n):
        return f'/run/netns/tern-{self.tag()}-{n}'

    def pid(self, name='emulator'):
        with open(os.path.join(self.state, f'{name}.pid')) as f:
            return int(f.read())

    # ---- sockets ---------------------------------------------------------------------------------

    def socket(self, n, kind):
        with inside(self.netns(n)):
            s = socket.socket(socket.AF_INET, kind)
        s.settimeout(5)
        return s

    def udp(self, n):
        s = self.socket(n, socket.SOCK_DGRAM)
        s.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        s.bind((f'10.90.0.{n}', 0))
        return s

    def listen(self, n, port=0, host=None):
        s = self.socket(n, socket.SOCK_STREAM)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind((host or f'10.90.0.{n}', port))
        s.listen()
        return s

    def connection(self, a, b):
        """Both ends of a TCP connection from a to b."""
        listener = self.listen(b)
        client = self.socket(a, socket.SOCK_STREAM)
        client.connect(listener.getsockname())
        server, _ = listener.accept()
        server.settimeout(5)
        listener.close()
        return client, server

    def counter(self, n, protocol, name):
        """A number of /proc/net/snmp in the namespace."""
        with inside(self.netns(n)), open('/proc/thread-self/net/snmp') as f:
            rows = [line.split() for line in f if line.startswith(protocol + ':')]
        return int(rows[1][rows[0].index(name)])

    # ---- measures --------------------------------------------------------------------------------

    def one_way(self, a, b, count=60, gap=0.004):
        """Milliseconds from a's send to the arrival of each packet in b's kernel."""
        sender, receiver = self.udp(a), self.udp(b)
        took = []
        for _ in range(count):
            sent = time.clock_gettime_ns(time.CLOCK_REALTIME)
            sender.sendto(b'x', receiver.getsockname())
            _, ancillary, _, _ = receiver.recvmsg(64, 128)
            for level, kind, data in ancillary:
                if (level, kind) == (socket.SOL_SOCKET, SO_TIMESTAMPNS):
                    seconds, nanoseconds = struct.unpack('qq', data)
                    took.append((seconds * 1000000000 + nanoseconds - sent) / 1e6)
            time.sleep(gap)
        sender.close()
        receiver.close()
        return sorted(took)

    def datagrams(self, a, b, count, gap=0.0, batch=20):
        """Sends numbered datagrams; the numbers in the order in which they arrived."""
        sender, receiver = self.udp(a), self.udp(b)
        receiver.settimeout(1.0)
        arrived = []

        def receive():
            try:
                while True:
                    arrived.append(struct.unpack('!I', receiver.recv(64))[0])
            except TimeoutError:
                pass

        thread = threading.Thread(target=receive)
        thread.start()
        for n in range(count):
            sender.sendto(struct.pack('!I', n), receiver.getsockname())
            if n % batch == batch - 1:
                time.sleep(gap or 0.001)
        thread.join()
        sender.close()
        receiver.close()
        return arrived

    def stream(self, a, b, seconds, discard=0.0):
        """Bits per second that a TCP connection carried, after the first `discard` seconds."""
        client, server = self.connection(a, b)
        got = [0]

        def receive():
            buffer = bytearray(1 << 20)
            try:
                while True:
                    n = server.recv_into(buffer)
                    if n == 0:
                        break
                    got[0] += n
            except OSError:
                pass

        def send():
            block = bytes(1 << 18)
            try:
                while not stop.is_set():
                    client.send(block)
            except OSError:
                pass

        stop = threading.Event()
        threads = [threading.Thread(target=receive), threading.Thread(target=send)]
        for thread in threads:
            thread.start()
        time.sleep(discard)
        began, before = time.monotonic(), got[0]
        time.sleep(seconds)
        rate = (got[0] - before) * 8 / (time.monotonic() - began)
        stop.set()
        for s in (client, server):
            s.shutdown(socket.SHUT_RDWR)
            s.close()
        for thread in threads:
            thread.join()
        return rate

    def transfer(self, a, b, data):
        """What arrives of these bytes."""
        client, server = self.connection(a, b)
        client.settimeout(60)
        server.settimeout(60)

        def send():
            client.sendall(data)
            client.shutdown(socket.SHUT_WR)

        thread = threading.Thread(target=send)
        thread.start()
        arrived = bytearray()
        while True:
            part = server.recv(1 << 20)
            if not part:
                break
            arrived += part
        thread.join()
        client.close()
        server.close()
        return bytes(arrived)


def free_port():
    """Nobody has it, and the kernel does not hand it out."""
    for port in range(24000 + os.getpid() % 900, 32000):
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                s.bind(('127.0.0.1', port))
                return port
            except OSError:
                pass
    raise Failure('no free port')


def median(values):
    return statistics.median(values)
