// SPDX-License-Identifier: Apache-2.0

// load drives NATS JetStream as `tern bench` drives what speaks Kafka: the same schedule, latency from when a
// record was due, the same histogram, as many records under way, each with an id by which the server knows it
// again. A partition is a stream of three replicas; records are published one by one, for JetStream acknowledges
// no batches, and each goes to the server that leads its stream.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sys/unix"
)

var (
	servers  = flag.String("servers", "", "URLs, comma between them; of n1, n2, n3")
	name     = flag.String("name", "bench", "streams are NAME-0, NAME-1, ...")
	streams  = flag.Int("streams", 1, "how many")
	leader   = flag.String("leader", "", "setup: the server that leads all of them, n1")
	rate     = flag.Int("rate", 1000, "records a second; 0: as fast as it goes")
	size     = flag.Int("size", 1024, "bytes of a record")
	window   = flag.Int("window", 32<<20, "bytes of records that wait for their ack, at most")
	warmup   = flag.Duration("warmup", 2*time.Second, "load before measuring")
	duration = flag.Duration("duration", 10*time.Second, "how long to measure")
	drain    = flag.Duration("drain", 30*time.Second, "how long to wait for the last acks")
	stall    = flag.Duration("stall", 2*time.Second, "without an ack for so long it is published again")
	retry    = flag.Duration("retry", 100*time.Millisecond, "back-off after a refusal")
	raw      = flag.String("out", "", "keep the raw histogram")
	fault    = flag.String("fault", "", "gap: what to do, for the shell")
	heal     = flag.String("heal", "", "gap: what undoes it")
	repeats  = flag.Int("repeats", 1, "gap: how often")
	steady   = flag.Duration("steady", 2*time.Second, "gap: before each fault")
	settle   = flag.Duration("settle", 4*time.Second, "gap: after fault and healing")
)

func fail(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "load: "+format+"\n", args...)
	os.Exit(1)
}

func check(err error) {
	if err != nil {
		fail("%v", err)
	}
}

func nowUS() int64 {
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts)
	return ts.Sec*1e6 + ts.Nsec/1e3
}

func sleepUntil(us int64) {
	ts := unix.Timespec{Sec: us / 1e6, Nsec: us % 1e6 * 1e3}
	for unix.ClockNanosleep(unix.CLOCK_MONOTONIC, unix.TIMER_ABSTIME, &ts, nil) == unix.EINTR {
	}
}

func cpuSeconds() float64 {
	var u unix.Rusage
	_ = unix.Getrusage(unix.RUSAGE_SELF, &u)
	return float64(u.Utime.Sec+u.Stime.Sec) + float64(u.Utime.Usec+u.Stime.Usec)/1e6
}

func urls() []string { return strings.Split(*servers, ",") }

func connect(first int) *nats.Conn {
	all := urls()
	list := append(append([]string{}, all[first:]...), all[:first]...)
	nc, err := nats.Connect(strings.Join(list, ","), nats.DontRandomize(), nats.MaxReconnects(-1), nats.ReconnectWait(100*time.Millisecond),
		nats.ReconnectJitter(0, 0), nats.PingInterval(time.Second), nats.MaxPingsOutstanding(2), nats.Timeout(time.Second),
		nats.ReconnectBufSize(256<<20))
	check(err)
	return nc
}

func streamName(i int) string { return fmt.Sprintf("%s-%d", *name, i) }
func subject(i int) string    { return fmt.Sprintf("%s.%d", *name, i) }

func eachStream(what func(js jetstream.JetStream, i int) error) {
	nc := connect(0)
	defer nc.Close()
	js, err := jetstream.New(nc)
	check(err)
	todo := make(chan int)
	var wg sync.WaitGroup
	for range 8 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := range todo {
				until := time.Now().Add(time.Minute)
				err := what(js, i)
				for err != nil && time.Now().Before(until) {
					time.Sleep(200 * time.Millisecond)
					err = what(js, i)
				}
				check(err)
			}
		}()
	}
	for i := range *streams {
		todo <- i
	}
	close(todo)
	wg.Wait()
}

