// SPDX-License-Identifier: MIT

package machnet

// #include "bridge.h"
import "C"

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// Channel is a shared memory with the engine, over which flows are opened and accepted. Many goroutines may use it at once.
//
// The C library has two sides, each for one thread at a time; each has a lock here. Who needs both takes receiveSide first.
type Channel struct {
	handle *handle
	spin   time.Duration
	closed atomic.Bool // set with both sides locked: no call into C from here on, but for releases
	lent   atomic.Bool // memory of C was handed out as a slice

	sendSide sync.Mutex

	receiveSide sync.Mutex // and for all that follows
	gone        C.int32_t  // why the channel is gone, or 0
	waiting     int        // goroutines in await
	flowWaiters int        // of these: waiting for messages of one flow
	anyWaiters  waitQueue  // for messages of any flow
	accepts     waitQueue  // for a flow of any listener
	flows       map[C.uint64_t]*Flow
	closing     []*Flow     // to be closed, as soon as the engine has room for that
	retrying    bool        // dispatch runs soon
	arrived     queue[Flow] // flows with something in Flow.arrived
	listeners   map[C.uint64_t]*acceptor
	listening   int // calls of Listen under way
	events      eventQueue
}

// OpenChannel attaches to the engine: maps the shared memory. Errors: ErrNotSupported (an option), ErrQuota, ErrNoMemory, and those of OpenContext.
func (c *Context) OpenChannel(ctx context.Context, opts *Options) (*Channel, error) {
	const op = "open channel"
	coptions, err := opts.toC(ctx, op)
	if err != nil {
		return nil, err
	}
	made := &Channel{spin: opts.spin(), flows: map[C.uint64_t]*Flow{}, listeners: map[C.uint64_t]*acceptor{}}
	err = control(ctx, func() error {
		defer C.machnet_options_free(coptions)
		c.mu.RLock()
		defer c.mu.RUnlock()
		if c.handle == nil {
			return closedError(op)
		}
		var opened *C.machnet_channel
		var failure C.machnet_error
		if status := C.machnet_channel_open(c.handle, coptions, &opened, &failure); status < 0 {
			return controlError(op, status, &failure)
		}
		var err error
		made.handle, err = newHandle(opened)
		return err
	}, func() { made.Close() })
	if err != nil {
		return nil, err
	}
	return made, nil
}

// Shutdown detaches from the engine: it aborts all flows and closes the listeners; all waits and later calls end with ErrShutdown. Borrowed messages stay
// readable. It may be called again. Close is still needed.
func (c *Channel) Shutdown() error {
	c.handle.shutdown()
	c.receiveSide.Lock()
	defer c.receiveSide.Unlock()
	if c.closed.Load() {
		return closedError("shut down channel")
	}
	c.end(C.MACHNET_ESHUTDOWN)
	return nil
}

// Close shuts the channel down and gives its memory and descriptors back. Waits and later calls end with net.ErrClosed, also a second Close. Borrowed messages stay readable
// until their Release.
//
// After Borrow or Reserve was used on the channel, memory and descriptors go when the garbage collector finds that nothing of the channel is referenced any more, so
// that a slice of theirs that was kept too long can be read without harm.
func (c *Channel) Close() error {
	c.handle.shutdown()
	c.receiveSide.Lock()
	c.sendSide.Lock()
	again := c.closed.Swap(true)
	if !again {
		c.end(C.MACHNET_ESHUTDOWN)
		for _, flow := range c.flows {
			flow.drop()
		}
	}
	c.sendSide.Unlock()
	c.receiveSide.Unlock()
	if again {
		return closedError("close channel")
	}
	if c.lent.Load() {
		c.handle.poller.close()
	} else {
		c.handle.giveBack()
	}
	return nil
}

// end notes why the channel is gone and wakes all who wait. Receive side.
func (c *Channel) end(status C.int32_t) {
	if c.gone == 0 {
		c.gone = status
	}
	for _, flow := range c.flows {
		flow.wakeAll()
	}
	for _, acceptor := range c.listeners {
		acceptor.waiters.wakeAll()
	}
	c.anyWaiters.wakeAll()
	c.accepts.wakeAll()
	c.events.waiters.wakeAll()
}

// usable says why nothing can be done with the channel, or nil. Receive side.
func (c *Channel) usable(op string) error {
	if c.closed.Load() {
		return closedError(op)
	}
	if c.gone != 0 {
		return statusError(op, c.gone)
	}
	return nil
}

// Stats gives the channel's counters by name. They only grow, unless the name ends in "_now".
func (c *Channel) Stats() (map[string]uint64, error) {
	const op, most = "stats", 256
	c.handle.mu.RLock()
	defer c.handle.mu.RUnlock()
	if c.closed.Load() {
		return nil, closedError(op)
	}
	var values [most]C.uint64_t
	count := C.machnet_channel_stats(c.handle.channel, &values[0], most)
	if count < 0 {
		return nil, statusError(op, count)
	}
	stats := make(map[string]uint64, count)
	for i := 0; i < int(count) && i < most; i++ {
		stats[C.GoString(C.machnet_stat_name(C.uint32_t(i)))] = uint64(values[i])
	}
	runtime.KeepAlive(c)
	return stats, nil
}
