// SPDX-License-Identifier: Apache-2.0
//! krafka, a client in Rust alone. Words and log as in common.py.
use std::collections::HashMap;
use std::fmt::Display;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use krafka::consumer::{
    AutoOffsetReset, Consumer, ConsumerRebalanceListener, ConsumerRecord, GroupProtocol, IsolationLevel, NoOpRebalanceListener, OffsetAndMetadata, TopicPartition,
};
use krafka::producer::{Acks, TopicPartitionOffset, TransactionalProducer};
use krafka::{Kafka, Record};

const PER_TRANSACTION: u64 = 5;
static STOP: AtomicBool = AtomicBool::new(false);

struct Run {
    words: HashMap<String, String>,
    rate: f64,
    begun: Instant,
    file: Mutex<File>,
}

impl Run {
    fn word(&self, name: &str) -> String {
        self.words.get(name).cloned().unwrap_or_default()
    }

    fn log(&self, line: impl Display) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let text = format!("{} {line}\n", now.as_micros());
        self.file.lock().unwrap().write_all(text.as_bytes()).unwrap();
    }

    fn note(&self, what: &str, error: impl Display) {
        self.log(format!("note {what} {}", joined(error, " ")));
    }

    fn fail(&self, value: u64, error: impl Display) {
        self.log(format!("fail {value} {}", joined(error, "_")));
    }

    async fn until(&self, number: u64) {
        while !stopped() {
            let due = Duration::from_secs_f64(number as f64 / self.rate);
            let wait = due.saturating_sub(self.begun.elapsed());
            if wait.is_zero() {
                return;
            }
            tokio::time::sleep(wait.min(Duration::from_millis(100))).await;
        }
    }
}

fn stopped() -> bool {
    STOP.load(Ordering::Relaxed)
}

fn joined(text: impl Display, with: &str) -> String {
    text.to_string().split_whitespace().collect::<Vec<_>>().join(with)
}

type Done = Result<(), Box<dyn std::error::Error>>;

fn record(topic: &str, n: u64) -> Record {
    Record::new(topic, n.to_string()).key((n % 24).to_string())
}

async fn produce(run: &'static Run, kafka: &Kafka) -> Done {
    let producer = kafka.producer().acks(Acks::All).idempotent(true).linger(Duration::from_millis(5)).build().await?;
    let topic = run.word("topic");
    let mut waiting = tokio::task::JoinSet::new();
    let mut n = 0;
    while !stopped() {
        run.log(format!("send {n}"));
        match producer.enqueue(record(&topic, n)).await {
            Ok(handle) => {
                waiting.spawn(async move {
                    match handle.await {
                        Ok(m) => run.log(format!("ack {} {} {} {n}", m.topic, m.partition, m.offset)),
                        Err(e) => run.fail(n, e),
                    }
                });
            }
            Err(e) => run.fail(n, e),
        }
        n += 1;
        while waiting.try_join_next().is_some() {}
        run.until(n).await;
    }
    producer.close().await?;
    while waiting.join_next().await.is_some() {}
    Ok(())
}

/// What a member has read and not yet committed; what is taken away from it is committed before, or forgotten.
struct Offsets {
    run: &'static Run,
    consumer: OnceLock<Weak<Consumer>>,
    next: Mutex<HashMap<i32, i64>>,
}

impl Offsets {
    async fn commit(&self) {
        let asked = std::mem::take(&mut *self.next.lock().unwrap());
        let Some(consumer) = self.consumer.get().and_then(Weak::upgrade) else { return };
        if asked.is_empty() {
            return;
        }
        let (group, topic) = (self.run.word("group"), self.run.word("topic"));
        match consumer.commit_offsets(asked.iter().map(|(p, o)| (TopicPartition::new(topic.as_str(), *p), OffsetAndMetadata::new(*o)))).await {
            Ok(()) => asked.iter().for_each(|(p, o)| self.run.log(format!("commit {group} {topic} {p} {o}"))),
            Err(e) => self.run.note("commit", e),
        }
    }
}

impl ConsumerRebalanceListener for Offsets {
    async fn on_partitions_assigned(&self, partitions: &[TopicPartition]) {
        self.run.note("assigned", partitions.iter().map(|p| p.partition.to_string()).collect::<Vec<_>>().join(","));
    }

