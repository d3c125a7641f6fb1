// SPDX-License-Identifier: Apache-2.0

// IBM's sarama.
package main

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/IBM/sarama"

	"tern/interop/common"
)

var run = common.Start()

func config() *sarama.Config {
	c := sarama.NewConfig()
	c.Version = sarama.V3_6_0_0
	c.Net.MaxOpenRequests = 1
	c.Metadata.Retry.Max = 60
	c.Metadata.Retry.Backoff = 250 * time.Millisecond
	c.Metadata.RefreshFrequency = 5 * time.Second
	c.Producer.Idempotent = true
	c.Producer.RequiredAcks = sarama.WaitForAll
	c.Producer.Return.Successes = true
	c.Producer.Retry.Max = 200
	c.Producer.Retry.Backoff = 100 * time.Millisecond
	c.Producer.Transaction.Timeout = 20 * time.Second
	c.Producer.Transaction.Retry.Max = 200
	c.Producer.Transaction.Retry.Backoff = 100 * time.Millisecond
	c.Consumer.IsolationLevel = sarama.ReadCommitted
	c.Consumer.Offsets.Initial = sarama.OffsetOldest
	c.Consumer.Offsets.AutoCommit.Enable = false
	c.Consumer.Group.Session.Timeout = 10 * time.Second
	c.Consumer.Group.Heartbeat.Interval = time.Second
	c.Consumer.Return.Errors = true
	return c
}

func message(topic string, n int) *sarama.ProducerMessage {
	return &sarama.ProducerMessage{Topic: topic, Key: sarama.StringEncoder(strconv.Itoa(n % 24)), Value: sarama.StringEncoder(strconv.Itoa(n)),
		Metadata: n}
}

// report writes down each answer until the producer is closed.
func report(p sarama.AsyncProducer, tell bool) *sync.WaitGroup {
	var w sync.WaitGroup
	w.Add(2)
	go func() {
		defer w.Done()
		for m := range p.Successes() {
			if tell {
				run.Log("ack", m.Topic, m.Partition, m.Offset, m.Metadata)
			}
		}
	}()
	go func() {
		defer w.Done()
		for e := range p.Errors() {
			if tell {
				run.Fail(e.Msg.Metadata, e.Err)
			} else {
				run.Note("produce", e.Err)
			}
		}
	}()
	return &w
}

func produce() error {
	c := config()
	c.Producer.Flush.Frequency = 5 * time.Millisecond
	p, err := sarama.NewAsyncProducer(run.Brokers, c)
	if err != nil {
		return err
	}
	w := report(p, true)
	for n := 0; !run.Stopped(); n++ {
		run.Log("send", n)
		p.Input() <- message(run.Topic, n)
		run.Until(n + 1)
	}
	p.AsyncClose()
	w.Wait()
	return nil
}

type member struct {
	commits sync.Mutex
	admin   sarama.ClusterAdmin
}

func (m *member) Setup(s sarama.ConsumerGroupSession) error {
	run.Log("note", "assigned", fmt.Sprint(s.Claims()[run.Topic]))
	return nil
}
func (m *member) Cleanup(sarama.ConsumerGroupSession) error { return nil }

// commit: Commit() says nothing, so what the coordinator knows is asked for and written down.
func (m *member) commit(s sarama.ConsumerGroupSession, partition int32) {
	m.commits.Lock()
	defer m.commits.Unlock()
	s.Commit()
	known, err := m.admin.ListConsumerGroupOffsets(run.Group, map[string][]int32{run.Topic: {partition}})
	if err != nil {
		run.Note("offsets", err)
		return
	}
	if b := known.GetBlock(run.Topic, partition); b != nil && b.Offset >= 0 {
		run.Log("commit", run.Group, run.Topic, partition, b.Offset)
	}
}

func (m *member) ConsumeClaim(s sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	last, marked := time.Now(), false
	tick := time.NewTicker(300 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case r, ok := <-claim.Messages():
			if !ok {
				if marked {
					m.commit(s, claim.Partition())
				}
				return nil
			}
			run.Log("read", r.Topic, r.Partition, r.Offset, string(r.Value))
			s.MarkMessage(r, "")
			marked = true
		case <-tick.C:
		case <-s.Context().Done():
			if marked {
				m.commit(s, claim.Partition())
			}
			return nil
		}
		if marked && time.Since(last) > 500*time.Millisecond {
			m.commit(s, claim.Partition())
			last, marked = time.Now(), false
		}
	}
}

func consume() error {
	ctx, cancel := context.WithCancel(context.Background())
	go func() { <-run.Stop; cancel() }()
	g, err := sarama.NewConsumerGroup(run.Brokers, run.Group, config())
	if err != nil {
		return err
	}
	go func() {
		for err := range g.Errors() {
			run.Note("group", err)
		}
	}()
	admin, err := sarama.NewClusterAdmin(run.Brokers, config())
	if err != nil {
		return err
	}
	for !run.Stopped() {
		if err := g.Consume(ctx, []string{run.Topic}, &member{admin: admin}); err != nil {
			run.Note("consume", err)
			run.Sleep(200 * time.Millisecond)
		}
	}
	return g.Close()
}

