# SPDX-License-Identifier: Apache-2.0
"""What the Python clients share: their words, their log, and when to stop.

PROGRAM ROLE brokers=... topic=... log=FILE [group=...] [id=...] [to=...] [rate=N] [set.NAME=VALUE ...]

Roles: produce, consume, transact (transactions, every fourth aborted), copy (topic to `to`, exactly once). A program ends when its
stdin does: it flushes, commits, leaves, writes `end`. Lines of the log: tests/interop/checker.py.
"""
import os
import sys
import threading
import time

PER_TRANSACTION = 5


class Run:
    def __init__(self):
        self.role = sys.argv[1]
        words = dict(w.split('=', 1) for w in sys.argv[2:])
        self.brokers, self.topic, self.group = words['brokers'], words['topic'], words.get('group', '')
        self.id, self.to, self.rate = words.get('id', ''), words.get('to', ''), float(words.get('rate', '200'))
        self.settings = {k[4:]: v for k, v in words.items() if k.startswith('set.')}
        self.file, self.lock = open(words['log'], 'a', buffering=1), threading.Lock()
        self.stop = threading.Event()
        threading.Thread(target=self._wait, daemon=True).start()
        self.begun = time.monotonic()

    def _wait(self):
        # Without a buffer: its lock would be taken when the interpreter ends.
        while os.read(0, 4096):
            pass
        self.stop.set()

    def log(self, *fields):
        with self.lock:
            self.file.write(f'{time.time_ns() // 1000} {" ".join(str(f) for f in fields)}\n')

    def note(self, *fields):
        self.log('note', *(' '.join(str(f).split()) for f in fields))

    def fail(self, value, reason):
        self.log('fail', value, '_'.join(str(reason).split())[:200])

    def due(self, number):
        """Seconds until the record of that number is to be sent."""
        return self.begun + number / self.rate - time.monotonic()

    def numbers(self):
        """0, 1, 2, ... at the rate, until it is time to stop."""
        number = 0
        while not self.stop.is_set():
            wait = self.due(number)
            if wait > 0 and self.stop.wait(wait):
                return
            yield number
            number += 1
