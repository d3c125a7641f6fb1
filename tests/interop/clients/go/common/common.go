// SPDX-License-Identifier: Apache-2.0

// Package common has what the Go clients share: words and log as in common.py.
package common

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// PerTransaction is how many records a transaction has.
const PerTransaction = 5

// Run is one role of one client.
type Run struct {
	Role, Topic, Group, ID, To string
	Brokers                    []string
	Settings                   map[string]string
	Rate                       float64
	Stop                       chan struct{} // closed when stdin ends
	stopped                    atomic.Bool
	begun                      time.Time
	lock                       sync.Mutex
	file                       *os.File
}

// Start reads the arguments, opens the log and watches stdin.
func Start() *Run {
	r := &Run{Role: os.Args[1], Rate: 200, Stop: make(chan struct{}), begun: time.Now(), Settings: map[string]string{}}
	words := map[string]string{}
	for _, w := range os.Args[2:] {
		k, v, _ := strings.Cut(w, "=")
		words[k] = v
		if name, ok := strings.CutPrefix(k, "set."); ok {
			r.Settings[name] = v
		}
	}
	r.Topic, r.Group, r.ID, r.To = words["topic"], words["group"], words["id"], words["to"]
	r.Brokers = strings.Split(words["brokers"], ",")
	if words["rate"] != "" {
		rate, err := strconv.ParseFloat(words["rate"], 64)
		Must(err)
		r.Rate = rate
	}
	file, err := os.OpenFile(words["log"], os.O_APPEND|os.O_WRONLY|os.O_CREATE, 0o644)
	Must(err)
	r.file = file
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		r.stopped.Store(true)
		close(r.Stop)
	}()
	return r
}

// Must ends the program.
func Must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// Stopped says whether it is time to end.
func (r *Run) Stopped() bool { return r.stopped.Load() }

// Log writes one line.
func (r *Run) Log(fields ...any) {
	r.lock.Lock()
	defer r.lock.Unlock()
	fmt.Fprintf(r.file, "%d %s", time.Now().UnixMicro(), fmt.Sprintln(fields...))
}

// Note is a line for people.
func (r *Run) Note(what string, err error) {
	r.Log("note", what, strings.Join(strings.Fields(fmt.Sprint(err)), " "))
}

// Fail says that the client has given a record up.
func (r *Run) Fail(value any, err error) {
	r.Log("fail", value, strings.Join(strings.Fields(err.Error()), "_"))
}

// Until waits until the record of that number is due, or the run ends.
func (r *Run) Until(number int) {
	due := r.begun.Add(time.Duration(float64(number) / r.Rate * 1e9))
	select {
	case <-r.Stop:
	case <-time.After(time.Until(due)):
	}
}

// Sleep waits, or the run ends.
func (r *Run) Sleep(d time.Duration) {
	select {
	case <-r.Stop:
	case <-time.After(d):
	}
}

// Play runs the role, and says that it ended well.
func (r *Run) Play(roles map[string]func() error) {
	role, ok := roles[r.Role]
	if !ok {
		Must(fmt.Errorf("no role %s", r.Role))
	}
	Must(role())
	r.Log("end")
}
