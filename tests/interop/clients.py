# SPDX-License-Identifier: Apache-2.0
"""Which clients there are, how each is made, and what each can do."""
import os

import toolchain
from toolchain import CLIENTS

# What the table has columns for, in order; those of failover.SPECIAL have a story of their own, the others share one.
FEATURES = ['produce', 'group', 'kill', 'rolling', 'transactions', 'exactly-once', 'kip848', 'transactions-v2', 'sessions']
PLAIN = ('produce', 'group', 'kill', 'rolling')


class Client:
    def __init__(self, name, version, make, features, heavy=False, idempotent=True, rate=100, kip848=None, why='',
                 stale_commits=False):
        """make() gives the words before ROLE; heavy: alone with its cluster; kip848: settings that ask for that protocol."""
        self.name, self.version, self.make, self.features, self.heavy = name, version, make, features, heavy
        self.idempotent, self.rate, self.kip848, self.why = idempotent, rate, kip848 or [], why
        self.stale_commits = stale_commits
        self.command = None

    def can(self, feature):
        return feature in self.features


def python(name):
    return lambda: [toolchain.venv(), os.path.join(CLIENTS, name)]


def java_client(version):
    def make():
        jars = toolchain.jars(f'kafka-clients-{version}', [f'org.apache.kafka:kafka-clients:{version}', 'org.slf4j:slf4j-simple:1.7.36'])
        classes = toolchain.java_classes(f'classes-{version}', [os.path.join(CLIENTS, 'java', 'Client.java')], jars)
        return [*toolchain.java(), '-cp', f'{classes}:{jars}/*', 'Client']
    return make


def kcat():
    toolchain.need('kcat')
    return ['python3', os.path.join(CLIENTS, 'kcat_client.py')]


TRANSACTIONAL = (*PLAIN, 'transactions', 'exactly-once')
ALL = [
    Client('kcat', 'Debian 12', kcat, (*PLAIN, 'transactions'), why='kcat cannot copy exactly once; its transactions are never aborted'),
    Client('confluent-kafka', '2.16.1 (librdkafka)', python('confluent_client.py'), (*TRANSACTIONAL, 'kip848'),
           kip848=['set.group.protocol=consumer']),
    Client('kafka-python', '3.0.12', python('kafka_python_client.py'), TRANSACTIONAL, rate=60,
           why='when a coordinator dies while it is asked, its transactional calls never return, and offsets that were not answered outlive an abort '
           'and go with the next transaction; the program gives such a producer up after 15 s, and does not abort with it'),
    Client('aiokafka', '0.14.0', python('aiokafka_client.py'), TRANSACTIONAL),
    Client('kafkajs', '2.2.4', lambda: ['node', toolchain.kafkajs()], TRANSACTIONAL,
           why='the program sends to one partition at a time, for when one broker fails it sends again what is under way at others'),
    Client('franz-go', '1.22.3', lambda: [toolchain.go('franz')], (*TRANSACTIONAL, 'transactions-v2', 'sessions')),
    Client('sarama', '1.61.1', lambda: [toolchain.go('sarama')], TRANSACTIONAL),
    Client('kafka-go', '0.4.51 (segmentio)', lambda: [toolchain.go('segmentio')], PLAIN, idempotent=False,
           stale_commits=True, why='its writer is not idempotent, so duplicates are counted and allowed; it has no transactions; its reader tells '
           'nobody of a rebalance, so repeats after a commit are counted'),
    Client('krafka', '0.28.1 (Rust)', lambda: [toolchain.rust()], (*TRANSACTIONAL, 'kip848'), kip848=['set.group.protocol=consumer'],
           why='by KIP-848, when the coordinator moves it joins under another id and leaves the old one to the session time-out (45 s), so its partitions '
           'wait that long'),
    Client('java-4', 'kafka-clients 4.4.0', java_client('4.4.0'), (*TRANSACTIONAL, 'kip848', 'transactions-v2', 'sessions'), heavy=True,
           kip848=['set.group.protocol=consumer']),
    Client('java-2', 'kafka-clients 2.8.2', java_client('2.8.2'), (*TRANSACTIONAL, 'sessions'), heavy=True),
]
