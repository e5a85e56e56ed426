// SPDX-License-Identifier: MIT

// A throwaway client in Go: the header through cgo, the channel's descriptor in Go's own poller (so a goroutine that waits costs no
// thread). It proves the shape of the ABI; what it taught is in capi/ABI.md.
//
// Usage: smoke SOCKET1 SOCKET2 ADDRESS: echoes messages between a channel on each engine, then ends with status 0.
package main

/*
#cgo LDFLAGS: -lmachnet
#include <stdlib.h>
#include <machnet/machnet.h>
*/
import "C"

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"runtime"
	"syscall"
	"time"
	"unsafe"
)

const (
	batch      = 32
	arenaBytes = 1 << 16
	messages   = 5000
)

type status C.int32_t

func (s status) Error() string {
	return C.GoString(C.machnet_status_name(C.int32_t(s))) + ": " + C.GoString(C.machnet_status_text(C.int32_t(s)))
}

func check(code C.int32_t, failure *C.machnet_error) error {
	if code >= 0 {
		return nil
	}
	if failure != nil && failure.message[0] != 0 {
		return fmt.Errorf("%w: %s", status(code), C.GoString(&failure.message[0]))
	}
	return status(code)
}

type message struct {
	flow, tag uint64
	data      []byte
}

type channel struct {
	handle *C.machnet_channel
	file   *os.File // a duplicate of the channel's descriptor, known to the poller
	poll   syscall.RawConn
	// C memory: cgo must not be given Go memory that it keeps or that holds pointers, and these are reused.
	records *[batch]C.machnet_record
	arena   unsafe.Pointer
	queue   []message
	events  []C.machnet_event
	wakeups int
}

func openChannel(socket string) (*channel, error) {
	var options *C.machnet_options
	var context *C.machnet_context
	var failure C.machnet_error
	c := &channel{}

	if err := check(C.machnet_options_new(&options), nil); err != nil {
		return nil, err
	}
	defer C.machnet_options_free(options)
	path := C.CString(socket)
	defer C.free(unsafe.Pointer(path))
	if err := check(C.machnet_options_set_str(options, C.MACHNET_OPTION_SOCKET_PATH, path), nil); err != nil {
		return nil, err
	}
	if err := check(C.machnet_context_open(C.MACHNET_ABI_VERSION, options, &context, &failure), &failure); err != nil {
		return nil, err
	}
	defer C.machnet_context_unref(context)
	if err := check(C.machnet_channel_open(context, nil, &c.handle, &failure), &failure); err != nil {
		return nil, err
	}
	fd := C.machnet_channel_fd(c.handle)
	if fd < 0 {
		return nil, status(fd)
	}
	// os.File closes what it is given, and only polls what is non-blocking; the channel's descriptor is not ours to close.
	duplicate, err := syscall.Dup(int(fd))
	if err != nil {
		return nil, err
	}
	syscall.CloseOnExec(duplicate)
	if err := syscall.SetNonblock(duplicate, true); err != nil {
		return nil, err
	}
	c.file = os.NewFile(uintptr(duplicate), "machnet channel")
	if c.poll, err = c.file.SyscallConn(); err != nil {
		return nil, err
	}
	c.records = (*[batch]C.machnet_record)(C.calloc(batch, C.sizeof_machnet_record))
	c.arena = C.malloc(arenaBytes)
	return c, nil
}

func (c *channel) close() error {
	c.file.Close()
	C.free(unsafe.Pointer(c.records))
	C.free(c.arena)
	err := check(C.machnet_channel_shutdown(c.handle), nil)
	C.machnet_channel_unref(c.handle)
	return err
}

// take reads until MACHNET_EAGAIN, as the descriptor asks for; any other status is an error.
func (c *channel) take() error {
	for {
		count := C.machnet_recv_packed(c.handle, C.MACHNET_ANY_FLOW, &c.records[0], batch, c.arena, arenaBytes, 0)
		if count == C.MACHNET_EAGAIN {
			break
		}
		if count < 0 {
			return status(count)
		}
		for _, record := range c.records[:count] {
			data := C.GoBytes(unsafe.Add(c.arena, record.offset), C.int(record.length))
			c.queue = append(c.queue, message{uint64(record.flow), uint64(record.tag), data})
		}
	}
	for {
		var events [batch]C.machnet_event
		count := C.machnet_channel_events(c.handle, &events[0], batch, 0)
		if count == C.MACHNET_EAGAIN {
			return nil
		}
		if count < 0 {
			return status(count)
		}
		c.events = append(c.events, events[:count]...)
	}
}

// wait parks this goroutine in Go's poller until there is a message or an event.
func (c *channel) wait() error {
	var failed error
	if err := c.file.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		return err
	}
	err := c.poll.Read(func(uintptr) bool {
		c.wakeups++
		failed = c.take()
		return failed != nil || len(c.queue) > 0 || len(c.events) > 0
	})
	if failed != nil {
		return failed
	}
	return err
}

func (c *channel) expect(kind C.uint32_t) (C.machnet_event, error) {
	for len(c.events) == 0 {
		if err := c.wait(); err != nil {
			return C.machnet_event{}, err
		}
	}
	event := c.events[0]
	c.events = c.events[1:]
	if event._type != kind {
		return event, fmt.Errorf("event %d came, not %d", event._type, kind)
	}
	return event, nil
}

