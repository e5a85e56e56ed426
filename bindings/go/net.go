// SPDX-License-Identifier: MIT

package machnet

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// connPiece is how many bytes Conn.Write puts into one message.
const connPiece = 64 << 10

// Conn makes a flow a net.Conn, a stream of bytes for code that knows nothing of messages. A Write of up to 64 KiB is one message, a longer one several; an
// empty Write sends nothing. A Read gives bytes of one message only: what did not fit stays for the next Read; empty messages are passed
// over. So boundaries are kept as long as every Read has room for the message, and nobody should count on it. Tags are 0 to send and not seen to receive. The peer needs no Conn.
//
// Close delivers what was written before. The end of the stream is io.EOF when the peer has closed its flow; there is no half-close: then nothing can be written any more either.
type Conn struct {
	flow          *Flow
	local, remote Address
	readDeadline  deadline
	writeDeadline deadline

	reading sync.Mutex
	rest    *BorrowedMessage // that Read has begun, or nil
	writing sync.Mutex
}

var _ net.Conn = (*Conn)(nil)

// Conn makes a net.Conn of the flow, which must be open; its messages should be received in no other way from here on. Errors: as of Addresses.
func (f *Flow) Conn() (*Conn, error) {
	local, remote, err := f.Addresses()
	if err != nil {
		return nil, err
	}
	return &Conn{flow: f, local: local, remote: remote}, nil
}

// Flow is the flow below.
func (c *Conn) Flow() *Flow { return c.flow }

func (c *Conn) opError(op string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, io.EOF) && op == "read":
		return io.EOF
	}
	return &net.OpError{Op: op, Net: c.local.Network(), Source: c.local, Addr: c.remote, Err: err}
}

// Read gives the next bytes.
func (c *Conn) Read(p []byte) (int, error) {
	c.reading.Lock()
	defer c.reading.Unlock()
	if err := c.readDeadline.Err(); err != nil {
		return 0, c.opError("read", err)
	}
	if c.rest != nil {
		return c.readRest(p)
	}
	if len(p) == 0 {
		return 0, nil
	}
	for {
		message, err := c.flow.ReceiveInto(&c.readDeadline, p)
		if errors.Is(err, ErrMessageSize) {
			return c.readLong(p)
		}
		if err != nil {
			return 0, c.opError("read", err)
		}
		if len(message.Data) > 0 {
			return len(message.Data), nil
		}
	}
}

// readLong begins a message that is longer than p.
func (c *Conn) readLong(p []byte) (int, error) {
	side := &c.flow.channel.receiveSide
	side.Lock()
	flow, taken, err := inbox{c.flow.channel, c.flow}.borrow()
	side.Unlock()
	if err != nil {
		return 0, c.opError("read", err)
	}
	c.rest = hold(flow, taken)
	return c.readRest(p)
}

func (c *Conn) readRest(p []byte) (int, error) {
	n := copy(p, c.rest.Bytes())
	c.rest.taken.offset += n
	if len(c.rest.Bytes()) == 0 {
		c.giveRestBack()
	}
	return n, nil
}

func (c *Conn) giveRestBack() {
	if c.rest != nil {
		c.rest.Release()
		c.rest = nil
	}
}

// Write sends the bytes, and waits while there is no space.
func (c *Conn) Write(p []byte) (n int, err error) {
	c.writing.Lock()
	defer c.writing.Unlock()
	if err := c.writeDeadline.Err(); err != nil {
		return 0, c.opError("write", err)
	}
	for n < len(p) {
		piece := p[n:]
		if len(piece) > connPiece {
			piece = piece[:connPiece]
		}
		if err := c.flow.Send(&c.writeDeadline, piece, 0); err != nil {
			return n, c.opError("write", err)
		}
		n += len(piece)
	}
	return n, nil
}

// Close closes the flow; what was written is still delivered.
func (c *Conn) Close() error {
	err := c.flow.Close()
	c.reading.Lock() // no Read is left waiting
	defer c.reading.Unlock()
	c.giveRestBack()
	return c.opError("close", err)
}

// LocalAddr is an Address.
func (c *Conn) LocalAddr() net.Addr { return c.local }

// RemoteAddr is an Address.
func (c *Conn) RemoteAddr() net.Addr { return c.remote }

// SetDeadline sets the deadlines of reads and writes, present and future; the zero Time is none.
func (c *Conn) SetDeadline(t time.Time) error {
	c.readDeadline.set(t)
	c.writeDeadline.set(t)
	return nil
}

// SetReadDeadline sets that of reads.
func (c *Conn) SetReadDeadline(t time.Time) error { c.readDeadline.set(t); return nil }

// SetWriteDeadline sets that of writes.
func (c *Conn) SetWriteDeadline(t time.Time) error { c.writeDeadline.set(t); return nil }

// deadline is a context.Context that ends at a time that can be changed. The zero value never ends.
type deadline struct {
	mu    sync.Mutex
	timer *time.Timer
	done  chan struct{}
	over  bool // done is closed
}

func (d *deadline) channel() chan struct{} {
	if d.done == nil {
		d.done = make(chan struct{})
	}
	return d.done
}

func (d *deadline) set(t time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil // one that fires at this moment finds that it is late
	}
	left := time.Until(t)
	if (t.IsZero() || left > 0) && d.over {
		d.done, d.over = nil, false
	}
	switch {
	case t.IsZero():
	case left > 0:
		var timer *time.Timer
		timer = time.AfterFunc(left, func() {
			d.mu.Lock()
			defer d.mu.Unlock()
			if d.timer == timer {
				d.end()
			}
		})
		d.timer = timer
	default:
		d.end()
	}
}

func (d *deadline) end() {
	if !d.over {
		d.over = true
		close(d.channel())
	}
}

// Done is closed when the time is over.
func (d *deadline) Done() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.channel()
}

// Err is os.ErrDeadlineExceeded when the time is over.
func (d *deadline) Err() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.over {
		return os.ErrDeadlineExceeded
	}
	return nil
}

// Deadline tells none: it may change.
func (d *deadline) Deadline() (time.Time, bool) { return time.Time{}, false }

// Value has none.
func (d *deadline) Value(any) any { return nil }

var _ context.Context = (*deadline)(nil)

// DialContext opens a flow as a net.Conn, as net.Dialer.DialContext does; `network` is "machnet". It fits http.Transport and the like.
func (c *Channel) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	remote, err := ParseAddress(address)
	if err == nil && network != remote.Network() {
		err = net.UnknownNetworkError(network)
	}
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: network, Err: err}
	}
	flow, err := c.OpenFlow(ctx, remote, nil)
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: network, Addr: remote, Err: err}
	}
	conn, err := flow.Conn()
	if err != nil { // it was closed meanwhile, with its channel
		return nil, &net.OpError{Op: "dial", Net: network, Addr: remote, Err: err}
	}
	return conn, nil
}

// netListener is a Listener as a net.Listener.
type netListener struct{ *Listener }

// NetListener makes a net.Listener of the listener: its Accept gives Conns.
func (l *Listener) NetListener() net.Listener { return netListener{l} }

func (l netListener) Addr() net.Addr { return l.address }

func (l netListener) Accept() (net.Conn, error) {
	for {
		flow, err := l.Listener.Accept(context.Background())
		if err != nil {
			return nil, &net.OpError{Op: "accept", Net: l.address.Network(), Addr: l.address, Err: err}
		}
		if conn, err := flow.Conn(); err == nil {
			return conn, nil
		}
	}
}
