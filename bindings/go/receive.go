// SPDX-License-Identifier: MIT

package machnet

// #include "bridge.h"
import "C"

import (
	"context"
	"unsafe"
)

// Message is a received message, in memory of its own.
type Message struct {
	Flow *Flow
	Tag  uint64 // what the sender gave
	Data []byte
}

// inbox is where messages are received: on one flow, or on any.
type inbox struct {
	channel *Channel
	flow    *Flow // nil: any
}

// ready says why nothing can be received, or nil. What a lost engine has delivered can be. Receive side, as all below.
func (f inbox) ready(op string) error {
	if f.channel.closed.Load() || f.flow != nil && f.flow.closed {
		return closedError(op)
	}
	if f.channel.gone == C.MACHNET_ESHUTDOWN {
		return statusError(op, f.channel.gone)
	}
	return nil
}

func (f inbox) token() C.uint64_t {
	if f.flow == nil {
		return C.MACHNET_ANY_FLOW
	}
	return f.flow.token
}

// arrived is the oldest message that was taken on behalf of the flow, or, of any flow, the next in turn; nil: ask the library.
func (f inbox) arrived() (*Flow, *arrival) {
	flow := f.flow
	if flow == nil && f.channel.arrived.first != nil {
		flow = f.channel.arrived.first.of
	}
	if flow == nil || flow.arrived == nil || len(flow.arrived.left()) == 0 {
		return nil, nil
	}
	return flow, &flow.arrived.left()[0]
}

// pop takes the oldest arrival off the flow; the next turn is another flow's.
func (f *Flow) pop() arrival {
	a := f.arrived
	taken := a.list[a.read]
	a.read++
	f.arrivedPlace.remove()
	switch {
	case a.read == len(a.list):
		a.list, a.read = a.list[:0], 0
		return taken
	case a.read > 64 && a.read > len(a.list)/2:
		a.list, a.read = append(a.list[:0], a.left()...), 0
	}
	f.channel.arrived.push(&f.arrivedPlace)
	return taken
}

// bytes are those of a message in the memory of C.
func (a *arrival) bytes() []byte {
	return unsafe.Slice((*byte)(a.view.data), a.view.length)[a.offset:]
}

// failure makes an error of what a receive call has answered. What the library has no memory for is waited for.
func (f inbox) failure(op string, status C.int32_t, length C.uint64_t) error {
	switch status {
	case C.MACHNET_EMSGSIZE:
		return &Error{Op: op, Err: ErrMessageSize, Length: uint64(length)}
	case C.MACHNET_ELOWMEMORY:
		f.channel.retrySoon()
		return errAgain
	}
	return statusError(op, status)
}

// known finds the flow of a message. It is nil if a message was taken of a flow that is being closed: take another.
func (f inbox) known(token C.uint64_t) *Flow {
	if f.flow != nil {
		return f.flow
	}
	if flow := f.channel.flows[token]; flow != nil && !flow.closed {
		return flow
	}
	return nil
}

// receive takes a message into memory of its own.
func (f inbox) receive() (Message, error) {
	const op = "receive"
	if err := f.ready(op); err != nil {
		return Message{}, err
	}
	if flow, next := f.arrived(); flow != nil {
		taken := *next
		flow.pop()
		data := make([]byte, taken.view.length)
		copy(data, taken.bytes())
		f.channel.handle.release(taken.view.buffer)
		return Message{flow, uint64(taken.view.tag), data}, nil
	}
	receiver := f.channel.handle.receiver
	for {
		var data []byte
		status := C.bridge_receive(f.channel.handle.channel, f.token(), receiver)
		message := &receiver.message
		if status == C.MACHNET_OK {
			data = make([]byte, message.length)
			copy(data, unsafe.Slice((*byte)(&receiver.bytes[0]), len(receiver.bytes)))
		} else if status == C.MACHNET_EMSGSIZE { // of this very flow: of any, the turn has passed to another
			data = make([]byte, message.length)
			status = C.bridge_receive_into(f.channel.handle.channel, message.flow, receiver, (*C.uint8_t)(bytesPointer(data)), message.length)
		}
		if status < 0 {
			return Message{}, f.failure(op, status, 0)
		}
		if flow := f.known(message.flow); flow != nil {
			return Message{flow, uint64(message.tag), data}, nil
		}
	}
}

// receiveInto takes a message into a buffer of the caller.
func (f inbox) receiveInto(buffer []byte) (Message, error) {
	const op = "receive"
	if err := f.ready(op); err != nil {
		return Message{}, err
	}
	if flow, next := f.arrived(); flow != nil {
		if uint64(next.view.length) > uint64(len(buffer)) {
			return Message{}, f.failure(op, C.MACHNET_EMSGSIZE, next.view.length)
		}
		taken := flow.pop()
		n := copy(buffer, taken.bytes())
		f.channel.handle.release(taken.view.buffer)
		return Message{flow, uint64(taken.view.tag), buffer[:n]}, nil
	}
	receiver := f.channel.handle.receiver
	for {
		status := C.bridge_receive_into(f.channel.handle.channel, f.token(), receiver, (*C.uint8_t)(bytesPointer(buffer)), C.uint64_t(len(buffer)))
		message := &receiver.message
		if status < 0 {
			return Message{}, f.failure(op, status, message.length)
		}
		if flow := f.known(message.flow); flow != nil {
			return Message{flow, uint64(message.tag), buffer[:message.length]}, nil
		}
	}
}

