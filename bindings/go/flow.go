// SPDX-License-Identifier: MIT

package machnet

// #include "bridge.h"
import "C"

import (
	"context"
	"runtime"
	"sync/atomic"
	"time"
)

// Flow is a reliable, ordered, bidirectional sequence of messages with one peer. Many goroutines may use it at once. It must be closed; one that is forgotten lives as long as its Channel.
type Flow struct {
	channel  *Channel
	token    C.uint64_t
	listener *Listener // that accepted it, or nil

	closed, abort bool          // written with both sides locked
	spaces        atomic.Uint64 // SEND_SPACE events so far
	refused       atomic.Uint64 // a send was refused: there is space again when so many events have come

	// Receive side.
	opened, ended                bool
	status                       C.int32_t // why it ended
	stalled                      uint64
	events                       uint32 // bit per EventType: to be told by Event
	eventPlace, arrivedPlace     place[Flow]
	arrived                      *arrivals // nil: none so far
	receivers, senders, watchers waitQueue // of messages, of space, of its life
}

// newFlow notes a flow. Receive side.
func (c *Channel) newFlow(token C.uint64_t) *Flow {
	flow := &Flow{channel: c, token: token}
	flow.eventPlace.of, flow.arrivedPlace.of = flow, flow
	flow.receivers.total = &c.flowWaiters
	c.flows[token] = flow
	return flow
}

// OpenFlow opens a flow to remote and waits until it is open. `local` is an address of the engine, by default any.
//
// Errors: ErrRefused, ErrUnreachable, ErrPeerDead, ErrVersion, ErrAddress, ErrQuota, ErrNoMemory, ErrNotSupported (an option), ErrInvalid, ctx.Err(), net.ErrClosed, and why the channel is
// gone: ErrShutdown, ErrEngineGone, ErrProtocol. There is no flow then.
func (c *Channel) OpenFlow(ctx context.Context, remote Address, opts *FlowOptions) (*Flow, error) {
	flow, err := c.StartFlow(ctx, remote, opts)
	if err != nil {
		return nil, err
	}
	if err := flow.WaitOpen(ctx); err != nil {
		flow.Abort()
		return nil, explainOpen(err, remote)
	}
	return flow, nil
}

// openHints says what to do about a flow that could not be opened.
var openHints = map[Status]string{
	ErrRefused:     "Start the program that listens there, or check the port",
	ErrUnreachable: "See whether machnetd runs there and uses the same --udp-port, and whether that port may pass",
	ErrQuota:       "See machnet status: this user has no room for one more flow, or the peer has none",
	ErrAddress:     "Choose an address that machnetd here has, of the family of the remote one, or start it with one (--ip)",
	ErrVersion:     "Install the same release of machnetd on both machines",
}

// explainOpen adds where the flow was to go, and what to do next where that is known.
func explainOpen(err error, remote Address) error {
	failure, ok := err.(*Error)
	if !ok {
		return err
	}
	explained := *failure
	explained.Text = "to " + remote.String() + ": " + failure.Err.Error()
	if status, _ := failure.Err.(Status); openHints[status] != "" {
		explained.Text += ". " + openHints[status]
	}
	return &explained
}

// FlowOptions are those of one flow.
type FlowOptions struct {
	Local Address // where it begins; the zero Address: any address of the engine, any port
	Options
}

// StartFlow opens a flow without waiting for the peer: messages may be sent at once, and go out when it is open. WaitOpen tells what became of it. It
// waits only while too many such requests are under way. Errors: those of OpenFlow that do not come from the peer.
func (c *Channel) StartFlow(ctx context.Context, remote Address, opts *FlowOptions) (*Flow, error) {
	const op = "open flow"
	var local *C.machnet_address
	var given *Options
	if opts != nil {
		given = &opts.Options
		if opts.Local != (Address{}) {
			local = opts.Local.toC()
		}
	}
	coptions, err := given.toC(ctx, op)
	if err != nil {
		return nil, err
	}
	defer C.machnet_options_free(coptions)
	for {
		flow, err := c.startFlow(op, local, remote.toC(), coptions)
		if err != errAgain {
			return flow, err
		}
		timer := time.NewTimer(retryAfter) // the engine takes requests off the ring all the time: there is no event for that
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil, ctx.Err()
		}
	}
}

func (c *Channel) startFlow(op string, local, remote *C.machnet_address, coptions *C.machnet_options) (*Flow, error) {
	c.receiveSide.Lock() // so that no message is seen before the flow is known
	defer c.receiveSide.Unlock()
	if err := c.usable(op); err != nil {
		return nil, err
	}
	c.takeEvents() // who only opens and closes must take their ends, too
	c.sendSide.Lock()
	defer c.sendSide.Unlock()
	var token C.uint64_t
	var failure C.machnet_error
	status := C.machnet_flow_open(c.handle.channel, local, remote, coptions, 0, &token, &failure)
	if status == C.MACHNET_EAGAIN {
		return nil, errAgain
	}
	if status < 0 {
		return nil, controlError(op, status, &failure)
	}
	return c.newFlow(token), nil
}

// watch waits until done() says so, or the flow has ended or was closed: then done is asked once more.
func (f *Flow) watch(ctx context.Context, op string, done func() error) error {
	c := f.channel
	return c.await(ctx, &f.watchers, func() error {
		if c.closed.Load() {
			return closedError(op)
		}
		c.takeEvents()
		if err := done(); err != errAgain {
			return err
		}
		if c.gone != 0 {
			return statusError(op, c.gone)
		}
		return errAgain
	})
}

