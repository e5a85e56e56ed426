// SPDX-License-Identifier: MIT

// The conformance agent of Go: JSON lines on standard input and output; ../../README.md has the protocol.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime/debug"
	"strconv"
	"time"

	"machnet.invalid/machnet"
)

// request has the fields of all requests.
type request struct {
	ID                                                    json.Number
	Op, Context, Channel, Listener, Flow, Message, Buffer string
	Socket, Name, Poll, Address, Remote, Local            string
	Keep, Names                                           []string
	SendBytes                                             uint64 `json:"send_bytes"`
	ReceiveBytes                                          uint64 `json:"receive_bytes"`
	SpinNs                                                int64  `json:"spin_ns"`
	Option                                                *uint32
	TimeoutMs                                             *int64 `json:"timeout_ms"`
	OpenTimeoutMs                                         int64  `json:"open_timeout_ms"`
	IntervalUs                                            int64  `json:"interval_us"`
	Abort, Thread                                         bool
	ZeroCopy                                              bool `json:"zero_copy"`
	Seed                                                  uint64
	Length                                                int
	Tag                                                   string
	Count, Batch, Max, Waits                              int
	Lengths                                               []int
	Capacity                                              *int
	Messages                                              []struct {
		Seed      uint64
		Length    int
		Tag, Flow string
	}
}

// answer is what is in "ok".
type answer map[string]any

// lacking is an error for what cannot be said in Go.
type lacking string

func (l lacking) Error() string { return string(l) }

// object is what the driver has named, and the name of what it stands on.
type object struct {
	value  any
	parent string
}

type agent struct {
	objects map[string]object
	names   map[*machnet.Flow]string
	events  map[*machnet.Channel][]machnet.Event // taken by wait_stalled, but not what it waits for
}

// get finds an object. A fault of the driver ends the request.
func get[T any](a *agent, name string) T {
	value, ok := a.objects[name].value.(T)
	if !ok {
		panic(fmt.Sprintf("no %T '%s'", value, name))
	}
	return value
}

func (a *agent) name(flow *machnet.Flow) any {
	if name, ok := a.names[flow]; ok {
		return name
	}
	return nil
}

func tagOf(text string) uint64 {
	if text == "" {
		return 0
	}
	tag, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		panic(err)
	}
	return tag
}

// within makes the context of a wait. 0 does not wait: it is cancelled already.
func (r *request) within(absentMs int64) (context.Context, context.CancelFunc) {
	ms := absentMs
	if r.TimeoutMs != nil {
		ms = *r.TimeoutMs
	}
	ctx, cancel := context.WithCancel(context.Background())
	switch {
	case ms == 0:
		cancel()
	case ms > 0:
		cancel()
		return context.WithTimeout(context.Background(), time.Duration(ms)*time.Millisecond)
	}
	return ctx, cancel
}

// statusOf names the status that an error of the binding stands for.
func statusOf(err error) string {
	if status, ok := machnet.StatusOf(err); ok {
		return status.Name()
	}
	switch {
	case errors.Is(err, net.ErrClosed):
		return "CLOSED"
	case errors.Is(err, context.Canceled): // no wait was wanted
		return "MACHNET_EAGAIN"
	case errors.Is(err, context.DeadlineExceeded):
		return "MACHNET_ETIMEDOUT"
	}
	return "AGENT"
}

func failure(err error) answer {
	if why, ok := err.(lacking); ok {
		return answer{"na": string(why)}
	}
	failed := answer{"status": statusOf(err), "message": err.Error()}
	var detail *machnet.Error
	if errors.As(err, &detail) && detail.Length > 0 {
		failed["length"] = detail.Length
	}
	return answer{"error": failed}
}

func (a *agent) handle(r *request) (result answer) {
	defer func() {
		if problem := recover(); problem != nil {
			result = answer{"error": answer{"status": "AGENT", "message": fmt.Sprint(problem)}}
		}
	}()
	op, ok := ops[r.Op]
	if !ok {
		panic("no op " + r.Op)
	}
	value, err := op(a, r)
	if err != nil {
		return failure(err)
	}
	if value == nil {
		value = answer{}
	}
	return answer{"ok": value}
}

// collect runs the collector as often as finalisers that wait for each other need it.
func collect() {
	for i := 0; i < 6; i++ {
		debug.FreeOSMemory() // collects, too
		time.Sleep(5 * time.Millisecond)
	}
}

func main() {
	a := &agent{objects: map[string]object{}, names: map[*machnet.Flow]string{}, events: map[*machnet.Channel][]machnet.Event{}}
	input, output := bufio.NewReader(os.Stdin), json.NewEncoder(os.Stdout)
	for {
		line, err := input.ReadBytes('\n')
		if err != nil {
			return
		}
		r := &request{}
		result := answer{}
		if err := json.Unmarshal(line, r); err != nil {
			result = failure(err)
		} else {
			result = a.handle(r)
		}
		result["id"] = r.ID
		if output.Encode(result) != nil {
			return
		}
	}
}
