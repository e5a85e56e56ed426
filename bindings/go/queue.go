// SPDX-License-Identifier: MIT

package machnet

// place is where a T is in a queue; it is a field of that T.
type place[T any] struct {
	of             *T
	in             *queue[T] // nil: in none
	previous, next *place[T]
}

// queue is a list in the order of push. A queue does not allocate.
type queue[T any] struct{ first, last *place[T] }

func (q *queue[T]) push(p *place[T]) {
	p.in, p.previous, p.next = q, q.last, nil
	if q.last != nil {
		q.last.next = p
	} else {
		q.first = p
	}
	q.last = p
}

// remove takes p out of the queue it is in, if it is in one.
func (p *place[T]) remove() {
	if p.in == nil {
		return
	}
	if p.previous != nil {
		p.previous.next = p.next
	} else {
		p.in.first = p.next
	}
	if p.next != nil {
		p.next.previous = p.previous
	} else {
		p.in.last = p.previous
	}
	p.in, p.previous, p.next = nil, nil, nil
}