// WaitOpen waits until a flow that StartFlow has begun is open. Errors: those of OpenFlow.
func (f *Flow) WaitOpen(ctx context.Context) error {
	const op = "open flow"
	return f.watch(ctx, op, func() error {
		switch {
		case f.closed:
			return closedError(op)
		case f.opened:
			f.channel.events.told(f, Established)
			return nil
		case f.ended:
			f.channel.events.told(f, Closed)
			return statusError(op, f.status)
		}
		return errAgain
	})
}

// WaitClosed waits for the end of the flow, also after Close: nil means that it was closed here and that the peer's engine has all that was sent. Other ends:
// ErrPeerClosed (io.EOF), ErrReset, ErrPeerDead, ErrPeerRestarted, ErrPeerProtocol, ErrPeerSize, and those of OpenFlow. What was received before can still be taken.
func (f *Flow) WaitClosed(ctx context.Context) error {
	return f.watch(ctx, "wait for the end of the flow", func() error {
		if !f.ended {
			return errAgain
		}
		f.channel.events.told(f, Closed)
		if f.status == C.MACHNET_OK {
			return nil
		}
		return statusError("flow", f.status)
	})
}

// Close ends the flow: unread messages are dropped, messages sent before are still delivered (WaitClosed tells when). It does not wait.
// Waits and later calls end with net.ErrClosed, also a second Close.
func (f *Flow) Close() error { return f.closeOnce(false) }

// Abort ends the flow and drops what was not acknowledged; the peer gets ErrReset.
func (f *Flow) Abort() error { return f.closeOnce(true) }

func (f *Flow) closeOnce(abort bool) error {
	c := f.channel
	c.receiveSide.Lock()
	defer c.receiveSide.Unlock()
	if f.closed || c.closed.Load() {
		return closedError("close flow")
	}
	c.takeEvents()
	f.close(abort)
	return nil
}

// close closes the flow, now or as soon as the engine has room for that. Receive side.
func (f *Flow) close(abort bool) {
	c := f.channel
	c.sendSide.Lock()
	defer c.sendSide.Unlock()
	f.drop()
	f.abort = abort
	var flags C.uint32_t
	if abort {
		flags = C.MACHNET_CLOSE_ABORT
	}
	if C.machnet_flow_close(c.handle.channel, f.token, flags) == C.MACHNET_EAGAIN {
		c.closing = append(c.closing, f)
		c.retrySoon()
	} else if f.ended || c.gone != 0 {
		c.forget(f)
	}
}

// drop makes the flow unusable, and gives back what was received. Both sides.
func (f *Flow) drop() {
	f.closed = true
	f.channel.handle.releaseArrivals(f.arrived)
	f.arrived = nil
	f.arrivedPlace.remove()
	f.wakeAll()
}

// wakeAll wakes whoever waits for anything of the flow. Receive side.
func (f *Flow) wakeAll() {
	f.receivers.wakeAll()
	f.senders.wakeAll()
	f.watchers.wakeAll()
}

// FlowState says how far a flow is.
type FlowState uint32

const (
	FlowOpening FlowState = C.MACHNET_FLOW_OPENING
	FlowOpen    FlowState = C.MACHNET_FLOW_OPEN
	FlowEnded   FlowState = C.MACHNET_FLOW_ENDED // messages that came before can still be received
)

func (s FlowState) String() string {
	switch s {
	case FlowOpening:
		return "OPENING"
	case FlowOpen:
		return "OPEN"
	}
	return "ENDED"
}

// FlowInfo is what is known of a flow.
type FlowInfo struct {
	State                FlowState
	Status               Status // why it ended, or 0
	MessagesSent         uint64 // given to Send, Commit, SendBatch
	MessagesAcknowledged uint64 // held by the peer's engine
	MessagesReceived     uint64 // taken by the program
	MessagesQueued       uint64 // waiting here to be received
	BytesUnacknowledged  uint64
}

// Info tells what is known of the flow. Error: net.ErrClosed.
func (f *Flow) Info() (FlowInfo, error) {
	var info C.machnet_flow_info
	c := f.channel
	c.receiveSide.Lock()
	defer c.receiveSide.Unlock()
	if f.closed || c.closed.Load() {
		return FlowInfo{}, closedError("flow info")
	}
	if status := C.machnet_flow_info_get(c.handle.channel, f.token, &info); status < 0 {
		return FlowInfo{}, statusError("flow info", status)
	}
	var here uint64
	if f.arrived != nil {
		here = uint64(len(f.arrived.left()))
	}
	return FlowInfo{
		State: FlowState(info.state), Status: Status(info.status), MessagesSent: uint64(info.messages_sent),
		MessagesAcknowledged: uint64(info.messages_acknowledged), MessagesReceived: uint64(info.messages_received) - here,
		MessagesQueued: uint64(info.messages_queued) + here, BytesUnacknowledged: uint64(info.bytes_unacknowledged),
	}, nil
}

// Addresses gives both ends of a flow that is or was open. Errors: ErrAgain (it is not open yet), net.ErrClosed.
func (f *Flow) Addresses() (local, remote Address, err error) {
	var clocal, cremote C.machnet_address
	c := f.channel
	c.receiveSide.Lock()
	defer c.receiveSide.Unlock()
	if f.closed || c.closed.Load() {
		return Address{}, Address{}, closedError("flow addresses")
	}
	if status := C.machnet_flow_addresses(c.handle.channel, f.token, &clocal, &cremote); status < 0 {
		return Address{}, Address{}, statusError("flow addresses", status)
	}
	runtime.KeepAlive(f)
	return addressFromC(&clocal), addressFromC(&cremote), nil
}

// Channel is the channel of the flow.
func (f *Flow) Channel() *Channel { return f.channel }

// Listener is the listener that accepted the flow, or nil.
func (f *Flow) Listener() *Listener { return f.listener }
