# SPDX-License-Identifier: Apache-2.0
"""librdkafka through confluent-kafka."""
import time

from common import PER_TRANSACTION, Run
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

run = Run()
base = {'bootstrap.servers': run.brokers, 'error_cb': lambda e: run.note('error', e)}


def on_delivery(error, message):
    value = message.value().decode()
    if error is None:
        run.log('ack', message.topic(), message.partition(), message.offset(), value)
    else:
        run.fail(value, error)


def produce():
    p = Producer({**base, 'enable.idempotence': True, 'acks': 'all', 'linger.ms': 5, **run.settings})
    for n in run.numbers():
        run.log('send', n)
        p.produce(run.topic, key=str(n % 24), value=str(n), on_delivery=on_delivery)
        p.poll(0)
    p.flush(60)


def consumer(**more):
    return Consumer({**base, 'group.id': run.group, 'auto.offset.reset': 'earliest', 'enable.auto.commit': False,
                     **more, **run.settings})


def commit(c, next_offsets):
    if not next_offsets:
        return
    offsets = [TopicPartition(run.topic, p, o) for p, o in next_offsets.items()]
    try:
        for done in c.commit(offsets=offsets, asynchronous=False):
            if done.error is None:
                run.log('commit', run.group, done.topic, done.partition, done.offset)
    except KafkaException as e:
        run.note('commit', e)
    next_offsets.clear()


def consume():
    c = consumer(**({} if 'group.protocol' in run.settings else {'session.timeout.ms': 10000, 'heartbeat.interval.ms': 1000}),
                 **{'isolation.level': 'read_committed'})
    offsets = {}
    c.subscribe([run.topic], on_revoke=lambda c, parts: commit(c, offsets), on_lost=lambda c, parts: offsets.clear())
    last = time.monotonic()
    while not run.stop.is_set():
        for m in c.consume(100, 0.1):
            if m.error():
                run.note('consume', m.error())
                continue
            run.log('read', m.topic(), m.partition(), m.offset(), m.value().decode())
            offsets[m.partition()] = m.offset() + 1
        if time.monotonic() - last > 0.3:
            commit(c, offsets)
            last = time.monotonic()
    commit(c, offsets)
    c.close()


def transactional():
    """A producer that has ended what an earlier one with its id left; tries as long as the run lasts."""
    while True:
        p = Producer({**base, 'transactional.id': run.id, 'transaction.timeout.ms': 20000})
        try:
            p.init_transactions(30)
            return p
        except KafkaException as e:
            run.note('init_transactions', e)
            if run.stop.wait(0.5):
                raise


def commit_transaction(p):
    while True:
        try:
            p.commit_transaction(30)
            return
        except KafkaException as e:
            if not e.args[0].retriable():
                raise
            run.note('commit_transaction', e)


def transact():
    p, k = transactional(), 0
    while not run.stop.is_set():
        run.log('begin', k)
        committing = False
        try:
            p.begin_transaction()
            for n in range(k * PER_TRANSACTION, (k + 1) * PER_TRANSACTION):
                run.log('send', n)
                p.produce(run.topic, key=str(n % 24), value=str(n), on_delivery=on_delivery)
                p.poll(0)
            if k % 4 == 3:
                p.abort_transaction(60)
                run.log('aborted', k)
            else:
                committing = True
                commit_transaction(p)
                run.log('committed', k)
        except KafkaException as e:
            run.note('transaction', e)
            try:
                p.abort_transaction(60)
                run.log('aborted', k)
            except KafkaException as e2:
                run.note('abort', e2)
                p = transactional()
                run.log('unknown' if committing else 'aborted', k)
        k += 1
        run.stop.wait(max(0, run.due(k * PER_TRANSACTION)))


def rewind(c):
    """Back to what is committed."""
    while not run.stop.is_set():
        try:
            for tp in c.committed(c.assignment(), 10):
                c.seek(TopicPartition(tp.topic, tp.partition, max(tp.offset, 0)))
            return
        except KafkaException as e:
            run.note('rewind', e)
            c.poll(0.2)


def copy():
    c = consumer(**{'isolation.level': 'read_committed', 'session.timeout.ms': 10000, 'heartbeat.interval.ms': 1000})
    c.subscribe([run.topic])
    p, k = transactional(), 0
    while not run.stop.is_set():
        messages = [m for m in c.consume(50, 0.2) if not m.error()]
        if not messages:
            continue
        k += 1
        try:
            p.begin_transaction()
            for m in messages:
                p.produce(run.to, key=m.key(), value=m.value())
            if k % 7 == 3:
                p.abort_transaction(30)
                rewind(c)
                continue
            p.send_offsets_to_transaction(c.position(c.assignment()), c.consumer_group_metadata(), 30)
            commit_transaction(p)
            run.note('copied', len(messages))
        except KafkaException as e:
            run.note('copy', e)
            try:
                p.abort_transaction(30)
            except KafkaException as e2:
                run.note('abort', e2)
                p = transactional()
            rewind(c)
    c.close()


{'produce': produce, 'consume': consume, 'transact': transact, 'copy': copy}[run.role]()
run.log('end')
