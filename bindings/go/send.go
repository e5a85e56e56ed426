// SPDX-License-Identifier: MIT

package machnet

// #include "bridge.h"
import "C"

import (
	"context"
	"runtime"
	"sync/atomic"
)

// MessageMax is the length of the longest message in bytes: 8 MiB.
const MessageMax = C.MACHNET_MESSAGE_MAX

// sendable says why nothing can be sent, or nil. Send side.
func (f *Flow) sendable(op string) error {
	if f.closed || f.channel.closed.Load() {
		return closedError(op)
	}
	return nil
}

// sent makes an error of what a send call has answered; `spaces` is as of before the call. Send side.
func (f *Flow) sent(op string, status C.int32_t, spaces uint64) error {
	if status >= 0 {
		return nil
	}
	if status == C.MACHNET_EAGAIN {
		f.refused.Store(spaces + 1)
	}
	return statusError(op, status)
}

// TrySend is Send without waiting: ErrAgain if there is no space now; WaitSendSpace tells when to try again.
func (f *Flow) TrySend(data []byte, tag uint64) error {
	const op = "send"
	c := f.channel
	c.sendSide.Lock()
	defer c.sendSide.Unlock()
	if err := f.sendable(op); err != nil {
		return err
	}
	spaces := f.spaces.Load()
	status := C.bridge_send(c.handle.channel, f.token, (*C.uint8_t)(bytesPointer(data)), C.uint64_t(len(data)), C.uint64_t(tag))
	return f.sent(op, status, spaces)
}

// Send sends a message: its bytes, which are copied, and a tag. An empty message is one, too. It waits while there is no space; nil means that the message is on
// its way, not that it has arrived.
//
// Errors: ErrMessageSize (longer than MessageMax, or than the send arena can ever hold), why the flow has ended (as of Receive), ctx.Err() (nothing was sent), net.ErrClosed,
// and why the channel is gone (ErrShutdown, ErrEngineGone, ErrProtocol).
func (f *Flow) Send(ctx context.Context, data []byte, tag uint64) error {
	for {
		if err := f.TrySend(data, tag); err != errAgain {
			return err
		}
		if err := f.WaitSendSpace(ctx); err != nil {
			return err
		}
	}
}

// WaitSendSpace waits until a flow that has answered ErrAgain to a send can send again. Errors: as of Send.
func (f *Flow) WaitSendSpace(ctx context.Context) error {
	const op = "send"
	c := f.channel
	return c.await(ctx, &f.senders, func() error {
		if f.closed || c.closed.Load() {
			return closedError(op)
		}
		c.takeEvents()
		switch {
		case c.gone != 0:
			return statusError(op, c.gone)
		case f.ended:
			return statusError(op, f.status)
		case f.spaces.Load() >= f.refused.Load():
			c.events.told(f, SendSpace)
			return nil
		}
		return errAgain
	})
}

// ReservedMessage is room in the send arena for one message, to be filled, then sent by Commit or given up by Release. One that is forgotten is given up by the garbage collector.
type ReservedMessage struct {
	flow   *Flow
	view   C.machnet_view
	buffer atomic.Uint64 // its token; 0: sent or given up
}

// TryReserve is Reserve without waiting: ErrAgain if there is no space now.
func (f *Flow) TryReserve(length int) (*ReservedMessage, error) {
	const op = "reserve"
	c := f.channel
	if length < 0 {
		return nil, statusError(op, C.MACHNET_EINVAL)
	}
	c.sendSide.Lock()
	defer c.sendSide.Unlock()
	if err := f.sendable(op); err != nil {
		return nil, err
	}
	made := &ReservedMessage{flow: f}
	spaces := f.spaces.Load()
	status := C.machnet_send_reserve(c.handle.channel, f.token, C.uint64_t(length), &made.view, 0)
	if err := f.sent(op, status, spaces); err != nil {
		return nil, err
	}
	c.lent.Store(true)
	made.buffer.Store(uint64(made.view.buffer))
	runtime.SetFinalizer(made, (*ReservedMessage).Release)
	return made, nil
}

// Reserve waits for room for a message of `length` bytes, which the caller writes to Bytes and then sends by Commit: a send without a copy. Errors: as of Send.
func (f *Flow) Reserve(ctx context.Context, length int) (*ReservedMessage, error) {
	for {
		made, err := f.TryReserve(length)
		if err != errAgain {
			return made, err
		}
		if err := f.WaitSendSpace(ctx); err != nil {
			return nil, err
		}
	}
}

// Bytes are the room. After Commit or Release Bytes is nil, and a slice of before must not be used any more: the memory is another message's then, which
// would be sent wrong.
func (m *ReservedMessage) Bytes() []byte {
	if m.buffer.Load() == 0 {
		return nil
	}
	bytes := (&arrival{view: m.view}).bytes()
	runtime.KeepAlive(m)
	return bytes[:len(bytes):len(bytes)]
}

// TryCommit is Commit without waiting: ErrAgain if the engine has no room to be told now.
func (m *ReservedMessage) TryCommit(length int, tag uint64) error {
	const op = "commit"
	f := m.flow
	f.channel.sendSide.Lock()
	defer f.channel.sendSide.Unlock()
	buffer := m.buffer.Load()
	if buffer == 0 {
		return closedError(op)
	}
	if err := f.sendable(op); err != nil {
		return err
	}
	if length < 0 {
		return statusError(op, C.MACHNET_EINVAL)
	}
	spaces := f.spaces.Load()
	status := C.machnet_send_commit(f.channel.handle.channel, C.uint64_t(buffer), C.uint64_t(length), C.uint64_t(tag), 0)
	if err := f.sent(op, status, spaces); err != nil {
		return err
	}
	m.buffer.Store(0)
	runtime.SetFinalizer(m, nil)
	return nil
}

// Commit sends the first `length` bytes of the room as one message. On an error nothing was sent, and Release is still to be called. Errors: ErrInvalid (length), and as of Send.
func (m *ReservedMessage) Commit(ctx context.Context, length int, tag uint64) error {
	for {
		if err := m.TryCommit(length, tag); err != errAgain {
			return err
		}
		if err := m.flow.WaitSendSpace(ctx); err != nil {
			return err
		}
	}
}

// Release gives the room back unsent, from any goroutine; after Commit, and a second time, it is net.ErrClosed and does nothing.
func (m *ReservedMessage) Release() error {
	buffer := m.buffer.Swap(0)
	if buffer == 0 {
		return closedError("release reserved message")
	}
	runtime.SetFinalizer(m, nil)
	if status := m.flow.channel.handle.release(C.uint64_t(buffer)); status < 0 {
		return statusError("release reserved message", status)
	}
	return nil
}
