// SPDX-License-Identifier: Apache-2.0

// Writes test vectors of the APIs that kafka-python lacks, by franz-go's kmsg: in this folder
//
//	go mod init vectors && go get github.com/twmb/franz-go/pkg/kmsg && go run . ../../kafka 64 68 69
//
// For APIs that are flexible in all their versions. A developer's tool, like kafka_vectors.py: the
// vectors are committed, and the tests need only them.
package main

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/rand"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

const text = "abcdefghijklmnopqrstuvwxyz-_.0123456789"

func randomText(r *rand.Rand) string {
	out := make([]byte, []int{0, 1, 5, 12, 130}[r.Intn(5)])
	for i := range out {
		out[i] = text[r.Intn(len(text))]
	}
	return string(out)
}

func fill(r *rand.Rand, v reflect.Value) {
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(r.Intn(2) == 1)
	case reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		bits := v.Type().Bits()
		if r.Intn(2) == 0 {
			bits = 8
		}
		v.SetInt(int64(r.Uint64()) >> (64 - bits))
	case reflect.Uint8:
		v.SetUint(uint64(r.Intn(256)))
	case reflect.String:
		v.SetString(randomText(r))
	case reflect.Array:
		for i := 0; i < v.Len(); i++ {
			fill(r, v.Index(i))
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), r.Intn(4), 4))
		for i := 0; i < v.Len(); i++ {
			fill(r, v.Index(i))
		}
	case reflect.Pointer:
		if r.Intn(3) > 0 {
			v.Set(reflect.New(v.Type().Elem()))
			fill(r, v.Elem())
		}
	case reflect.Struct:
		for i := 0; i < v.NumField(); i++ {
			name := v.Type().Field(i).Name
			if name != "Version" && name != "UnknownTags" {
				fill(r, v.Field(i))
			}
		}
	default:
		panic(v.Kind())
	}
}

func request(r *rand.Rand, key, version int16) []byte {
	m := kmsg.RequestForKey(key)
	fill(r, reflect.ValueOf(m).Elem())
	m.SetVersion(version)
	head := binary.BigEndian.AppendUint16(nil, uint16(key))
	head = binary.BigEndian.AppendUint16(head, uint16(version))
	head = binary.BigEndian.AppendUint32(head, r.Uint32()>>1)
	head = binary.BigEndian.AppendUint16(head, 6)
	return m.AppendTo(append(append(head, "vector"...), 0))
}

func response(r *rand.Rand, key, version int16) []byte {
	m := kmsg.ResponseForKey(key)
	fill(r, reflect.ValueOf(m).Elem())
	m.SetVersion(version)
	return m.AppendTo(append(binary.BigEndian.AppendUint32(nil, r.Uint32()>>1), 0))
}

func main() {
	for _, arg := range os.Args[2:] {
		key, err := strconv.Atoi(arg)
		if err != nil {
			panic(err)
		}
		for version := int16(0); version <= kmsg.RequestForKey(int16(key)).MaxVersion(); version++ {
			r := rand.New(rand.NewSource(int64(key)<<8 | int64(version)))
			lines := []string{fmt.Sprintf("# %s version %d, by franz-go's kmsg", kmsg.NameForKey(int16(key)), version)}
			for i := 0; i < 4; i++ {
				lines = append(lines, "request "+hex.EncodeToString(request(r, int16(key), version)))
			}
			for i := 0; i < 4; i++ {
				lines = append(lines, "response "+hex.EncodeToString(response(r, int16(key), version)))
			}
			name := filepath.Join(os.Args[1], fmt.Sprintf("%02d_v%d.hex", key, version))
			if err := os.WriteFile(name, []byte(strings.Join(lines, "\n")+"\n"), 0o644); err != nil {
				panic(err)
			}
		}
	}
}
