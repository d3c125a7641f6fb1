# SPDX-License-Identifier: Apache-2.0
"""Topics by hand: records are deleted, log starts are asked for."""
import struct
import subprocess
import time

from cluster import expect
from groups import Broker, text

EARLIEST, LATEST = -2, -1
NOT_LEADER = 6


def delete_records(broker, topic, offsets):
    """{partition: (low watermark, error)}"""
    body = struct.pack('>i', 1) + text(topic) + struct.pack('>i', len(offsets))
    for partition, offset in offsets.items():
        body += struct.pack('>iq', partition, offset)
    r = broker.ask(21, 0, body + struct.pack('>i', 10000))
    r.take('ii')
    r.text()
    return {p: (low, error) for p, low, error in (r.take('iqh') for _ in range(r.take('i')))}


def offset(broker, topic, partition, when):
    """(error, offset)"""
    body = struct.pack('>ii', -1, 1) + text(topic) + struct.pack('>iiq', 1, partition, when)
    r = broker.ask(2, 1, body)
    r.take('i')
    r.text()
    _count, _partition, error, _time, found = r.take('iihqq')
    return error, found


def at_leader(cluster, ask, wrong, seconds=30):
    """The first answer of any node that is not `wrong`."""
    until = time.monotonic() + seconds
    seen = None
    while time.monotonic() < until:
        for address in cluster.brokers().split(','):
            try:
                broker = Broker(address, 12)
                seen = ask(broker)
                broker.close()
                if not wrong(seen):
                    return seen
            except OSError as e:
                seen = e
        time.sleep(0.1)
    return seen


def create(broker, name, configs):
    """Error code."""
    body = struct.pack('>i', 1) + text(name) + struct.pack('>ihi', 1, 3, 0) + struct.pack('>i', len(configs))
    for key, value in configs.items():
        body += text(key) + text(value)
    r = broker.ask(19, 2, body + struct.pack('>i', 10000) + b'\0')
    r.take('ii')
    r.text()
    return r.take('h')


def put(cluster, topic, lines, codec):
    """Keys and values by kcat; a line without a value is a tombstone."""
    done = subprocess.run(['kcat', '-P', '-b', cluster.brokers(), '-t', topic, '-K', ' ', '-Z', '-z', codec, '-X',
                           'linger.ms=50', '-X', 'enable.idempotence=true'],
                          input=''.join(f'{k} {v}\n' for k, v in lines), capture_output=True, text=True, timeout=60)
    expect(f'kcat -P -z {codec}', (done.returncode, done.stderr), (0, ''))


def table(cluster, topic, brokers=None):
    """({key: newest value}, number of records) as a reader of all of it sees them."""
    done = subprocess.run(['kcat', '-C', '-q', '-e', '-b', brokers or cluster.brokers(), '-t', topic, '-o', 'beginning', '-f',
                           '%o %k %s\n', '-X', 'check.crcs=true', '-Z'], capture_output=True, text=True, timeout=60)
    expect('kcat -C', done.returncode, 0)
    rows, last = {}, -1
    for line in done.stdout.splitlines():
        at, key, value = line.split(' ', 2)
        expect('offsets ascend', int(at) > last, True)
        last = int(at)
        rows[key] = value
    return {k: v for k, v in rows.items() if v != 'NULL'}, len(done.stdout.splitlines())