func leaderOf(js jetstream.JetStream, i int) (string, error) {
	s, err := js.Stream(ctx(), streamName(i))
	if err != nil {
		return "", err
	}
	c := s.CachedInfo().Cluster
	if c == nil || c.Leader == "" {
		return "", errors.New(streamName(i) + " has no leader")
	}
	return c.Leader, nil
}

func setup() {
	eachStream(func(js jetstream.JetStream, i int) error {
		_, err := js.CreateOrUpdateStream(ctx(), jetstream.StreamConfig{Name: streamName(i), Subjects: []string{subject(i)}, Replicas: 3,
			Storage: jetstream.FileStorage, Duplicates: time.Minute})
		return err
	})
	eachStream(func(js jetstream.JetStream, i int) error {
		for range 20 {
			at, err := leaderOf(js, i)
			if err != nil || *leader == "" || at == *leader {
				return err
			}
			body := fmt.Sprintf(`{"placement":{"preferred":"%s"}}`, *leader)
			_, _ = js.Conn().Request("$JS.API.STREAM.LEADER.STEPDOWN."+streamName(i), []byte(body), 2*time.Second)
			time.Sleep(300 * time.Millisecond)
		}
		return errors.New(streamName(i) + " is not led by " + *leader)
	})
}

func remove() {
	eachStream(func(js jetstream.JetStream, i int) error {
		err := js.DeleteStream(ctx(), streamName(i))
		if errors.Is(err, jetstream.ErrStreamNotFound) {
			return nil
		}
		return err
	})
}

// ---- a run ------------------------------------------------------------------------------------------------------

type record struct {
	due, sent int64
	stream    int32
	again     int64 // not before; 0: it waits for its ack
	tries     int
}

type partition struct {
	lastAck, gap, window int64
}

type run struct {
	mu       sync.Mutex
	conns    []*nats.Conn
	inbox    string
	at       []int // stream -> connection
	payload  []byte
	id       string
	waiting  map[uint64]*record
	parts    []partition
	latency  hist
	late     hist
	gaps     hist
	answered uint64
	warmed   uint64
	inTime   uint64
	acked    uint64
	retries  uint64
	refused  map[string]uint64
	start    int64
	measure  int64
	end      int64 // 0: not known yet
	free     *sync.Cond
}

func (r *run) publish(number uint64, rec *record) {
	rec.sent, rec.again = nowUS(), 0
	text := strconv.FormatUint(number, 10)
	msg := &nats.Msg{Subject: subject(int(rec.stream)), Reply: r.inbox + text, Data: r.payload,
		Header: nats.Header{"Nats-Msg-Id": []string{r.id + text}}}
	_ = r.conns[(r.at[rec.stream]+rec.tries)%len(r.conns)].PublishMsg(msg)
}

func (r *run) onAck(msg *nats.Msg) {
	now := nowUS()
	number, err := strconv.ParseUint(msg.Subject[len(r.inbox):], 10, 64)
	if err != nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	rec := r.waiting[number]
	if rec == nil {
		return
	}
	if msg.Header.Get("Status") != "" || strings.Contains(string(msg.Data), `"error"`) {
		r.refused[msg.Header.Get("Status")]++
		rec.again = now + retry.Microseconds()
		return
	}
	delete(r.waiting, number)
	r.answered++
	r.at[rec.stream] = (r.at[rec.stream] + rec.tries) % len(r.conns) // where it worked is where the next ones go
	p := &r.parts[rec.stream]
	r.noteGap(p, now)
	p.lastAck = now
	if now >= r.measure && (r.end == 0 || now < r.end) {
		r.inTime++
	}
	if rec.due >= r.measure {
		r.latency.note(uint64(max(now-rec.due, 0)))
		r.acked++
	} else {
		r.warmed++
	}
	r.free.Signal()
}

func (r *run) noteGap(p *partition, now int64) {
	if p.lastAck != 0 && now > p.lastAck {
		if now >= r.measure {
			p.gap = max(p.gap, now-p.lastAck)
		}
		p.window = max(p.window, now-p.lastAck)
	}
}

