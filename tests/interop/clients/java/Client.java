// SPDX-License-Identifier: Apache-2.0
// Java's kafka-clients, from 2.8 on. Words and log as in common.py.
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Paths;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

public final class Client {
    private static final int PER_TRANSACTION = 5;
    private static final Map<String, String> words = new HashMap<>();
    private static final Properties settings = new Properties();
    private static PrintWriter file;
    private static volatile boolean stop;
    private static final long begun = System.nanoTime();
    private static double rate;

    public static void main(String[] argv) throws Exception {
        for (int i = 1; i < argv.length; i++) {
            String[] pair = argv[i].split("=", 2);
            words.put(pair[0], pair[1]);
            if (pair[0].startsWith("set.")) {
                settings.put(pair[0].substring(4), pair[1]);
            }
        }
        rate = Double.parseDouble(words.getOrDefault("rate", "200"));
        file = new PrintWriter(Files.newBufferedWriter(Paths.get(words.get("log")), StandardOpenOption.APPEND), true);
        Thread watch = new Thread(() -> {
            try {
                while (System.in.read() >= 0) {
                }
            } catch (java.io.IOException e) {
                // The same as its end.
            }
            stop = true;
        });
        watch.setDaemon(true);
        watch.start();
        switch (argv[0]) {
        case "produce": produce(); break;
        case "consume": consume(); break;
        case "transact": transact(); break;
        case "copy": copy(); break;
        default: throw new IllegalArgumentException(argv[0]);
        }
        log("end");
        System.exit(0);
    }

    private static synchronized void log(Object... fields) {
        java.time.Instant now = java.time.Instant.now();
        StringBuilder line = new StringBuilder().append(now.getEpochSecond() * 1000000 + now.getNano() / 1000);
        for (Object field : fields) {
            line.append(' ').append(field);
        }
        file.println(line);
    }

    private static void note(String what, Throwable e) {
        log("note", what, String.valueOf(e).replaceAll("\\s+", " "));
    }

    private static void until(long number) throws InterruptedException {
        while (!stop) {
            long wait = begun + (long) (number / rate * 1e9) - System.nanoTime();
            if (wait <= 0) {
                return;
            }
            Thread.sleep(Math.min(100, wait / 1000000 + 1));
        }
    }

    private static KafkaProducer<String, String> producer(String id) {
        Properties p = new Properties();
        p.put("bootstrap.servers", words.get("brokers"));
        p.put("key.serializer", StringSerializer.class.getName());
        p.put("value.serializer", StringSerializer.class.getName());
        p.put("enable.idempotence", "true");
        p.put("acks", "all");
        p.put("linger.ms", "5");
        if (id != null) {
            p.put("transactional.id", id);
            p.put("transaction.timeout.ms", "20000");
        }
        return new KafkaProducer<>(p);
    }

    private static void send(KafkaProducer<String, String> p, long n) {
        log("send", n);
        p.send(new ProducerRecord<>(words.get("topic"), String.valueOf(n % 24), String.valueOf(n)), (meta, e) -> {
            if (e == null) {
                log("ack", meta.topic(), meta.partition(), meta.offset(), n);
            } else {
                log("fail", n, String.valueOf(e).replaceAll("\\s+", "_"));
            }
        });
    }

    private static void produce() throws InterruptedException {
        KafkaProducer<String, String> p = producer(null);
        for (long n = 0; !stop; n++) {
            send(p, n);
            until(n + 1);
        }
        p.flush();
        p.close(Duration.ofSeconds(60));
    }

    private static KafkaConsumer<String, String> consumer(int most) {
        Properties p = new Properties();
        p.put("bootstrap.servers", words.get("brokers"));
        p.put("key.deserializer", StringDeserializer.class.getName());
        p.put("value.deserializer", StringDeserializer.class.getName());
        p.put("group.id", words.get("group"));
        p.put("auto.offset.reset", "earliest");
        p.put("enable.auto.commit", "false");
        p.put("isolation.level", "read_committed");
        p.put("max.poll.records", String.valueOf(most));
        if (!settings.containsKey("group.protocol")) {
            p.put("session.timeout.ms", "10000");
            p.put("heartbeat.interval.ms", "1000");
        }
        p.putAll(settings);
        return new KafkaConsumer<>(p);
    }

    private static void commit(KafkaConsumer<String, String> c, Map<TopicPartition, OffsetAndMetadata> offsets) {
        if (offsets.isEmpty()) {
            return;
        }
        Map<TopicPartition, OffsetAndMetadata> asked = new HashMap<>(offsets);
        offsets.clear();
        try {
            c.commitSync(asked, Duration.ofSeconds(20));
            asked.forEach((tp, o) -> log("commit", words.get("group"), tp.topic(), tp.partition(), o.offset()));
        } catch (KafkaException e) {
            note("commit", e);
        }
    }