    async fn on_partitions_revoked(&self, _: &[TopicPartition]) {
        self.commit().await;
    }

    async fn on_partitions_lost(&self, partitions: &[TopicPartition]) {
        self.next.lock().unwrap().retain(|p, _| !partitions.iter().any(|lost| lost.partition == *p));
    }
}

async fn consumer(run: &'static Run, kafka: &Kafka, listener: impl ConsumerRebalanceListener + 'static) -> Result<Consumer, Box<dyn std::error::Error>> {
    let mut builder = kafka
        .consumer(run.word("group"))
        .auto_offset_reset(AutoOffsetReset::Earliest)
        .isolation_level(IsolationLevel::ReadCommitted)
        .enable_auto_commit(false)
        .rebalance_listener(listener);
    if run.word("set.group.protocol") == "consumer" {
        builder = builder.group_protocol(GroupProtocol::Consumer);
    } else {
        builder = builder
            .group_protocol(GroupProtocol::Classic)
            .session_timeout(Duration::from_secs(10))
            .heartbeat_interval(Duration::from_secs(1));
    }
    let consumer = builder.build().await?;
    consumer.subscribe([run.word("topic")]).await?;
    Ok(consumer)
}

async fn consume(run: &'static Run, kafka: &Kafka) -> Done {
    let offsets = Arc::new(Offsets { run, consumer: OnceLock::new(), next: Mutex::default() });
    let consumer = Arc::new(consumer(run, kafka, offsets.clone()).await?);
    let _ = offsets.consumer.set(Arc::downgrade(&consumer));
    let mut last = Instant::now();
    while !stopped() {
        match consumer.poll(Duration::from_millis(200)).await {
            Ok(records) => {
                for r in records {
                    let value = r.value.as_ref().map(|v| String::from_utf8_lossy(v).into_owned()).unwrap_or_default();
                    run.log(format!("read {} {} {} {value}", r.topic, r.partition, r.offset));
                    offsets.next.lock().unwrap().insert(r.partition, r.offset + 1);
                }
            }
            Err(e) => {
                run.note("poll", e);
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
        if last.elapsed() > Duration::from_millis(300) {
            offsets.commit().await;
            last = Instant::now();
        }
    }
    offsets.commit().await;
    consumer.close().await?;
    Ok(())
}

/// A producer that has ended what an earlier one with its id left; tries as long as the run lasts.
async fn transactional(run: &'static Run, kafka: &Kafka) -> Result<TransactionalProducer, Box<dyn std::error::Error>> {
    loop {
        let builder = kafka.producer().transaction_timeout(Duration::from_secs(40)).delivery_timeout(Duration::from_secs(35));
        match builder.build_transactional(run.word("id")).await {
            Ok(p) => return Ok(p),
            Err(e) => {
                run.note("init", &e);
                if stopped() {
                    return Err(e.into());
                }
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
        }
    }
}

async fn fill(run: &'static Run, p: &TransactionalProducer, k: u64) -> krafka::Result<()> {
    let topic = run.word("topic");
    let mut handles = Vec::new();
    for n in k * PER_TRANSACTION..(k + 1) * PER_TRANSACTION {
        run.log(format!("send {n}"));
        handles.push((n, p.enqueue(record(&topic, n)).await?));
    }
    for (n, handle) in handles {
        let m = handle.await?;
        run.log(format!("ack {} {} {} {n}", m.topic, m.partition, m.offset));
    }
    Ok(())
}

async fn transact(run: &'static Run, kafka: &Kafka) -> Done {
    let mut p = transactional(run, kafka).await?;
    let mut k = 0;
    while !stopped() {
        run.log(format!("begin {k}"));
        let mut committing = false;
        let mut done = match p.begin() {
            Ok(()) => fill(run, &p, k).await,
            Err(e) => Err(e),
        };
        if done.is_ok() && k % 4 != 3 {
            committing = true;
            done = p.commit().await;
            if done.is_ok() {
                run.log(format!("committed {k}"));
            }
        }
        if let Err(e) = &done {
            run.note("transaction", e);
        }
        if done.is_err() || !committing {
            match p.abort().await {
                Ok(()) => run.log(format!("aborted {k}")),
                Err(e) => {
                    run.note("abort", e);
                    p = transactional(run, kafka).await?;
                    run.log(format!("{} {k}", if committing { "unknown" } else { "aborted" }));
                }
            }
        }
        k += 1;
        run.until(k * PER_TRANSACTION).await;
    }
    p.close().await?;
    Ok(())
}

async fn copy_batch(run: &'static Run, consumer: &Consumer, p: &TransactionalProducer, records: &[ConsumerRecord]) -> krafka::Result<()> {
    let mut handles = Vec::new();
    let mut offsets = HashMap::new();
    for r in records {
        if let Some(value) = &r.value {
            let mut out = Record::new(run.word("to"), value.clone());
            out.key = r.key.clone();
            handles.push(p.enqueue(out).await?);
        }
        offsets.insert(r.partition, r.offset + 1);
    }
    for handle in handles {
        let _ = handle.await?;
    }
    let Some(group) = consumer.group_metadata().await else {
        return Err(krafka::KrafkaError::transaction_abortable("not a member now"));
    };
    let topic = run.word("topic");
    let offsets: Vec<_> = offsets.iter().map(|(p, o)| TopicPartitionOffset::new(topic.as_str(), *p, *o)).collect();
    p.send_offsets(&offsets, &group).await
}

async fn rewind(run: &'static Run, consumer: &Consumer, records: &[ConsumerRecord]) -> Done {
    let mut first = HashMap::new();
    for r in records {
        first.entry(r.partition).or_insert(r.offset);
    }
    for (partition, offset) in first {
        if let Err(e) = consumer.seek(&run.word("topic"), partition, offset).await {
            run.note("seek", e);
        }
    }
    Ok(())
}

async fn copy(run: &'static Run, kafka: &Kafka) -> Done {
    let mut consumer_now = consumer(run, kafka, NoOpRebalanceListener).await?;
    let mut p = transactional(run, kafka).await?;
    let mut k = 0;
    while !stopped() {
        let records = match consumer_now.poll(Duration::from_millis(200)).await {
            Ok(records) if !records.is_empty() => records,
            Ok(_) => continue,
            Err(e) => {
                run.note("poll", e);
                continue;
            }
        };
        k += 1;
        let mut done = match p.begin() {
            Ok(()) => copy_batch(run, &consumer_now, &p, &records).await,
            Err(e) => Err(e),
        };
        if done.is_ok() && k % 7 != 3 {
            done = p.commit().await;
            if done.is_ok() {
                run.log(format!("note copied {}", records.len()));
                continue;
            }
        }
        if let Err(e) = &done {
            run.note("copy", e);
        }
        match p.abort().await {
            Ok(()) => rewind(run, &consumer_now, &records).await?,
            Err(e) => {
                // Nobody knows whether it was committed: a new member begins where the coordinator says.
                run.note("abort", e);
                p = transactional(run, kafka).await?;
                consumer_now.close().await.unwrap_or_else(|e| run.note("close", e));
                consumer_now = consumer(run, kafka, NoOpRebalanceListener).await?;
            }
        }
    }
    consumer_now.close().await?;
    p.close().await?;
    Ok(())
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Done {
    let mut args = std::env::args().skip(1);
    let role = args.next().ok_or("no role")?;
    let words: HashMap<_, _> = args.filter_map(|w| w.split_once('=').map(|(k, v)| (k.to_owned(), v.to_owned()))).collect();
    let file = OpenOptions::new().append(true).create(true).open(words.get("log").ok_or("no log")?)?;
    let rate = words.get("rate").map_or(Ok(200.0), |r| r.parse())?;
    let run: &'static Run = Box::leak(Box::new(Run { words, rate, begun: Instant::now(), file: Mutex::new(file) }));
    std::thread::spawn(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        STOP.store(true, Ordering::Relaxed);
    });
    let kafka = Kafka::builder(run.word("brokers")).connect().await?;
    match role.as_str() {
        "produce" => produce(run, &kafka).await?,
        "consume" => consume(run, &kafka).await?,
        "transact" => transact(run, &kafka).await?,
        "copy" => copy(run, &kafka).await?,
        other => return Err(format!("no role {other}").into()),
    }
    run.log("end");
    Ok(())
}
