# SPDX-License-Identifier: Apache-2.0
"""Topics by hand: records are deleted, log starts are asked for."""
import struct
import time

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