    private static void consume() {
        KafkaConsumer<String, String> c = consumer(500);
        Map<TopicPartition, OffsetAndMetadata> offsets = new HashMap<>();
        c.subscribe(Collections.singletonList(words.get("topic")), new ConsumerRebalanceListener() {
            public void onPartitionsRevoked(Collection<TopicPartition> gone) {
                commit(c, offsets);
            }
            public void onPartitionsLost(Collection<TopicPartition> gone) {
                offsets.clear();
            }
            public void onPartitionsAssigned(Collection<TopicPartition> mine) {
                log("note", "assigned", mine.toString().replace(" ", ""));
            }
        });
        long last = System.nanoTime();
        while (!stop) {
            for (ConsumerRecord<String, String> m : c.poll(Duration.ofMillis(100))) {
                log("read", m.topic(), m.partition(), m.offset(), m.value());
                offsets.put(new TopicPartition(m.topic(), m.partition()), new OffsetAndMetadata(m.offset() + 1));
            }
            if (System.nanoTime() - last > 300000000L) {
                commit(c, offsets);
                last = System.nanoTime();
            }
        }
        commit(c, offsets);
        c.close();
    }

    /** A producer that has ended what an earlier one with its id left; tries as long as the run lasts. */
    private static KafkaProducer<String, String> transactional() throws InterruptedException {
        while (true) {
            KafkaProducer<String, String> p = producer(words.get("id"));
            try {
                p.initTransactions();
                return p;
            } catch (KafkaException e) {
                note("initTransactions", e);
                p.close(Duration.ZERO);
                if (stop) {
                    throw e;
                }
                Thread.sleep(500);
            }
        }
    }

    private static void transact() throws InterruptedException {
        KafkaProducer<String, String> p = transactional();
        for (long k = 0; !stop; k++) {
            boolean committing = false;
            log("begin", k);
            try {
                p.beginTransaction();
                for (long n = k * PER_TRANSACTION; n < (k + 1) * PER_TRANSACTION; n++) {
                    send(p, n);
                }
                if (k % 4 == 3) {
                    p.abortTransaction();
                    log("aborted", k);
                } else {
                    committing = true;
                    p.commitTransaction();
                    log("committed", k);
                }
            } catch (KafkaException e) {
                note("transaction", e);
                try {
                    p.abortTransaction();
                    log("aborted", k);
                } catch (KafkaException | IllegalStateException e2) {
                    note("abort", e2);
                    p.close(Duration.ZERO);
                    p = transactional();
                    log(committing ? "unknown" : "aborted", k);
                }
            }
            until((k + 1) * PER_TRANSACTION);
        }
        p.close(Duration.ofSeconds(20));
    }

    private static void rewind(KafkaConsumer<String, String> c) throws InterruptedException {
        while (!stop) {
            try {
                Map<TopicPartition, OffsetAndMetadata> committed = c.committed(c.assignment());
                for (TopicPartition tp : c.assignment()) {
                    OffsetAndMetadata o = committed.get(tp);
                    c.seek(tp, o == null ? 0 : o.offset());
                }
                return;
            } catch (KafkaException e) {
                note("rewind", e);
                Thread.sleep(200);
            }
        }
    }

    private static void copy() throws InterruptedException {
        KafkaConsumer<String, String> c = consumer(50);
        c.subscribe(Collections.singletonList(words.get("topic")));
        KafkaProducer<String, String> p = transactional();
        long k = 0;
        while (!stop) {
            ConsumerRecords<String, String> batch = c.poll(Duration.ofMillis(200));
            if (batch.isEmpty()) {
                continue;
            }
            k++;
            try {
                p.beginTransaction();
                Map<TopicPartition, OffsetAndMetadata> offsets = new HashMap<>();
                for (TopicPartition tp : batch.partitions()) {
                    List<ConsumerRecord<String, String>> records = new ArrayList<>(batch.records(tp));
                    for (ConsumerRecord<String, String> m : records) {
                        p.send(new ProducerRecord<>(words.get("to"), m.key(), m.value()));
                    }
                    offsets.put(tp, new OffsetAndMetadata(records.get(records.size() - 1).offset() + 1));
                }
                if (k % 7 == 3) {
                    p.abortTransaction();
                    rewind(c);
                    continue;
                }
                p.sendOffsetsToTransaction(offsets, c.groupMetadata());
                p.commitTransaction();
                log("note", "copied", batch.count());
            } catch (KafkaException e) {
                note("copy", e);
                try {
                    p.abortTransaction();
                } catch (KafkaException | IllegalStateException e2) {
                    note("abort", e2);
                    p.close(Duration.ZERO);
                    p = transactional();
                }
                rewind(c);
            }
        }
        c.close();
        p.close(Duration.ofSeconds(20));
    }
}
