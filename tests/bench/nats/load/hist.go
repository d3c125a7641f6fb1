// SPDX-License-Identifier: Apache-2.0
package main

import (
	"bufio"
	"fmt"
	"math/bits"
)

// The histogram of src/cli/bench_hist.h, bucket for bucket: exact below 128, then 64 buckets a doubling.
const (
	histBits = 6
	half     = uint64(1) << histBits
	valueMax = uint64(1) << 42
)

type hist struct {
	slots [38 << histBits]uint64
	count uint64
	sum   uint64
	min   uint64
	max   uint64
}

func slotOf(v uint64) uint64 {
	if v < 2*half {
		return v
	}
	shift := uint64(63-bits.LeadingZeros64(v)) - histBits
	return shift*half + v>>shift
}

func slotLow(slot uint64) uint64 {
	if slot < 2*half {
		return slot
	}
	shift := slot/half - 1
	return (slot - shift*half) << shift
}

func (h *hist) note(v uint64) {
	v = min(v, valueMax)
	h.slots[slotOf(v)]++
	if h.count == 0 || v < h.min {
		h.min = v
	}
	h.max = max(h.max, v)
	h.count++
	h.sum += v
}

func (h *hist) at(parts uint64) uint64 {
	rank := max((h.count*parts+99999)/100000, 1)
	seen := uint64(0)
	for slot := range h.slots {
		seen += h.slots[slot]
		if seen >= rank {
			return min(slotLow(uint64(slot)+1)-1, h.max)
		}
	}
	return h.max
}

func (h *hist) json() map[string]any {
	ms := func(us uint64) float64 { return float64(us) / 1e3 }
	mean := 0.0
	if h.count > 0 {
		mean = float64(h.sum) / float64(h.count) / 1e3
	}
	return map[string]any{"count": h.count, "min": ms(h.min), "mean": mean, "p50": ms(h.at(50000)), "p90": ms(h.at(90000)),
		"p99": ms(h.at(99000)), "p99_9": ms(h.at(99900)), "p99_99": ms(h.at(99990)), "max": ms(h.max)}
}

func (h *hist) write(out *bufio.Writer) {
	for slot, n := range h.slots {
		if n > 0 {
			fmt.Fprintf(out, "%d %d %d\n", slotLow(uint64(slot)), slotLow(uint64(slot)+1)-1, n)
		}
	}
}
