// SPDX-License-Identifier: MIT

package machnet

// #include "bridge.h"
import "C"

import (
	"context"
	"errors"
)

// ErrBatchFull says that a batch has no room for one more message.
var ErrBatchFull = errors.New("machnet: the batch is full")

// Batch is memory for many messages, of one flow or several, that are sent or received in one call: the fast path. It is used again and again. What was
// received can be sent as it is. One goroutine at a time.
type Batch struct {
	channel *Channel
	records []C.machnet_record // as many as there is room for
	count   int
	arena   []byte
	used    int // bytes of the arena
}

// NewBatch makes a batch for so many messages and bytes (each message takes its length, rounded up to 8 bytes). It panics if one of them is less than 1.
func (c *Channel) NewBatch(messages, bytes int) *Batch {
	if messages < 1 || bytes < 1 {
		panic("machnet: a batch needs room for at least one message and one byte")
	}
	if messages > 1<<20 {
		messages = 1 << 20
	}
	return &Batch{channel: c, records: make([]C.machnet_record, messages), arena: make([]byte, bytes)}
}

// Reset empties the batch.
func (b *Batch) Reset() { b.count, b.used = 0, 0 }

// Len is the number of messages.
func (b *Batch) Len() int { return b.count }

// Append adds a message for a flow, copying its bytes. Errors: ErrBatchFull; ErrBadToken: the flow is of another channel.
func (b *Batch) Append(flow *Flow, data []byte, tag uint64) error {
	if flow.channel != b.channel {
		return statusError("append to batch", C.MACHNET_EBADTOKEN)
	}
	if b.count == len(b.records) || len(data) > len(b.arena)-b.used {
		return ErrBatchFull
	}
	record := &b.records[b.count]
	record.flow, record.tag = flow.token, C.uint64_t(tag)
	record.offset, record.length = C.uint64_t(b.used), C.uint64_t(len(data))
	copy(b.arena[b.used:], data)
	b.count++
	b.used = (b.used + len(data) + 7) &^ 7
	if b.used > len(b.arena) {
		b.used = len(b.arena)
	}
	return nil
}

// Data are the bytes of message i, in the batch's memory: they change with its next use.
func (b *Batch) Data(i int) []byte {
	record := &b.records[:b.count][i]
	end := record.offset + record.length
	return b.arena[record.offset:end:end]
}

// Tag is what the sender of message i gave.
func (b *Batch) Tag(i int) uint64 { return uint64(b.records[:b.count][i].tag) }

// Flow is the flow of message i; nil if it was closed meanwhile.
func (b *Batch) Flow(i int) *Flow {
	token := b.records[:b.count][i].flow
	b.channel.receiveSide.Lock()
	defer b.channel.receiveSide.Unlock()
	return inbox{b.channel, nil}.known(token)
}

// send sends the messages from `first` on, and returns how many went out; if none, why. `flow` is the flow of the first, or nil.
func (b *Batch) send(first int, flow *Flow) (int, error) {
	const op = "send batch"
	c := b.channel
	c.sendSide.Lock()
	defer c.sendSide.Unlock()
	if c.closed.Load() {
		return 0, closedError(op)
	}
	var spaces uint64
	if flow != nil {
		spaces = flow.spaces.Load()
	}
	list := b.records[first:b.count]
	sent := C.bridge_send_packed(c.handle.channel, &list[0], C.uint32_t(len(list)), (*C.uint8_t)(&b.arena[0]), C.uint64_t(len(b.arena)))
	switch {
	case sent > 0:
		return int(sent), nil
	case sent == C.MACHNET_EBADTOKEN: // Append has seen that the flow is of this channel: it was closed
		return 0, closedError(op)
	case flow != nil:
		return 0, flow.sent(op, sent, spaces)
	}
	return 0, statusError(op, sent)
}

// sendSome is send that finds the flow if it is to be waited for.
func (b *Batch) sendSome(first int) (int, *Flow, error) {
	sent, err := b.send(first, nil)
	if err != errAgain {
		return sent, nil, err
	}
	flow := b.Flow(first)
	if flow == nil {
		return 0, nil, closedError("send batch")
	}
	sent, err = b.send(first, flow)
	return sent, flow, err
}

