// SPDX-License-Identifier: MIT

package machnet

// #include "bridge.h"
import "C"

import (
	"context"
	"runtime"
	"sync/atomic"
)

// BorrowedMessage is a received message where it lies, in memory that is shared with the engine. Until its Release it counts against the space in which the
// channel can receive (Options.ReceiveBytes). It outlives its flow and its channel. One that is forgotten is released by the garbage collector: keep
// it as long as its bytes are used, best by `defer message.Release()`.
type BorrowedMessage struct {
	flow   *Flow
	taken  arrival
	buffer atomic.Uint64 // its token; 0: released
}

func (f inbox) lend(flow *Flow, taken arrival) *BorrowedMessage {
	f.channel.lent.Store(true)
	return hold(flow, taken)
}

func hold(flow *Flow, taken arrival) *BorrowedMessage {
	message := &BorrowedMessage{flow: flow, taken: taken}
	message.buffer.Store(uint64(taken.view.buffer))
	runtime.SetFinalizer(message, (*BorrowedMessage).Release)
	return message
}

func (f inbox) tryBorrow() (*BorrowedMessage, error) {
	f.channel.receiveSide.Lock()
	defer f.channel.receiveSide.Unlock()
	flow, taken, err := f.borrow()
	if err != nil {
		return nil, err
	}
	return f.lend(flow, taken), nil
}

func (f inbox) waitBorrow(ctx context.Context) (message *BorrowedMessage, err error) {
	err = f.await(ctx, func() error {
		flow, taken, err := f.borrow()
		if err == nil {
			message = f.lend(flow, taken)
		}
		return err
	})
	return message, err
}

// Borrow waits for the next message of the flow and lends it without a copy. Errors: as of Receive.
func (f *Flow) Borrow(ctx context.Context) (*BorrowedMessage, error) {
	if message, err := f.TryBorrow(); err != errAgain {
		return message, err
	}
	return inbox{f.channel, f}.waitBorrow(ctx)
}

// TryBorrow is Borrow without waiting: ErrAgain if there is no message now.
func (f *Flow) TryBorrow() (*BorrowedMessage, error) { return inbox{f.channel, f}.tryBorrow() }

// Borrow waits for the next message of any flow and lends it without a copy. Errors: as of Channel.Receive.
func (c *Channel) Borrow(ctx context.Context) (*BorrowedMessage, error) {
	if message, err := c.TryBorrow(); err != errAgain {
		return message, err
	}
	return inbox{c, nil}.waitBorrow(ctx)
}

// TryBorrow is Borrow without waiting: ErrAgain if there is no message now.
func (c *Channel) TryBorrow() (*BorrowedMessage, error) { return inbox{c, nil}.tryBorrow() }

// Flow is the flow that the message came on.
func (m *BorrowedMessage) Flow() *Flow { return m.flow }

// Tag is what the sender gave.
func (m *BorrowedMessage) Tag() uint64 { return uint64(m.taken.view.tag) }

// Len is the length in bytes, also after Release.
func (m *BorrowedMessage) Len() int { return int(m.taken.view.length) }

// Bytes are the message itself, mapped read-only: writing to them is a fault of the program, and ends it. They stay as they are until Release. After
// that Bytes is nil; a slice of before must not be used any more: other messages come to its place. Reading it then is a mistake but does no harm, as
// long as anything of the channel (the Channel, a Flow, a message) is referenced.
func (m *BorrowedMessage) Bytes() []byte {
	if m.buffer.Load() == 0 {
		return nil
	}
	bytes := m.taken.bytes()
	runtime.KeepAlive(m)
	return bytes[:len(bytes):len(bytes)]
}

// Release gives the message back, from any goroutine; a second time it is net.ErrClosed.
func (m *BorrowedMessage) Release() error {
	buffer := m.buffer.Swap(0)
	if buffer == 0 {
		return closedError("release message")
	}
	runtime.SetFinalizer(m, nil)
	if status := m.flow.channel.handle.release(C.uint64_t(buffer)); status < 0 {
		return statusError("release message", status)
	}
	return nil
}
