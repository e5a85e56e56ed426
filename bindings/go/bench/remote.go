// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"time"

	"machnet.invalid/machnet"
)

// newRemote opens a flow to bench_server through the engine of MACHNET_SOCKET.
func newRemote(text string) *bench {
	address, err := machnet.ParseAddress(text)
	check(err)
	b := &bench{ctx: context.Background(), data: make([]byte, length)}
	b.channel, err = machnet.Attach(b.ctx, nil)
	check(err)
	b.flow, err = b.channel.OpenFlow(b.ctx, address, nil)
	check(err)
	b.fill()
	return b
}

// runRemoteBatch and runRoundTrip give the time until all was back, and how many messages that were.
func (b *bench) runRemoteBatch() (time.Duration, int) {
	start := time.Now()
	_, err := b.channel.SendBatch(b.ctx, b.outgoing)
	check(err)
	got := 0
	for got < batch {
		check(b.flow.ReceiveBatch(b.ctx, b.incoming))
		got += b.incoming.Len()
	}
	expect(got, batch, "receive")
	return time.Since(start), batch
}

func (b *bench) runRoundTrip() (time.Duration, int) {
	start := time.Now()
	check(b.flow.Send(b.ctx, b.data, 0))
	message, err := b.flow.Receive(b.ctx)
	check(err)
	expect(len(message.Data), length, "receive")
	return time.Since(start), 1
}
