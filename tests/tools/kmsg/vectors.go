// SPDX-License-Identifier: Apache-2.0

// Writes test vectors of the APIs that kafka-python lacks, by franz-go's kmsg: in this folder
//
//	go mod init vectors && go get github.com/twmb/franz-go/pkg/kmsg && go run . ../../kafka
//
// A developer's tool, like kafka_vectors.py: the vectors are committed, and the tests need only them.
package main

import (
	"encoding/binary"
	"fmt"
	"math/rand"
	"os"
	"path/filepath"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

const messages = 4

func text(rng *rand.Rand) *string {
	if rng.Intn(3) == 0 {
		return nil
	}
	s := strings.Repeat("tern", rng.Intn(40))
	return &s
}

func header(rng *rand.Rand, r kmsg.Request) []byte {
	f := kmsg.NewRequestFormatter(kmsg.FormatterClientID("vector"))
	return f.AppendRequest(nil, r, int32(rng.Uint32()>>1))[4:]
}

func answer(rng *rand.Rand, r kmsg.Response) []byte {
	out := binary.BigEndian.AppendUint32(nil, rng.Uint32()>>1)
	if r.IsFlexible() {
		out = append(out, 0)
	}
	return r.AppendTo(out)
}

func unregisterBroker(rng *rand.Rand, lines *[]string) {
	for i := 0; i < messages; i++ {
		rq := kmsg.NewPtrUnregisterBrokerRequest()
		rq.BrokerID = int32(rng.Uint32())
		*lines = append(*lines, fmt.Sprintf("request %x", header(rng, rq)))
	}
	for i := 0; i < messages; i++ {
		rs := kmsg.NewPtrUnregisterBrokerResponse()
		rs.ThrottleMillis = int32(rng.Uint32())
		rs.ErrorCode = int16(rng.Uint32())
		rs.ErrorMessage = text(rng)
		*lines = append(*lines, fmt.Sprintf("response %x", answer(rng, rs)))
	}
}

func main() {
	lines := []string{"# unregister_broker version 0, by franz-go kmsg"}
	unregisterBroker(rand.New(rand.NewSource(64)), &lines)
	path := filepath.Join(os.Args[1], "64_v0.hex")
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o644); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