// What is not acknowledged is published again, by the next server: the one that it had may be cut off, and the stream is led elsewhere.
func (r *run) retryLoop() {
	for {
		time.Sleep(20 * time.Millisecond)
		now := nowUS()
		r.mu.Lock()
		for number, rec := range r.waiting {
			if (rec.again != 0 && now >= rec.again) || (rec.again == 0 && now-rec.sent > stall.Microseconds()) {
				r.retries++
				rec.tries++
				r.publish(number, rec)
			}
		}
		r.mu.Unlock()
	}
}

func (r *run) dueAt(number uint64) int64 {
	return r.start + int64(float64(number)*1e6/float64(*rate))
}

func (r *run) issue(number uint64, due int64) {
	rec := &record{due: due, stream: int32(number % uint64(*streams))}
	r.waiting[number] = rec
	r.publish(number, rec)
}

// Until `end` is set and reached. Without a rate it is the window that makes it wait.
func (r *run) schedule() uint64 {
	runtime.LockOSThread()
	limit := max(*window / *size, 1)
	number := uint64(0)
	for {
		if *rate > 0 {
			due := r.dueAt(number)
			sleepUntil(due)
			r.mu.Lock()
			now := nowUS()
			if r.end != 0 && due >= r.end {
				r.mu.Unlock()
				return number
			}
			if due >= r.measure {
				r.late.note(uint64(max(now-due, 0)))
			}
			r.issue(number, due)
			number++
			r.mu.Unlock()
			continue
		}
		r.mu.Lock()
		for len(r.waiting) >= limit {
			r.free.Wait()
		}
		now := nowUS()
		if now >= r.end {
			r.mu.Unlock()
			return number
		}
		r.issue(number, now)
		number++
		r.mu.Unlock()
	}
}

type gap struct {
	MS        float64 `json:"ms"`
	Partition int     `json:"partition"`
}

func (r *run) longest() gap {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := gap{Partition: -1}
	now := nowUS()
	for i := range r.parts {
		r.noteGap(&r.parts[i], now)
		if ms := float64(r.parts[i].window) / 1e3; ms > out.MS {
			out = gap{ms, i}
		}
	}
	return out
}

func (r *run) newWindow() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range r.parts {
		r.parts[i].window = 0
	}
}

func (r *run) ackedSince(us int64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range r.parts {
		if r.parts[i].lastAck < us {
			return false
		}
	}
	return true
}

func (r *run) waitAcked(since int64, limit time.Duration) bool {
	for until := time.Now().Add(limit); !r.ackedSince(since); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(until) {
			return false
		}
	}
	return true
}

func shell(command string) int {
	c := exec.Command("/bin/sh", "-c", command)
	c.Stdout, c.Stderr = os.Stderr, os.Stderr
	if err := c.Run(); err != nil {
		return 1
	}
	return 0
}

// As src/cli/bench_fault.h: steady, strike, watch until all is acknowledged again, heal, watch.
func (r *run) faults() []map[string]any {
	var out []map[string]any
	sleepUntil(r.measure)
	for range *repeats {
		since := nowUS()
		time.Sleep(*steady)
		if !r.waitAcked(since, time.Minute) {
			fail("a stream is not acknowledged before the fault")
		}
		r.newWindow()
		begun := nowUS()
		status := shell(*fault)
		commandS := float64(nowUS()-begun) / 1e6
		since = nowUS()
		time.Sleep(*settle)
		recovered := r.waitAcked(since+300000, time.Minute)
		found := map[string]any{"gap": r.longest(), "command_s": commandS, "recovered": recovered, "status": status}
		r.newWindow()
		found["heal_status"] = shell(*heal)
		time.Sleep(*settle)
		found["heal_gap"] = r.longest()
		out = append(out, found)
		fmt.Fprintf(os.Stderr, "fault %d: longest gap %.0f ms\n", len(out), found["gap"].(gap).MS)
	}
	return out
}

