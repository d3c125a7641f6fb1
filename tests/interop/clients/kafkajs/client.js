// SPDX-License-Identifier: Apache-2.0
// KafkaJS. Words and log as in common.py.
'use strict'
const fs = require('fs')
const { Kafka, Partitioners, logLevel } = require('kafkajs')

const PER_TRANSACTION = 5
const role = process.argv[2]
const words = Object.fromEntries(process.argv.slice(3).map(w => [w.slice(0, w.indexOf('=')), w.slice(w.indexOf('=') + 1)]))
const rate = Number(words.rate || 200)
const file = fs.openSync(words.log, 'a')
const begun = Date.now()
let stop = false
const stopped = new Promise(resolve => {
  process.stdin.resume()
  process.stdin.on('end', () => { stop = true; resolve() })
})

const log = (...fields) => fs.writeSync(file, `${Math.round((performance.timeOrigin + performance.now()) * 1000)} ${fields.join(' ')}\n`)
const note = (what, e) => log('note', what, String(e && e.stack ? e.message : e).replace(/\s+/g, ' ').slice(0, 300))
const sleep = ms => new Promise(resolve => setTimeout(resolve, ms))
const until = async number => {
  while (!stop) {
    const wait = begun + number / rate * 1000 - Date.now()
    if (wait <= 0) return
    await sleep(Math.min(wait, 100))
  }
}

const kafka = new Kafka({
  brokers: words.brokers.split(','),
  retry: { retries: 60, initialRetryTime: 100, maxRetryTime: 1000 },
  logLevel: logLevel.ERROR,
  logCreator: () => entry => note('log', `${entry.namespace} ${entry.log.message} ${entry.log.error || ''}`)
})

// One partition at a time: when one of several brokers fails, it sends again, under new sequence numbers, what is
// still under way at the others (sendMessages.js), and that is there twice.
const send = async (p, numbers) => {
  numbers.forEach(n => log('send', n))
  for (let partition = 0; partition < 6; partition++) {
    const mine = numbers.filter(n => n % 6 === partition)
    if (mine.length === 0) continue
    const messages = mine.map(n => ({ key: String(n % 24), value: String(n), partition }))
    // It tells the offset of the first.
    const [answer] = await p.send({ topic: words.topic, acks: -1, messages })
    let offset = BigInt(answer.baseOffset)
    for (const n of mine) log('ack', answer.topicName, answer.partition, offset++, n)
  }
}

const producer = more => kafka.producer({ idempotent: true, maxInFlightRequests: 1, createPartitioner: Partitioners.DefaultPartitioner, ...more })

async function produce () {
  const p = producer()
  await p.connect()
  let n = 0
  while (!stop) {
    const numbers = []
    do numbers.push(n++); while (begun + n / rate * 1000 <= Date.now() && numbers.length < 100)
    try {
      await send(p, numbers)
    } catch (e) {
      numbers.forEach(n => log('fail', n, String(e.message).replace(/\s+/g, '_')))
    }
    await until(n)
  }
  await p.disconnect()
}

const consumer = () => kafka.consumer({
  groupId: words.group, sessionTimeout: 10000, heartbeatInterval: 1000, maxWaitTimeInMs: 200, readUncommitted: false,
  // Few: it asks for the coordinator anew only when it starts anew.
  retry: { retries: 4, initialRetryTime: 100, maxRetryTime: 500, restartOnFailure: async e => { note('restart', e); return true } }
})

async function consume () {
  const c = consumer()
  await c.connect()
  await c.subscribe({ topics: [words.topic], fromBeginning: true })
  await c.run({
    autoCommit: false,
    eachBatchAutoResolve: false,
    eachBatch: async ({ batch, resolveOffset, heartbeat, isStale, isRunning }) => {
      let next = null
      for (const m of batch.messages) {
        if (isStale() || !isRunning()) break
        log('read', batch.topic, batch.partition, m.offset, m.value.toString())
        resolveOffset(m.offset)
        next = String(BigInt(m.offset) + 1n)
      }
      if (next !== null) {
        try {
          await c.commitOffsets([{ topic: batch.topic, partition: batch.partition, offset: next }])
          // Once it is to stop, it keeps errors to itself and says that all went well.
          if (isRunning()) log('commit', words.group, batch.topic, batch.partition, next)
          else note('commit', 'it was stopped meanwhile')
        } catch (e) {
          note('commit', e)
          throw e
        }
      }
      await heartbeat()
    }
  })
  await stopped
  await c.disconnect()
}

async function transactional () {
  for (;;) {
    const p = producer({ transactionalId: words.id, transactionTimeout: 20000 })
    try {
      await p.connect()
      return p
    } catch (e) {
      note('connect', e)
      if (stop) throw e
      await sleep(500)
    }
  }
}

async function transact () {
  let p = await transactional()
  for (let k = 0; !stop; k++) {
    let t = null
    let committing = false
    log('begin', k)
    try {
      t = await p.transaction()
      await send(t, Array.from({ length: PER_TRANSACTION }, (_, i) => k * PER_TRANSACTION + i))
      if (k % 4 === 3) {
        await t.abort()
        log('aborted', k)
      } else {
        committing = true
        await t.commit()
        log('committed', k)
      }
    } catch (e) {
      note('transaction', e)
      try {
        await t.abort()
        log('aborted', k)
      } catch (e2) {
        note('abort', e2)
        await p.disconnect().catch(e => note('disconnect', e))
        p = await transactional()
        log(committing ? 'unknown' : 'aborted', k)
      }
    }
    await until((k + 1) * PER_TRANSACTION)
  }
  await p.disconnect()
}

async function copy () {
  const c = consumer()
  let p = await transactional()
  let k = 0
  await c.connect()
  await c.subscribe({ topics: [words.topic], fromBeginning: true })
  await c.run({
    autoCommit: false,
    eachBatchAutoResolve: false,
    eachBatch: async ({ batch, resolveOffset, heartbeat, isStale, isRunning }) => {
      if (isStale() || !isRunning() || batch.messages.length === 0) return
      let t = null
      const first = batch.messages[0].offset
      const last = batch.messages[batch.messages.length - 1].offset
      try {
        t = await p.transaction()
        await t.send({ topic: words.to, acks: -1, messages: batch.messages.map(m => ({ key: m.key, value: m.value, partition: batch.partition })) })
        if (++k % 7 === 3) throw new Error('every seventh is aborted')
        await t.sendOffsets({ consumerGroupId: words.group, topics: [{ topic: batch.topic, partitions: [{ partition: batch.partition, offset: String(BigInt(last) + 1n) }] }] })
        await t.commit()
        resolveOffset(last)
        log('note', 'copied', batch.messages.length)
      } catch (e) {
        note('copy', e)
        try {
          await t.abort()
        } catch (e2) {
          note('abort', e2)
          await p.disconnect().catch(e => note('disconnect', e))
          p = await transactional()
          // Was it committed? The coordinator knows.
          const admin = kafka.admin()
          await admin.connect()
          const [known] = await admin.fetchOffsets({ groupId: words.group, topics: [words.topic] })
          await admin.disconnect()
          const at = known.partitions.find(x => x.partition === batch.partition)
          if (at && BigInt(at.offset) > BigInt(last)) { resolveOffset(last); return }
        }
        c.seek({ topic: batch.topic, partition: batch.partition, offset: first })
      }
      await heartbeat()
    }
  })
  await stopped
  await c.disconnect()
  await p.disconnect()
}

({ produce, consume, transact, copy })[role]().then(() => { log('end'); process.exit(0) }, e => { console.error(e); process.exit(1) })
