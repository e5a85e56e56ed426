// SPDX-License-Identifier: MIT

package machnet

// #include "bridge.h"
import "C"

import (
	"context"
	"math/bits"
	"strconv"
)

// EventType says what happened.
type EventType uint32

const (
	Established    EventType = C.MACHNET_EVENT_ESTABLISHED     // a flow that we opened is open
	Accepted       EventType = C.MACHNET_EVENT_ACCEPTED        // Listener has accepted Flow, which Accept gives
	Closed         EventType = C.MACHNET_EVENT_CLOSED          // Flow ended or could not be opened: Status says why; its messages stay receivable until Flow.Close
	SendSpace      EventType = C.MACHNET_EVENT_SEND_SPACE      // Flow answered ErrAgain before and can send again
	ReceiveStalled EventType = C.MACHNET_EVENT_RECEIVE_STALLED // Flow waits for receive space; Value is the bytes this program holds borrowed or unread
)

func (t EventType) String() string {
	switch t {
	case Established:
		return "Established"
	case Accepted:
		return "Accepted"
	case Closed:
		return "Closed"
	case SendSpace:
		return "SendSpace"
	case ReceiveStalled:
		return "ReceiveStalled"
	}
	return "EventType(" + strconv.Itoa(int(t)) + ")"
}

// Event is one thing that happened.
type Event struct {
	Type     EventType
	Flow     *Flow
	Listener *Listener // Accepted; else nil
	Status   Status    // Closed: why, or 0 after our own close; else 0
	Value    uint64    // ReceiveStalled: bytes; else 0
}

// eventQueue has the events that nobody has waited for: of each type at most one for each flow. Receive side.
type eventQueue struct {
	flows   queue[Flow] // those with something in Flow.events
	waiters waitQueue
	listens bool // the program takes events
}

func (q *eventQueue) add(flow *Flow, event EventType) {
	if flow.closed && event != Closed {
		return
	}
	flow.events |= 1 << event
	if flow.eventPlace.in == nil {
		q.flows.push(&flow.eventPlace)
	}
	q.waiters.wakeOne()
}

// told takes back an event that was told in another way.
func (q *eventQueue) told(flow *Flow, event EventType) {
	flow.events &^= 1 << event
	if flow.events == 0 {
		flow.eventPlace.remove()
	}
}

func (q *eventQueue) next() (Event, bool) {
	q.listens = true
	if q.flows.first == nil {
		return Event{}, false
	}
	flow := q.flows.first.of
	event := Event{Type: EventType(bits.TrailingZeros32(flow.events)), Flow: flow}
	switch event.Type {
	case Accepted:
		event.Listener = flow.listener
	case Closed:
		event.Status = Status(flow.status)
	case ReceiveStalled:
		event.Value = flow.stalled
	}
	q.told(flow, event.Type)
	return event, true
}

// TryEvent is Event without waiting: ErrAgain if there is none.
func (c *Channel) TryEvent() (Event, error) {
	c.receiveSide.Lock()
	defer c.receiveSide.Unlock()
	return c.tryEvent()
}

func (c *Channel) tryEvent() (Event, error) {
	if c.closed.Load() {
		return Event{}, closedError("event")
	}
	c.takeEvents()
	if event, ok := c.events.next(); ok {
		return event, nil
	}
	if c.gone != 0 {
		return Event{}, statusError("event", c.gone)
	}
	return Event{}, errAgain
}

// Event waits for an event that no other call has waited for: what OpenFlow, WaitOpen, Accept, Send or WaitClosed have told is not told again here. No program
// needs it; it is for those that want all news in one place. Errors: ctx.Err(), net.ErrClosed, and why the channel is gone: ErrShutdown, ErrEngineGone, ErrProtocol.
func (c *Channel) Event(ctx context.Context) (event Event, err error) {
	err = c.await(ctx, &c.events.waiters, func() (err error) {
		event, err = c.tryEvent()
		return err
	})
	return event, err
}
