// SPDX-License-Identifier: MIT

package main

import (
	"encoding/binary"
	"hash/crc32"
	"strconv"

	"machnet.invalid/machnet"
)

const tableBytes = 65521

var table = func() (made [tableBytes]byte) {
	x := uint64(0x9E3779B97F4A7C15)
	for i := range made {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		made[i] = byte(x >> 56)
	}
	return made
}()

// fillPayload writes the payload of a seed.
func fillPayload(data []byte, seed uint64) {
	for at := int(31 * (seed % tableBytes) % tableBytes); len(data) > 0; at = 0 {
		data = data[copy(data, table[at:]):]
	}
}

func payload(seed uint64, length int) []byte {
	data := make([]byte, length)
	fillPayload(data, seed)
	return data
}

// stream is a list of messages, as sent, or as far as received.
type stream struct {
	request *request
	tag     uint64
	count   int
	bytes   int
	crc     uint32
}

func (r *request) stream() *stream { return &stream{request: r, tag: tagOf(r.Tag)} }

func (s *stream) next() (seed uint64, length int, tag uint64) {
	lengths := s.request.Lengths
	k := uint64(s.count)
	return s.request.Seed + k, lengths[s.count%len(lengths)], s.tag + k
}

// took adds a message that was received.
func (s *stream) took(tag uint64, data []byte) {
	var bytes [8]byte
	binary.LittleEndian.PutUint64(bytes[:], tag)
	s.crc = crc32.Update(crc32.Update(s.crc, crc32.IEEETable, bytes[:]), crc32.IEEETable, data)
	s.count++
	s.bytes += len(data)
}

func (s *stream) answer() answer {
	return answer{"count": s.count, "bytes": s.bytes, "crc": s.crc}
}

func (a *agent) message(flow *machnet.Flow, tag uint64, data []byte) answer {
	return answer{"flow": a.name(flow), "length": len(data), "tag": strconv.FormatUint(tag, 10), "crc": crc32.ChecksumIEEE(data)}
}
