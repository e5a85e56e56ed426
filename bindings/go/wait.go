// SPDX-License-Identifier: MIT

package machnet

import (
	"context"
	"runtime"
	"sync"
	"time"
)

// waiter is a goroutine that waits.
type waiter struct {
	ready chan struct{} // of capacity 1: it is woken once for each time it is in a queue
	place place[waiter]
}

// waitQueue has the goroutines that wait for one thing, longest first. Receive side.
type waitQueue struct {
	queue[waiter]
	total *int // counts those in it and in the other queues of its kind; may be nil
}

func (q *waitQueue) wait(w *waiter) {
	q.push(&w.place)
	if q.total != nil {
		*q.total++
	}
}

func (q *waitQueue) leave(w *waiter) {
	w.place.remove()
	if q.total != nil {
		*q.total--
	}
}

func (q *waitQueue) wakeOne() {
	if q.first != nil {
		w := q.first.of
		q.leave(w)
		w.ready <- struct{}{}
	}
}

func (q *waitQueue) wakeAll() {
	for q.first != nil {
		q.wakeOne()
	}
}

var waiters = sync.Pool{New: func() any {
	w := &waiter{ready: make(chan struct{}, 1)}
	w.place.of = w
	return w
}}

// await calls try, with the receive side locked, until it answers anything but errAgain, which it returns; or until ctx ends. Whatever makes
// try succeed wakes `queue`. It looks once even if ctx has ended. A goroutine that was woken wakes the next when it goes, so that none sleeps through what it did not use.
func (c *Channel) await(ctx context.Context, queue *waitQueue, try func() error) error {
	if c.spin != 0 {
		if err := c.look(ctx, try); err != errAgain {
			return err
		}
	}
	w := waiters.Get().(*waiter)
	c.receiveSide.Lock()
	defer c.receiveSide.Unlock()
	c.waiting++
	c.handle.poller.owner.Store(c) // from here on dispatch runs at every edge: what came before is for try
	err := try()
	for err == errAgain {
		queue.wait(w)
		c.receiveSide.Unlock()
		select {
		case <-w.ready:
		case <-ctx.Done():
			err = ctx.Err()
		}
		c.receiveSide.Lock()
		if err == errAgain {
			err = try()
		}
	}
	if w.place.in != nil {
		queue.leave(w)
	} else {
		select { // both had come
		case <-w.ready:
		default:
		}
		queue.wakeOne()
	}
	waiters.Put(w)
	if c.waiting--; c.waiting == 0 {
		c.handle.poller.owner.Store(nil)
	}
	return err
}

// look calls try again and again for as long as the channel's options say.
func (c *Channel) look(ctx context.Context, try func() error) error {
	for begin := time.Now(); ; runtime.Gosched() {
		c.receiveSide.Lock()
		err := try()
		c.receiveSide.Unlock()
		if err != errAgain {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if c.spin > 0 && time.Since(begin) > c.spin {
			return errAgain
		}
	}
}