// SendBatch sends all messages of the batch, in order, and waits while there is no space. It returns how many went out: the first n; they stay in the
// batch. Errors: as of Send; message n is the one that could not be sent.
func (c *Channel) SendBatch(ctx context.Context, b *Batch) (n int, err error) {
	if b.channel != c {
		return 0, statusError("send batch", C.MACHNET_EBADTOKEN)
	}
	for n < b.count {
		sent, flow, err := b.sendSome(n)
		n += sent
		if err == errAgain {
			err = flow.WaitSendSpace(ctx)
		}
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// TrySendBatch sends what there is space for, in order, and returns how many messages that was: the first n; they stay in the batch. ErrAgain: none now.
func (c *Channel) TrySendBatch(b *Batch) (int, error) {
	if b.channel != c {
		return 0, statusError("send batch", C.MACHNET_EBADTOKEN)
	}
	if b.count == 0 {
		return 0, nil
	}
	sent, _, err := b.sendSome(0)
	return sent, err
}

// fill takes what was taken on behalf of flows before. It returns the length of the first message if that is too long. Receive side.
func (b *Batch) fill(box inbox) C.uint64_t {
	b.Reset()
	for {
		flow, next := box.arrived()
		if flow == nil {
			return 0
		}
		if b.Append(flow, next.bytes(), uint64(next.view.tag)) != nil {
			return next.view.length
		}
		box.channel.handle.release(flow.pop().view.buffer)
	}
}

// receiveBatch fills the batch. Receive side.
func (f inbox) receiveBatch(b *Batch) error {
	const op = "receive batch"
	if b.channel != f.channel {
		return statusError(op, C.MACHNET_EBADTOKEN)
	}
	if err := f.ready(op); err != nil {
		return err
	}
	if length := b.fill(f); b.count > 0 {
		return nil
	} else if length > 0 {
		return f.failure(op, C.MACHNET_EMSGSIZE, length)
	}
	count := C.bridge_receive_packed(f.channel.handle.channel, f.token(), &b.records[0], C.uint32_t(len(b.records)),
		(*C.uint8_t)(&b.arena[0]), C.uint64_t(len(b.arena)))
	if count < 0 {
		return f.failure(op, count, b.records[0].length)
	}
	last := &b.records[count-1]
	b.count, b.used = int(count), len(b.arena)
	if end := (uint64(last.offset+last.length) + 7) &^ 7; end < uint64(b.used) {
		b.used = int(end)
	}
	return nil
}

func (f inbox) tryBatch(b *Batch) error {
	f.channel.receiveSide.Lock()
	defer f.channel.receiveSide.Unlock()
	return f.receiveBatch(b)
}

func (f inbox) awaitBatch(ctx context.Context, b *Batch) error {
	if err := f.tryBatch(b); err != errAgain {
		return err
	}
	return f.await(ctx, func() error { return f.receiveBatch(b) })
}

// ReceiveBatch waits for messages of any flow and fills the batch, which is emptied before, with as many as are there and fit. Errors: ErrMessageSize (already
// the first is too long: its length is in Error.Length, and it stays), and as of Channel.Receive.
func (c *Channel) ReceiveBatch(ctx context.Context, b *Batch) error {
	return inbox{c, nil}.awaitBatch(ctx, b)
}

// TryReceiveBatch is ReceiveBatch without waiting: ErrAgain if there is no message now.
func (c *Channel) TryReceiveBatch(b *Batch) error { return inbox{c, nil}.tryBatch(b) }

// ReceiveBatch waits for messages of the flow and fills the batch with as many as are there and fit. Errors: as of Channel.ReceiveBatch and Flow.Receive.
func (f *Flow) ReceiveBatch(ctx context.Context, b *Batch) error {
	return inbox{f.channel, f}.awaitBatch(ctx, b)
}

// TryReceiveBatch is ReceiveBatch without waiting: ErrAgain if there is no message now.
func (f *Flow) TryReceiveBatch(b *Batch) error { return inbox{f.channel, f}.tryBatch(b) }