// borrow takes a message where it lies.
func (f inbox) borrow() (*Flow, arrival, error) {
	const op = "borrow"
	if err := f.ready(op); err != nil {
		return nil, arrival{}, err
	}
	if flow, _ := f.arrived(); flow != nil {
		return flow, flow.pop(), nil
	}
	receiver := f.channel.handle.receiver
	for {
		count := C.bridge_borrow(f.channel.handle.channel, f.token(), receiver, 1)
		if count < 0 {
			return nil, arrival{}, f.failure(op, count, 0)
		}
		if flow := f.known(receiver.views[0].flow); flow != nil {
			return flow, arrival{view: receiver.views[0]}, nil
		}
		f.channel.handle.release(receiver.views[0].buffer)
	}
}

// await waits for a message with one of the calls above.
func (f inbox) await(ctx context.Context, try func() error) error {
	if f.flow != nil {
		return f.channel.await(ctx, &f.flow.receivers, try)
	}
	return f.channel.await(ctx, &f.channel.anyWaiters, try)
}

func (f inbox) tryReceive() (Message, error) {
	f.channel.receiveSide.Lock()
	defer f.channel.receiveSide.Unlock()
	return f.receive()
}

func (f inbox) awaitReceive(ctx context.Context) (message Message, err error) {
	err = f.await(ctx, func() (err error) {
		message, err = f.receive()
		return err
	})
	return message, err
}

func (f inbox) tryReceiveInto(buffer []byte) (Message, error) {
	f.channel.receiveSide.Lock()
	defer f.channel.receiveSide.Unlock()
	return f.receiveInto(buffer)
}

func (f inbox) awaitReceiveInto(ctx context.Context, buffer []byte) (message Message, err error) {
	err = f.await(ctx, func() (err error) {
		message, err = f.receiveInto(buffer)
		return err
	})
	return message, err
}

// Receive waits for the next message of the flow.
//
// Errors: why the flow has ended, after its last message (ErrPeerClosed, which is io.EOF, ErrReset, ErrPeerDead, ErrPeerRestarted, ErrPeerProtocol, ErrPeerSize, or why it
// could not be opened), ctx.Err(), net.ErrClosed, and why the channel is gone (ErrShutdown, ErrEngineGone, ErrProtocol). A message is never lost by a cancelled wait.
func (f *Flow) Receive(ctx context.Context) (Message, error) {
	box := inbox{f.channel, f}
	if message, err := box.tryReceive(); err != errAgain {
		return message, err
	}
	return box.awaitReceive(ctx)
}

// TryReceive is Receive without waiting: ErrAgain if there is no message now.
func (f *Flow) TryReceive() (Message, error) { return inbox{f.channel, f}.tryReceive() }

// ReceiveInto is Receive into a buffer: Message.Data is a part of it. A message that is longer than the buffer is ErrMessageSize, with its length in
// Error.Length, and stays.
func (f *Flow) ReceiveInto(ctx context.Context, buffer []byte) (Message, error) {
	box := inbox{f.channel, f}
	if message, err := box.tryReceiveInto(buffer); err != errAgain {
		return message, err
	}
	return box.awaitReceiveInto(ctx, buffer)
}

// TryReceiveInto is ReceiveInto without waiting: ErrAgain if there is no message now.
func (f *Flow) TryReceiveInto(buffer []byte) (Message, error) {
	return inbox{f.channel, f}.tryReceiveInto(buffer)
}

// Receive waits for the next message of any flow, flows taking turns. The ends of flows do not end it: Event tells them. Errors: ctx.Err(), net.ErrClosed, and
// why the channel is gone.
func (c *Channel) Receive(ctx context.Context) (Message, error) {
	box := inbox{c, nil}
	if message, err := box.tryReceive(); err != errAgain {
		return message, err
	}
	return box.awaitReceive(ctx)
}

// TryReceive is Receive without waiting: ErrAgain if there is no message now.
func (c *Channel) TryReceive() (Message, error) { return inbox{c, nil}.tryReceive() }

// ReceiveInto is Receive into a buffer, as Flow.ReceiveInto.
func (c *Channel) ReceiveInto(ctx context.Context, buffer []byte) (Message, error) {
	box := inbox{c, nil}
	if message, err := box.tryReceiveInto(buffer); err != errAgain {
		return message, err
	}
	return box.awaitReceiveInto(ctx, buffer)
}

// TryReceiveInto is ReceiveInto without waiting: ErrAgain if there is no message now.
func (c *Channel) TryReceiveInto(buffer []byte) (Message, error) {
	return inbox{c, nil}.tryReceiveInto(buffer)
}