func newRun() *run {
	r := &run{waiting: map[uint64]*record{}, refused: map[string]uint64{}, parts: make([]partition, *streams), at: make([]int, *streams),
		payload: make([]byte, *size), id: strconv.FormatInt(time.Now().UnixNano(), 36) + "-", inbox: nats.NewInbox() + "."}
	r.free = sync.NewCond(&r.mu)
	seed := uint64(1)
	for i := range r.payload { // what cannot be compressed
		seed = seed*6364136223846793005 + 1442695040888963407
		r.payload[i] = byte(seed >> 56)
	}
	for i := range urls() {
		nc := connect(i)
		_, err := nc.Subscribe(r.inbox+"*", r.onAck)
		check(err)
		check(nc.Flush())
		r.conns = append(r.conns, nc)
	}
	js, err := jetstream.New(r.conns[0])
	check(err)
	for i := range *streams {
		at, err := leaderOf(js, i)
		check(err)
		n, err := strconv.Atoi(strings.TrimPrefix(at, "n"))
		check(err)
		r.at[i] = (n - 1) % len(r.conns)
	}
	return r
}

func produce(underFaults bool) {
	before := cpuSeconds()
	r := newRun()
	r.start = nowUS() + 1000
	r.measure = r.start + warmup.Microseconds()
	if !underFaults {
		r.end = r.measure + duration.Microseconds()
	}
	go r.retryLoop()
	var used float64
	var cpuTime int64
	var found []map[string]any
	go func() {
		if underFaults {
			found = r.faults()
			r.mu.Lock()
			r.end = nowUS()
			r.mu.Unlock()
		}
	}()
	go func() {
		sleepUntil(r.measure)
		used, cpuTime = -cpuSeconds(), -nowUS()
	}()
	issued := r.schedule()
	used, cpuTime = used+cpuSeconds(), cpuTime+nowUS()
	for until := time.Now().Add(*drain); time.Now().Before(until); time.Sleep(time.Millisecond) {
		r.mu.Lock()
		left := len(r.waiting)
		r.mu.Unlock()
		if left == 0 {
			break
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	longest := gap{Partition: -1}
	for i := range r.parts {
		r.gaps.note(uint64(r.parts[i].gap))
		if ms := float64(r.parts[i].gap) / 1e3; ms > longest.MS {
			longest = gap{ms, i}
		}
	}
	var failure any
	if len(r.waiting) > 0 {
		failure = fmt.Sprintf("%d records were not acknowledged within %v", len(r.waiting), *drain)
	}
	share := used / (float64(cpuTime) / 1e6)
	var limit any = *rate
	if *rate == 0 {
		limit = "max"
	}
	result := map[string]any{
		"settings": map[string]any{"verb": flag.Arg(0), "topic": *name, "rate": limit, "record_bytes": *size, "window_bytes": *window,
			"stall_ms": stall.Milliseconds(), "retry_ms": retry.Milliseconds(), "warmup_ms": warmup.Milliseconds(), "idempotent": true},
		"partitions": *streams, "seconds": float64(r.end-r.measure) / 1e6,
		"records":    map[string]any{"due": issued - r.warmed, "acked": r.acked, "in_time": r.inTime, "warmup": r.warmed},
		"latency_ms": r.latency.json(), "lateness_ms": r.late.json(), "gap": longest, "gaps_ms": r.gaps.json(),
		"client": map[string]any{"retries": r.retries, "cpu_s": cpuSeconds() - before}, "client_core_share": share, "void": share > 0.8,
		"errors": r.refused, "failure": failure,
	}
	if underFaults {
		result["faults"] = found
	}
	text, err := json.MarshalIndent(result, "", "  ")
	check(err)
	fmt.Println(string(text))
	if *raw != "" {
		f, err := os.Create(*raw)
		check(err)
		out := bufio.NewWriter(f)
		fmt.Fprintf(out, "# latency in microseconds: from, to, records\n")
		r.latency.write(out)
		check(out.Flush())
		check(f.Close())
	}
	if failure != nil {
		fail("%v", failure)
	}
}

func main() {
	flag.Parse()
	switch flag.Arg(0) {
	case "setup":
		setup()
	case "delete":
		remove()
	case "produce":
		produce(false)
	case "gap":
		produce(true)
	default:
		fail("one of setup, delete, produce, gap is expected, after the options")
	}
}
