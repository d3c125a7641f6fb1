# SPDX-License-Identifier: Apache-2.0
"""aiokafka."""
import asyncio
import logging
import time

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import KafkaError
from common import PER_TRANSACTION, Run

run = Run()


class Notes(logging.Handler):
    def emit(self, record):
        run.note('log', record.getMessage()[:300])


logging.getLogger('aiokafka').addHandler(Notes(logging.WARNING))


async def producer(**more):
    p = AIOKafkaProducer(bootstrap_servers=run.brokers, enable_idempotence=True, acks='all', linger_ms=5, **more)
    await p.start()
    return p


async def send(p, value):
    run.log('send', value)
    future = await p.send(run.topic, key=str(value % 24).encode(), value=str(value).encode())

    def done(f):
        if f.cancelled():
            run.note('cancelled', value)
        elif f.exception():
            run.fail(value, repr(f.exception()))
        else:
            run.log('ack', f.result().topic, f.result().partition, f.result().offset, value)
    future.add_done_callback(done)
    return future


async def until(number):
    """Until the record of that number is due, or the run ends."""
    while not run.stop.is_set():
        wait = run.due(number)
        if wait <= 0:
            return
        await asyncio.sleep(min(wait, 0.1))


async def produce():
    # request_timeout_ms is how long it tries a batch again.
    p, n = await producer(request_timeout_ms=60000), 0
    while not run.stop.is_set():
        await send(p, n)
        n += 1
        await until(n)
    await p.flush()
    await p.stop()


async def commit(c, offsets):
    if not offsets:
        return
    asked = {TopicPartition(run.topic, p): o for p, o in offsets.items()}
    offsets.clear()
    try:
        await c.commit(asked)
        for tp, o in asked.items():
            run.log('commit', run.group, tp.topic, tp.partition, o)
    except KafkaError as e:
        run.note('commit', repr(e))


class CommitFirst(ConsumerRebalanceListener):
    def __init__(self, c, offsets):
        self.consumer, self.offsets = c, offsets

    async def on_partitions_revoked(self, revoked):
        await commit(self.consumer, self.offsets)

    async def on_partitions_assigned(self, assigned):
        run.note('assigned', sorted(tp.partition for tp in assigned))


async def consumer():
    return AIOKafkaConsumer(bootstrap_servers=run.brokers, group_id=run.group, auto_offset_reset='earliest',
                            enable_auto_commit=False, session_timeout_ms=10000, heartbeat_interval_ms=1000,
                            isolation_level='read_committed')


async def consume():
    c, offsets = await consumer(), {}
    c.subscribe([run.topic], listener=CommitFirst(c, offsets))
    await c.start()
    last = time.monotonic()
    while not run.stop.is_set():
        for tp, records in (await c.getmany(timeout_ms=100)).items():
            for m in records:
                run.log('read', m.topic, m.partition, m.offset, m.value.decode())
                offsets[m.partition] = m.offset + 1
        if time.monotonic() - last > 0.3:
            await commit(c, offsets)
            last = time.monotonic()
    await commit(c, offsets)
    await c.stop()


async def transactional():
    while True:
        try:
            return await producer(transactional_id=run.id, transaction_timeout_ms=20000, request_timeout_ms=60000)
        except KafkaError as e:
            run.note('init_transactions', repr(e))
            if run.stop.is_set():
                raise
            await asyncio.sleep(0.5)


async def transact():
    p, k = await transactional(), 0
    while not run.stop.is_set():
        run.log('begin', k)
        committing = False
        try:
            await p.begin_transaction()
            for n in range(k * PER_TRANSACTION, (k + 1) * PER_TRANSACTION):
                await send(p, n)
            if k % 4 == 3:
                await p.abort_transaction()
                run.log('aborted', k)
            else:
                committing = True
                await p.commit_transaction()
                run.log('committed', k)
        except KafkaError as e:
            run.note('transaction', repr(e))
            try:
                await p.abort_transaction()
                run.log('aborted', k)
            except KafkaError as e2:
                run.note('abort', repr(e2))
                await p.stop()
                p = await transactional()
                run.log('unknown' if committing else 'aborted', k)
        k += 1
        await until(k * PER_TRANSACTION)
    await p.stop()


async def rewind(c):
    while not run.stop.is_set():
        try:
            for tp in c.assignment():
                offset = await c.committed(tp)
                run.note('resume', tp.topic, tp.partition, offset)
                c.seek(tp, offset or 0)
            return
        except KafkaError as e:
            run.note('rewind', repr(e))
            await asyncio.sleep(0.2)


async def copy():
    c = await consumer()
    c.subscribe([run.topic])
    await c.start()
    p, k = await transactional(), 0
    while not run.stop.is_set():
        batch = await c.getmany(timeout_ms=200, max_records=50)
        if not batch:
            continue
        k += 1
        try:
            await p.begin_transaction()
            for records in batch.values():
                for m in records:
                    await p.send(run.to, key=m.key, value=m.value)
            if k % 7 == 3:
                await p.abort_transaction()
                await rewind(c)
                continue
            await p.send_offsets_to_transaction({tp: r[-1].offset + 1 for tp, r in batch.items()}, run.group)
            await p.commit_transaction()
            run.note('copied', sum(len(r) for r in batch.values()))
        except KafkaError as e:
            run.note('copy', repr(e))
            try:
                await p.abort_transaction()
            except KafkaError as e2:
                run.note('abort', repr(e2))
                await p.stop()
                p = await transactional()
            await rewind(c)
    await c.stop()
    await p.stop()


asyncio.run({'produce': produce, 'consume': consume, 'transact': transact, 'copy': copy}[run.role]())
run.log('end')
