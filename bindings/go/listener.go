// SPDX-License-Identifier: MIT

package machnet

// #include "bridge.h"
import "C"

import "context"

// Listener accepts flows at one address. It must be closed; one that is forgotten lives as long as its Channel.
type Listener struct {
	channel  *Channel
	token    C.uint64_t
	address  Address
	acceptor *acceptor
}

// acceptor has the flows that a listener has accepted and that nobody has taken. Receive side.
type acceptor struct {
	listener *Listener // nil: the call of Listen has not returned yet
	closed   bool
	flows    []*Flow
	waiters  waitQueue
}

// Listen accepts flows at local: a port of one address of the engine, or of all. With port 0 the engine chooses one; Address tells it.
//
// Errors: ErrAddressInUse, ErrAddress, ErrQuota, ErrNotSupported (an option), ErrNoMemory, ErrTimedOut, ErrSystem, ctx.Err(), net.ErrClosed, and why the
// channel is gone: ErrShutdown, ErrEngineGone, ErrProtocol.
func (c *Channel) Listen(ctx context.Context, local Address, opts *Options) (*Listener, error) {
	const op = "listen"
	coptions, err := opts.toC(ctx, op)
	if err != nil {
		return nil, err
	}
	made := &Listener{channel: c}
	err = control(ctx, func() error {
		defer C.machnet_options_free(coptions)
		c.receiveSide.Lock()
		c.listening++ // flows may be accepted before the listener is known
		c.receiveSide.Unlock()
		err := made.open(op, local.toC(), coptions)
		c.receiveSide.Lock()
		defer c.receiveSide.Unlock()
		c.listening--
		if err == nil {
			made.acceptor = c.acceptorOf(made.token)
			made.acceptor.listener = made
			for _, flow := range made.acceptor.flows {
				flow.listener = made
			}
		}
		return err
	}, func() { made.Close() })
	if err != nil {
		return nil, err
	}
	return made, nil
}

func (l *Listener) open(op string, local *C.machnet_address, coptions *C.machnet_options) error {
	h := l.channel.handle
	h.mu.RLock()
	defer h.mu.RUnlock()
	if l.channel.closed.Load() {
		return closedError(op)
	}
	var failure C.machnet_error
	if status := C.machnet_listener_open(h.channel, local, coptions, &l.token, &failure); status < 0 {
		return controlError(op, status, &failure)
	}
	var bound C.machnet_address
	C.machnet_listener_address(h.channel, l.token, &bound)
	l.address = addressFromC(&bound)
	return nil
}

// acceptorOf finds or makes the acceptor of a listener. Receive side.
func (c *Channel) acceptorOf(token C.uint64_t) *acceptor {
	if c.listeners[token] == nil {
		c.listeners[token] = &acceptor{}
	}
	return c.listeners[token]
}

// accepted notes a new flow. Receive side.
func (c *Channel) accepted(event *C.machnet_event) {
	flow := c.newFlow(event.flow)
	flow.opened = true
	if c.listeners[event.listener] == nil && c.listening == 0 { // it was closed meanwhile
		flow.close(true)
		return
	}
	acceptor := c.acceptorOf(event.listener)
	flow.listener = acceptor.listener
	acceptor.flows = append(acceptor.flows, flow)
	c.events.add(flow, Accepted)
	acceptor.waiters.wakeOne()
	c.accepts.wakeOne()
}

// next takes the oldest flow, if there is one. Receive side.
func (a *acceptor) next(c *Channel) *Flow {
	for len(a.flows) > 0 {
		flow := a.flows[0]
		a.flows = a.flows[1:]
		c.events.told(flow, Accepted)
		if !flow.closed { // by who has it from an event
			return flow
		}
	}
	return nil
}

// Accept waits for the next flow. Errors: ctx.Err(), net.ErrClosed, and why the channel is gone: ErrShutdown, ErrEngineGone, ErrProtocol.
func (l *Listener) Accept(ctx context.Context) (flow *Flow, err error) {
	c := l.channel
	err = c.await(ctx, &l.acceptor.waiters, func() error {
		if l.acceptor.closed {
			return closedError("accept")
		}
		flow, err = c.tryAccept(map[C.uint64_t]*acceptor{l.token: l.acceptor})
		return err
	})
	return flow, err
}

// Accept waits for the next flow of any listener of the channel. Errors: as of Listener.Accept.
func (c *Channel) Accept(ctx context.Context) (flow *Flow, err error) {
	err = c.await(ctx, &c.accepts, func() error {
		flow, err = c.tryAccept(c.listeners)
		return err
	})
	return flow, err
}

func (c *Channel) tryAccept(from map[C.uint64_t]*acceptor) (*Flow, error) {
	if c.closed.Load() {
		return nil, closedError("accept")
	}
	c.takeEvents()
	for _, acceptor := range from {
		if flow := acceptor.next(c); flow != nil {
			return flow, nil
		}
	}
	if c.gone != 0 {
		return nil, statusError("accept", c.gone)
	}
	return nil, errAgain
}

// Address is where the listener accepts, with the port that was chosen.
func (l *Listener) Address() Address { return l.address }

// Channel is the channel of the listener.
func (l *Listener) Channel() *Channel { return l.channel }

// Close stops accepting. Flows that Accept has given live on; those that wait for it are aborted. Waits and later calls end with
// net.ErrClosed, also a second Close. It may wait for a round trip to the engine. Other errors: ErrTimedOut, ErrNoMemory, ErrSystem, and why the channel is gone; the
// listener is closed all the same, except by ErrTimedOut, on which Close may be called again.
func (l *Listener) Close() error {
	const op = "close listener"
	c := l.channel
	status, failure, err := l.closeInC(op)
	if err != nil || status == C.MACHNET_ETIMEDOUT {
		return err
	}
	c.receiveSide.Lock()
	defer c.receiveSide.Unlock()
	if l.acceptor.closed {
		return closedError(op)
	}
	c.takeEvents()
	l.acceptor.closed = true
	delete(c.listeners, l.token)
	for _, flow := range l.acceptor.flows {
		if !flow.closed && !c.closed.Load() {
			flow.close(true)
		}
	}
	l.acceptor.flows = nil
	l.acceptor.waiters.wakeAll()
	if status < 0 {
		return controlError(op, status, failure)
	}
	return nil
}

func (l *Listener) closeInC(op string) (C.int32_t, *C.machnet_error, error) {
	h := l.channel.handle
	h.mu.RLock()
	defer h.mu.RUnlock()
	if l.channel.closed.Load() {
		return 0, nil, closedError(op)
	}
	failure := &C.machnet_error{}
	status := C.machnet_listener_close(h.channel, l.token, 0, failure)
	if status == C.MACHNET_ETIMEDOUT {
		return status, failure, controlError(op, status, failure)
	}
	return status, failure, nil
}