// transactional: a producer that has ended what an earlier one with its id left.
func transactional(tell bool) (sarama.AsyncProducer, *sync.WaitGroup) {
	c := config()
	c.Producer.Transaction.ID = run.ID
	for {
		p, err := sarama.NewAsyncProducer(run.Brokers, c)
		if err == nil {
			return p, report(p, tell)
		}
		run.Note("init", err)
		if run.Stopped() {
			common.Must(err)
		}
		run.Sleep(500 * time.Millisecond)
	}
}

// end commits or aborts; false: the producer is of no more use.
func end(p sarama.AsyncProducer, commit bool) (done, committed bool) {
	for attempt := 0; attempt < 100; attempt++ {
		var err error
		if commit {
			err = p.CommitTxn()
		} else {
			err = p.AbortTxn()
		}
		if err == nil {
			return true, commit
		}
		run.Note("end", err)
		switch s := p.TxnStatus(); {
		case s&sarama.ProducerTxnFlagFatalError != 0:
			return false, false
		case s&sarama.ProducerTxnFlagAbortableError != 0:
			commit = false
		}
		time.Sleep(100 * time.Millisecond)
	}
	return false, false
}

func transact() error {
	p, w := transactional(true)
	for k := 0; !run.Stopped(); k++ {
		run.Log("begin", k)
		err := p.BeginTxn()
		if err == nil {
			for n := k * common.PerTransaction; n < (k+1)*common.PerTransaction; n++ {
				run.Log("send", n)
				p.Input() <- message(run.Topic, n)
			}
		} else {
			run.Note("begin", err)
		}
		done, committed := false, false
		if err == nil {
			done, committed = end(p, k%4 != 3)
		}
		switch {
		case !done:
			_ = p.Close()
			p, w = transactional(true)
			if err != nil || k%4 == 3 {
				run.Log("aborted", k)
			} else {
				run.Log("unknown", k)
			}
		case committed:
			run.Log("committed", k)
		default:
			run.Log("aborted", k)
		}
		run.Until((k + 1) * common.PerTransaction)
	}
	p.AsyncClose()
	w.Wait()
	return nil
}

type copier struct {
	p sarama.AsyncProducer
	k int
	l sync.Mutex
}

func (c *copier) Setup(sarama.ConsumerGroupSession) error   { return nil }
func (c *copier) Cleanup(sarama.ConsumerGroupSession) error { return nil }

// ConsumeClaim copies one record in one transaction, or a few that wait; what failed ends the session, and the next one begins at what
// is committed.
func (c *copier) ConsumeClaim(s sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for {
		var batch []*sarama.ConsumerMessage
		select {
		case <-s.Context().Done():
			return nil
		case r, ok := <-claim.Messages():
			if !ok {
				return nil
			}
			batch = append(batch, r)
		}
		for len(batch) < 50 {
			select {
			case r, ok := <-claim.Messages():
				if ok {
					batch = append(batch, r)
					continue
				}
			case <-time.After(20 * time.Millisecond):
			}
			break
		}
		if err := c.transaction(batch); err != nil {
			return err
		}
	}
}

func (c *copier) transaction(batch []*sarama.ConsumerMessage) error {
	c.l.Lock()
	defer c.l.Unlock()
	if c.p == nil {
		c.p, _ = transactional(false)
	}
	c.k++
	err := c.p.BeginTxn()
	if err == nil {
		for _, r := range batch {
			c.p.Input() <- &sarama.ProducerMessage{Topic: run.To, Key: sarama.ByteEncoder(r.Key), Value: sarama.ByteEncoder(r.Value)}
		}
		last := batch[len(batch)-1]
		offset := &sarama.PartitionOffsetMetadata{Partition: last.Partition, Offset: last.Offset + 1}
		err = c.p.AddOffsetsToTxn(map[string][]*sarama.PartitionOffsetMetadata{last.Topic: {offset}}, run.Group)
	}
	if err != nil {
		run.Note("copy", err)
	}
	done, committed := end(c.p, err == nil && c.k%7 != 3)
	if !done {
		_ = c.p.Close()
		c.p = nil
	}
	if !committed {
		return fmt.Errorf("transaction %d is aborted", c.k)
	}
	run.Log("note", "copied", len(batch))
	return nil
}

func copyAll() error {
	ctx, cancel := context.WithCancel(context.Background())
	go func() { <-run.Stop; cancel() }()
	c := &copier{}
	g, err := sarama.NewConsumerGroup(run.Brokers, run.Group, config())
	if err != nil {
		return err
	}
	go func() {
		for err := range g.Errors() {
			run.Note("group", err)
		}
	}()
	for !run.Stopped() {
		c.l.Lock()
		if c.p == nil {
			c.p, _ = transactional(false)
		}
		c.l.Unlock()
		if err := g.Consume(ctx, []string{run.Topic}, c); err != nil {
			run.Note("consume", err)
			run.Sleep(200 * time.Millisecond)
		}
	}
	return g.Close()
}

func main() {
	run.Play(map[string]func() error{"produce": produce, "consume": consume, "transact": transact, "copy": copyAll})
}
