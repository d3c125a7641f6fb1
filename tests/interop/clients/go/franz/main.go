// SPDX-License-Identifier: Apache-2.0

// franz-go.
package main

import (
	"context"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"tern/interop/common"
)

var run = common.Start()

func record(n int) *kgo.Record {
	return &kgo.Record{Topic: run.Topic, Key: []byte(strconv.Itoa(n % 24)), Value: []byte(strconv.Itoa(n))}
}

func onDelivery(r *kgo.Record, err error) {
	if err != nil {
		run.Fail(string(r.Value), err)
		return
	}
	run.Log("ack", r.Topic, r.Partition, r.Offset, string(r.Value))
}

// Idempotence and acks=all are its defaults.
func client(options ...kgo.Opt) *kgo.Client {
	c, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(run.Brokers...)}, options...)...)
	common.Must(err)
	return c
}

func produce() error {
	ctx := context.Background()
	c := client(kgo.RequiredAcks(kgo.AllISRAcks()), kgo.ProducerLinger(5*time.Millisecond))
	for n := 0; !run.Stopped(); n++ {
		run.Log("send", n)
		c.Produce(ctx, record(n), onDelivery)
		run.Until(n + 1)
	}
	err := c.Flush(ctx)
	c.Close()
	return err
}

func consuming() []kgo.Opt {
	options := []kgo.Opt{kgo.ConsumerGroup(run.Group), kgo.ConsumeTopics(run.Topic), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxWait(500 * time.Millisecond)}
	return append(options, kgo.SessionTimeout(10*time.Second), kgo.HeartbeatInterval(time.Second))
}

func consume() error {
	ctx, cancel := context.WithCancel(context.Background())
	if run.Settings["group.protocol"] == "consumer" {
		ctx = context.WithValue(ctx, "opt_in_kafka_next_gen_balancer_beta", true) //nolint:staticcheck // its own word
	}
	revoked := func(_ context.Context, c *kgo.Client, _ map[string][]int32) { commit(c) }
	c := client(append(consuming(), kgo.WithContext(ctx), kgo.DisableAutoCommit(), kgo.BlockRebalanceOnPoll(), kgo.OnPartitionsRevoked(revoked))...)
	poll, stop := context.WithCancel(ctx)
	go func() { <-run.Stop; stop() }()
	last := time.Now()
	for !run.Stopped() {
		short, done := context.WithTimeout(poll, 200*time.Millisecond)
		fetches := c.PollFetches(short)
		done()
		fetches.EachError(func(t string, p int32, err error) {
			if short.Err() == nil {
				run.Note("fetch", err)
			}
		})
		fetches.EachRecord(func(r *kgo.Record) { run.Log("read", r.Topic, r.Partition, r.Offset, string(r.Value)) })
		if time.Since(last) > 300*time.Millisecond {
			commit(c)
			last = time.Now()
		}
		c.AllowRebalance()
	}
	commit(c)
	c.CloseAllowingRebalance()
	cancel()
	return nil
}

// commit writes down what the client says is committed.
func commit(c *kgo.Client) {
	offsets := c.UncommittedOffsets()
	if len(offsets) == 0 {
		return
	}
	ctx, done := context.WithTimeout(context.Background(), 20*time.Second)
	defer done()
	if err := c.CommitUncommittedOffsets(ctx); err != nil {
		run.Note("commit", err)
		return
	}
	for topic, partitions := range offsets {
		for p, o := range partitions {
			if now, ok := c.CommittedOffsets()[topic][p]; ok && now.Offset >= o.Offset {
				run.Log("commit", run.Group, topic, p, o.Offset)
			}
		}
	}
}

func transact() error {
	ctx := context.Background()
	c := client(kgo.TransactionalID(run.ID), kgo.TransactionTimeout(20*time.Second))
	for k := 0; !run.Stopped(); k++ {
		run.Log("begin", k)
		if err := c.BeginTransaction(); err != nil {
			run.Note("begin", err)
			run.Log("aborted", k)
			c.Close()
			c = client(kgo.TransactionalID(run.ID), kgo.TransactionTimeout(20*time.Second))
			continue
		}
		failed := false
		for n := k * common.PerTransaction; n < (k+1)*common.PerTransaction; n++ {
			run.Log("send", n)
			c.Produce(ctx, record(n), onDelivery)
		}
		if err := c.Flush(ctx); err != nil {
			run.Note("flush", err)
			failed = true
		}
		committing := kgo.TransactionEndTry(!failed && k%4 != 3)
		err := c.EndTransaction(ctx, committing)
		switch {
		case err != nil:
			run.Note("end", err)
			run.Log("unknown", k)
			c.Close()
			c = client(kgo.TransactionalID(run.ID), kgo.TransactionTimeout(20*time.Second))
		case bool(committing):
			run.Log("committed", k)
		default:
			run.Log("aborted", k)
		}
		run.Until((k + 1) * common.PerTransaction)
	}
	c.Close()
	return nil
}

func copyAll() error {
	ctx := context.Background()
	options := append(consuming(), kgo.SeedBrokers(run.Brokers...), kgo.TransactionalID(run.ID), kgo.TransactionTimeout(20*time.Second),
		kgo.RequireStableFetchOffsets())
	s, err := kgo.NewGroupTransactSession(options...)
	common.Must(err)
	for k := 0; !run.Stopped(); {
		short, done := context.WithTimeout(ctx, 200*time.Millisecond)
		fetches := s.PollRecords(short, 50)
		done()
		if fetches.NumRecords() == 0 {
			continue
		}
		k++
		if err := s.Begin(); err != nil {
			run.Note("begin", err)
			s.Close()
			s, err = kgo.NewGroupTransactSession(options...)
			common.Must(err)
			continue
		}
		fetches.EachRecord(func(r *kgo.Record) {
			s.Produce(ctx, &kgo.Record{Topic: run.To, Key: r.Key, Value: r.Value}, func(_ *kgo.Record, err error) {
				if err != nil {
					run.Note("produce", err)
				}
			})
		})
		committed, err := s.End(ctx, kgo.TransactionEndTry(k%7 != 3))
		if err != nil {
			run.Note("end", err)
			s.Close()
			s, err = kgo.NewGroupTransactSession(options...)
			common.Must(err)
			continue
		}
		if committed {
			run.Log("note", "copied", fetches.NumRecords())
		}
	}
	s.Close()
	return nil
}

func main() {
	run.Play(map[string]func() error{"produce": produce, "consume": consume, "transact": transact, "copy": copyAll})
}