// send hands over all messages, `batch` in a call, and waits for space as often as need be.
func (c *channel) send(flow uint64, list []message) error {
	for len(list) > 0 {
		var records [batch]C.machnet_record
		var arena bytes.Buffer
		count := 0
		for ; count < batch && count < len(list); count++ {
			records[count] = C.machnet_record{flow: C.uint64_t(flow), tag: C.uint64_t(list[count].tag),
				offset: C.uint64_t(arena.Len()), length: C.uint64_t(len(list[count].data))}
			arena.Write(list[count].data)
		}
		arena.WriteByte(0) // so that there is a first byte
		sent := C.machnet_send_packed(c.handle, &records[0], C.uint32_t(count), unsafe.Pointer(&arena.Bytes()[0]),
			C.uint64_t(arena.Len()), 0)
		switch {
		case sent == C.MACHNET_EAGAIN:
			if _, err := c.expect(C.MACHNET_EVENT_SEND_SPACE); err != nil {
				return err
			}
		case sent < 0:
			return status(sent)
		default:
			list = list[sent:]
		}
	}
	return nil
}

func echo(c *channel, flow uint64, count int) error {
	for count > 0 {
		for len(c.queue) == 0 {
			if err := c.wait(); err != nil {
				return err
			}
		}
		list := c.queue
		c.queue = nil
		if err := c.send(flow, list); err != nil {
			return err
		}
		count -= len(list)
	}
	return nil
}

func verify(c *channel, flow uint64, sent []message) error {
	for i := 0; i < len(sent); {
		for len(c.queue) == 0 {
			if err := c.wait(); err != nil {
				return err
			}
		}
		for _, got := range c.queue {
			if got.flow != flow || got.tag != sent[i].tag || !bytes.Equal(got.data, sent[i].data) {
				return fmt.Errorf("message %d came back as tag %d with %d bytes", i, got.tag, len(got.data))
			}
			i++
		}
		c.queue = nil
	}
	return nil
}

func connect(one, two *channel, text string) (flow, accepted uint64, err error) {
	var address C.machnet_address
	var failure C.machnet_error
	var listener, token C.uint64_t
	ctext := C.CString(text)
	defer C.free(unsafe.Pointer(ctext))
	if err = check(C.machnet_address_parse(ctext, &address), nil); err != nil {
		return
	}
	if err = check(C.machnet_listener_open(two.handle, &address, nil, &listener, &failure), &failure); err != nil {
		return
	}
	if err = check(C.machnet_flow_open(one.handle, nil, &address, nil, 0, &token, &failure), &failure); err != nil {
		return
	}
	if _, err = one.expect(C.MACHNET_EVENT_ESTABLISHED); err != nil {
		return
	}
	event, err := two.expect(C.MACHNET_EVENT_ACCEPTED)
	return uint64(token), uint64(event.flow), err
}

// exchange sends 5,000 messages from one channel to the other and back, each channel in a goroutine of its own.
func exchange(one, two *channel, flow, accepted uint64) error {
	sent := make([]message, messages)
	for i := range sent {
		sent[i] = message{flow, uint64(i), bytes.Repeat([]byte{byte(i % 251)}, i%1500)}
	}
	failed := make(chan error, 1)
	go func() { failed <- echo(two, accepted, len(sent)) }()
	const window = 500
	for at := 0; at < len(sent); at += window {
		if err := one.send(flow, sent[at:at+window]); err != nil {
			return err
		}
		if err := verify(one, flow, sent[at:at+window]); err != nil {
			return err
		}
	}
	return <-failed
}

// A goroutine that waits must not hold a thread: with more waiting than threads are allowed for, others go on.
func checkPoller(one *channel) error {
	before := runtime.NumGoroutine()
	timer := time.AfterFunc(50*time.Millisecond, func() { C.machnet_channel_wake(one.handle) })
	defer timer.Stop()
	start, wakeups := time.Now(), one.wakeups
	one.file.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
	err := one.poll.Read(func(uintptr) bool {
		one.wakeups++
		return one.take() != nil || len(one.queue) > 0
	})
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("an idle wait ended with %v", err)
	}
	if time.Since(start) < 250*time.Millisecond || runtime.NumGoroutine() > before+1 {
		return errors.New("an idle wait ended early")
	}
	if calls := one.wakeups - wakeups; calls < 2 || calls > 4 {
		return fmt.Errorf("an idle wait with one wake looked %d times", calls)
	}
	return nil
}

func run(arguments []string) error {
	if len(arguments) != 4 {
		return errors.New("usage: smoke SOCKET1 SOCKET2 ADDRESS")
	}
	one, err := openChannel(arguments[1])
	if err != nil {
		return err
	}
	two, err := openChannel(arguments[2])
	if err != nil {
		return err
	}
	flow, accepted, err := connect(one, two, arguments[3])
	if err != nil {
		return err
	}
	if err := exchange(one, two, flow, accepted); err != nil {
		return err
	}
	if err := checkPoller(one); err != nil {
		return err
	}
	if err := check(C.machnet_flow_close(one.handle, C.uint64_t(flow), 0), nil); err != nil {
		return err
	}
	if event, err := one.expect(C.MACHNET_EVENT_CLOSED); err != nil || event.status != C.MACHNET_OK {
		return fmt.Errorf("our close ended with %v, %v", event.status, err)
	}
	if event, err := two.expect(C.MACHNET_EVENT_CLOSED); err != nil || event.status != C.MACHNET_ECLOSED {
		return fmt.Errorf("the peer's close was told as %v, %v", event.status, err)
	}
	if err := one.close(); err != nil {
		return err
	}
	return two.close()
}

func main() {
	if err := run(os.Args); err != nil {
		fmt.Fprintln(os.Stderr, "smoke:", err)
		os.Exit(1)
	}
	fmt.Println("ok")
}
