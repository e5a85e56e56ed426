// SPDX-License-Identifier: MIT

package machnet

// #include "bridge.h"
import "C"

import (
	"runtime"
	"time"
)

// What comes from the library, handed to the goroutines that wait for it. All of this is called with the receive side locked, except for dispatch.

const retryAfter = time.Millisecond

// arrival is a message that was taken, where it lies, on behalf of a flow: it counts against the space in which the channel can receive
// until it is released, as one in the library's queue does, so a flow that is not read closes its window as ever.
type arrival struct {
	view   C.machnet_view
	offset int // bytes that were read of it (Conn)
}

// arrivals are the messages that were taken on behalf of one flow. The handle knows them, too: those of a channel that is forgotten are its to release.
type arrivals struct {
	list []arrival // older than all that the library has
	read int       // list[:read] are gone
}

func (a *arrivals) left() []arrival { return a.list[a.read:] }

// dispatch runs when the channel's descriptor has become readable and somebody waits. What nobody waits for stays in the library.
func (c *Channel) dispatch() {
	c.receiveSide.Lock()
	defer c.receiveSide.Unlock()
	if c.closed.Load() {
		return
	}
	c.takeEvents()
	for c.flowWaiters > 0 && c.takeMessages() {
	}
	c.anyWaiters.wakeOne()
}

// retrySoon runs dispatch without an edge: something has to be tried again.
func (c *Channel) retrySoon() {
	if c.retrying {
		return
	}
	c.retrying = true
	time.AfterFunc(retryAfter, func() {
		c.receiveSide.Lock()
		c.retrying = false
		c.receiveSide.Unlock()
		c.dispatch()
	})
}

// takeMessages moves some messages to their flows. It returns false if there are no more.
func (c *Channel) takeMessages() bool {
	receiver := c.handle.receiver
	count := C.bridge_borrow(c.handle.channel, C.MACHNET_ANY_FLOW, receiver, C.BRIDGE_TAKE)
	switch {
	case count == C.MACHNET_EAGAIN:
		return false
	case count == C.MACHNET_ELOWMEMORY:
		c.retrySoon()
		return false
	case count < 0:
		c.end(count)
		return false
	}
	for i := range receiver.views[:count] {
		c.arrive(&receiver.views[i])
	}
	return true
}

func (c *Channel) arrive(view *C.machnet_view) {
	flow := c.flows[view.flow]
	if flow == nil || flow.closed {
		c.handle.release(view.buffer)
		return
	}
	if flow.arrived == nil {
		flow.arrived = &arrivals{}
		c.handle.arrived[flow.arrived] = struct{}{}
	}
	flow.arrived.list = append(flow.arrived.list, arrival{view: *view})
	if flow.arrivedPlace.in == nil {
		c.arrived.push(&flow.arrivedPlace)
	}
	flow.receivers.wakeOne()
}

// takeEvents takes all events of the library, and closes what is to be closed.
func (c *Channel) takeEvents() {
	closing := c.closing
	c.closing = nil
	for _, flow := range closing {
		flow.close(flow.abort)
	}
	for c.gone == 0 && !c.closed.Load() {
		receiver := c.handle.receiver
		count := C.bridge_events(c.handle.channel, receiver)
		switch {
		case count == C.MACHNET_EAGAIN:
			return
		case count == C.MACHNET_ELOWMEMORY:
			c.retrySoon()
			return
		case count < 0:
			c.end(count)
			return
		}
		for i := range receiver.events[:count] {
			c.take(&receiver.events[i])
		}
	}
}

func (c *Channel) take(event *C.machnet_event) {
	if event._type == C.MACHNET_EVENT_ACCEPTED {
		c.accepted(event)
		return
	}
	flow := c.flows[event.flow]
	if flow == nil {
		return
	}
	switch event._type {
	case C.MACHNET_EVENT_ESTABLISHED:
		flow.opened = true
		flow.watchers.wakeAll()
		c.events.add(flow, Established)
	case C.MACHNET_EVENT_CLOSED:
		flow.ended, flow.status = true, event.status
		flow.wakeAll()
		c.events.add(flow, Closed)
		if flow.closed {
			c.forget(flow)
		}
	case C.MACHNET_EVENT_SEND_SPACE:
		flow.spaces.Add(1)
		flow.senders.wakeAll()
		c.events.add(flow, SendSpace)
	case C.MACHNET_EVENT_RECEIVE_STALLED:
		flow.stalled = uint64(event.value)
		c.events.add(flow, ReceiveStalled)
		if c.lent.Load() {
			go runtime.GC() // it may find messages that were forgotten
		}
	}
}

// forget lets go of a flow that has ended and was closed here; if events are taken, its end is still to be told.
func (c *Channel) forget(flow *Flow) {
	delete(c.flows, flow.token)
	flow.events &= 1 << Closed
	if !c.events.listens || flow.events == 0 {
		flow.eventPlace.remove()
	}
}
