// SPDX-License-Identifier: Apache-2.0

// segmentio's kafka-go, which has neither idempotence nor transactions in its writer.
package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/segmentio/kafka-go"

	"tern/interop/common"
)

var run = common.Start()

func produce() error {
	w := &kafka.Writer{Addr: kafka.TCP(run.Brokers...), Topic: run.Topic, Balancer: &kafka.Hash{}, RequiredAcks: kafka.RequireAll,
		MaxAttempts: 100, WriteBackoffMin: 100 * time.Millisecond, WriteBackoffMax: time.Second, BatchTimeout: 5 * time.Millisecond, Async: true,
		Completion: func(messages []kafka.Message, err error) {
			for _, m := range messages {
				if err != nil {
					run.Fail(string(m.Value), err)
				} else {
					run.Log("ack", run.Topic, m.Partition, m.Offset, string(m.Value))
				}
			}
		}}
	for n := 0; !run.Stopped(); n++ {
		run.Log("send", n)
		m := kafka.Message{Key: []byte(strconv.Itoa(n % 24)), Value: []byte(strconv.Itoa(n))}
		if err := w.WriteMessages(context.Background(), m); err != nil {
			run.Fail(n, err)
		}
		run.Until(n + 1)
	}
	return w.Close()
}

func consume() error {
	ctx, cancel := context.WithCancel(context.Background())
	go func() { <-run.Stop; cancel() }()
	r := kafka.NewReader(kafka.ReaderConfig{Brokers: run.Brokers, GroupID: run.Group, Topic: run.Topic, StartOffset: kafka.FirstOffset,
		MaxWait: 200 * time.Millisecond, SessionTimeout: 10 * time.Second, HeartbeatInterval: time.Second, RebalanceTimeout: 10 * time.Second,
		IsolationLevel: kafka.ReadCommitted,
		ErrorLogger: kafka.LoggerFunc(func(form string, args ...any) {
			run.Log("note", "log", strings.Join(strings.Fields(fmt.Sprintf(form, args...)), " "))
		})})
	pending := map[int]kafka.Message{}
	commit := func(ctx context.Context) {
		var messages []kafka.Message
		for _, m := range pending {
			messages = append(messages, m)
		}
		clear(pending)
		if len(messages) == 0 {
			return
		}
		if err := r.CommitMessages(ctx, messages...); err != nil {
			run.Note("commit", err)
			return
		}
		for _, m := range messages {
			run.Log("commit", run.Group, m.Topic, m.Partition, m.Offset+1)
		}
	}
	last := time.Now()
	for !run.Stopped() {
		short, done := context.WithTimeout(ctx, 200*time.Millisecond)
		m, err := r.FetchMessage(short)
		done()
		switch {
		case err == nil:
			run.Log("read", m.Topic, m.Partition, m.Offset, string(m.Value))
			pending[m.Partition] = m
		case !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, context.Canceled):
			run.Note("fetch", err)
		}
		if time.Since(last) > 300*time.Millisecond {
			commit(ctx)
			last = time.Now()
		}
	}
	final, done := context.WithTimeout(context.Background(), 10*time.Second)
	defer done()
	commit(final)
	return r.Close()
}

func main() {
	run.Play(map[string]func() error{"produce": produce, "consume": consume})
}
