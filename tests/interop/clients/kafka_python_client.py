# SPDX-License-Identifier: Apache-2.0
"""kafka-python."""
import logging
import threading
import time

from common import PER_TRANSACTION, Run
from kafka import ConsumerRebalanceListener, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.errors import KafkaError, KafkaTimeoutError
from kafka.structs import OffsetAndMetadata

run = Run()
servers = run.brokers.split(',')


class Notes(logging.Handler):
    def emit(self, record):
        run.note('log', record.getMessage()[:300])


logging.getLogger('kafka').addHandler(Notes(logging.WARNING))


def producer(**more):
    return KafkaProducer(bootstrap_servers=servers, enable_idempotence=True, acks='all', linger_ms=5, **more)


def send(p, topic, value, key=None, log=True):
    """Tells its end in the log."""
    future = p.send(topic, key=key if key is not None else str(value % 24).encode(), value=str(value).encode())
    if log:
        future.add_callback(lambda m: run.log('ack', m.topic, m.partition, m.offset, value))
        future.add_errback(lambda e: run.fail(value, repr(e)))
    return future


def produce():
    p = producer()
    for n in run.numbers():
        run.log('send', n)
        send(p, run.topic, n)
    p.flush(60)
    p.close(10)


def consumer(**more):
    return KafkaConsumer(bootstrap_servers=servers, group_id=run.group, auto_offset_reset='earliest', enable_auto_commit=False,
                         session_timeout_ms=10000, heartbeat_interval_ms=1000, isolation_level='read_committed', **more)


def commit(c, offsets):
    if not offsets:
        return
    asked = {TopicPartition(run.topic, p): OffsetAndMetadata(o, '', -1) for p, o in offsets.items()}
    offsets.clear()
    try:
        c.commit(asked, timeout_ms=20000)
        for tp, o in asked.items():
            run.log('commit', run.group, tp.topic, tp.partition, o.offset)
    except Exception as e:  # noqa: BLE001 what leaves a rebalance callback ends the consumer
        run.note('commit', repr(e))


class CommitFirst(ConsumerRebalanceListener):
    def __init__(self, c, offsets):
        self.consumer, self.offsets = c, offsets

    def on_partitions_revoked(self, revoked):
        commit(self.consumer, self.offsets)

    def on_partitions_assigned(self, assigned):
        run.note('assigned', sorted(tp.partition for tp in assigned))


def consume():
    c, offsets = consumer(), {}
    c.subscribe([run.topic], listener=CommitFirst(c, offsets))
    last = time.monotonic()
    while not run.stop.is_set():
        for records in c.poll(timeout_ms=100).values():
            for m in records:
                run.log('read', m.topic, m.partition, m.offset, m.value.decode())
                offsets[m.partition] = m.offset + 1
        if time.monotonic() - last > 0.3:
            commit(c, offsets)
            last = time.monotonic()
    commit(c, offsets)
    c.close()


class Stuck(KafkaTimeoutError):
    """The producer must be given up."""


def bounded(call, *args):
    """Its waits have no end of their own, and one comes to none: a coordinator that dies while it is asked (sender.py) is never asked
    again."""
    done = []

    def work():
        try:
            done.append((call(*args), None))
        except Exception as e:  # noqa: BLE001
            done.append((None, e))
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(15)
    if not done:
        raise Stuck('no end of it')
    if done[0][1] is not None:
        raise done[0][1]
    return done[0][0]


def give_up(p):
    """In the background, for that may wait for ever, too."""
    threading.Thread(target=p.close, args=(0,), daemon=True).start()


def transactional():
    while True:
        p = producer(transactional_id=run.id, transaction_timeout_ms=20000)
        try:
            bounded(p.init_transactions)
            return p
        except KafkaError as e:
            run.note('init_transactions', repr(e))
            give_up(p)
            if run.stop.wait(0.5):
                raise


def transact():
    p, k = transactional(), 0
    while not run.stop.is_set():
        run.log('begin', k)
        committing = False
        try:
            p.begin_transaction()
            for n in range(k * PER_TRANSACTION, (k + 1) * PER_TRANSACTION):
                run.log('send', n)
                send(p, run.topic, n)
            if k % 4 == 3:
                bounded(p.abort_transaction)
                run.log('aborted', k)
            else:
                committing = True
                bounded(p.commit_transaction)
                run.log('committed', k)
        except KafkaError as e:
            run.note('transaction', repr(e))
            try:
                if isinstance(e, Stuck):
                    raise
                bounded(p.abort_transaction)
                run.log('aborted', k)
            except (KafkaError, AssertionError) as e2:
                run.note('abort', repr(e2))
                give_up(p)
                p = transactional()
                run.log('unknown' if committing else 'aborted', k)
        k += 1
        run.stop.wait(max(0, run.due(k * PER_TRANSACTION)))
    bounded(p.close, 10)


def rewind(c):
    while not run.stop.is_set():
        try:
            for tp in c.assignment():
                offset = c.committed(tp)
                run.note('resume', tp.topic, tp.partition, offset)
                c.seek(tp, offset or 0)
            return
        except KafkaError as e:
            run.note('rewind', repr(e))
            c.poll(timeout_ms=200, max_records=1)


def copy():
    c = consumer()
    c.subscribe([run.topic])
    p, k = transactional(), 0
    while not run.stop.is_set():
        batch = c.poll(timeout_ms=200, max_records=50)
        if not batch:
            continue
        k += 1
        try:
            p.begin_transaction()
            for records in batch.values():
                for m in records:
                    send(p, run.to, int(m.value), m.key, log=False)
            if k % 7 == 3:
                bounded(p.abort_transaction)
                rewind(c)
                continue
            bounded(p.send_offsets_to_transaction, {tp: OffsetAndMetadata(r[-1].offset + 1, '', -1) for tp, r in batch.items()},
                    c.group_metadata())
            bounded(p.commit_transaction)
            run.note('copied', sum(len(r) for r in batch.values()))
        except KafkaError as e:
            # Not aborted: offsets whose commit has not been answered outlive that, and go with the next transaction, even of what is not
            # in it (transaction_manager.py, _pending_txn_offset_commits). A new producer has none.
            run.note('copy', repr(e))
            give_up(p)
            p = transactional()
            rewind(c)
    c.close()


{'produce': produce, 'consume': consume, 'transact': transact, 'copy': copy}[run.role]()
run.log('end')
