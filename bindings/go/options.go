// SPDX-License-Identifier: MIT

package machnet

// #include "bridge.h"
import "C"

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// Poll says what a call does before it parks its goroutine.
type Poll int

const (
	PollDefault  Poll = iota // PollSleep
	PollAdaptive             // look again and again for Options.Spin, then park
	PollSpin                 // never park: lowest latency, at the price of a processor for each goroutine that waits
	PollSleep                // park at once
)

// Options of OpenContext, OpenChannel, Attach, Listen and OpenFlow. A field that is zero is not set: the default holds. A field that a call
// has no use for is ErrNotSupported there, with its number in Error.Option. Nil is fine wherever Options are taken.
type Options struct {
	SocketPath   string        // context: the engine's socket. Default: $MACHNET_SOCKET, else /run/machnet/machnet.sock, else $XDG_RUNTIME_DIR/machnet.sock
	Name         string        // channel: at most 31 bytes, shown by `machnet status`. Default: the program's name
	SendBytes    uint64        // channel: most bytes of the send arena. Default 64 MiB; grows on demand
	ReceiveBytes uint64        // channel: most bytes of the receive arena. Default 64 MiB, at least 16 MiB; grows on demand
	Poll         Poll          // channel: how calls wait
	Spin         time.Duration // channel: how long PollAdaptive looks before it parks. Default 50 µs
	OpenTimeout  time.Duration // flow: the peer must answer within it. Default 3 s, at least 1 ms

	// Extra sets options by number that this package has no field for: to a string, a uint64 or an int.
	Extra map[uint32]any
}

// options is a machnet_options under construction; failure is the first error.
type options struct {
	handle  *C.machnet_options
	op      string
	failure error
}

// optionRules says what the fields of Options take.
var optionRules = map[uint32]string{
	C.MACHNET_OPTION_SOCKET_PATH:     "SocketPath is a path of at most 107 bytes",
	C.MACHNET_OPTION_NAME:            "Name is a text of at most 31 bytes without NUL",
	C.MACHNET_OPTION_SEND_BYTES:      "SendBytes is 64 KiB to 64 GiB",
	C.MACHNET_OPTION_RECEIVE_BYTES:   "ReceiveBytes is 64 KiB to 64 GiB",
	C.MACHNET_OPTION_SPIN_NS:         "Spin is at most 1 hour",
	C.MACHNET_OPTION_OPEN_TIMEOUT_NS: "OpenTimeout is 1 ms to 1 hour",
	C.MACHNET_OPTION_POLL:            "Poll is one of the Poll... constants",
}

func (o *options) check(key uint32, status C.int32_t) {
	if status >= 0 || o.failure != nil {
		return
	}
	text := fmt.Sprintf("option %d: %s", key, Status(status))
	if status == C.MACHNET_ENOTSUP {
		text = fmt.Sprintf("this libmachnet (%s) does not know option %d. Leave it out, or install a newer one", LibraryVersion(), key)
	} else if rule := optionRules[key]; rule != "" {
		text = fmt.Sprintf("option %d is of the wrong type or out of range: %s", key, rule)
	}
	o.failure = &Error{Op: o.op, Err: Status(status), Option: key, Text: text}
}

func (o *options) setUint(key uint32, value uint64) {
	if value != 0 {
		o.check(key, C.machnet_options_set_u64(o.handle, C.uint32_t(key), C.uint64_t(value)))
	}
}

func (o *options) setString(key uint32, value string) {
	if value != "" {
		o.setText(key, value)
	}
}

func (o *options) setText(key uint32, value string) {
	if strings.IndexByte(value, 0) >= 0 { // C would see the part before it
		o.check(key, C.MACHNET_EINVAL)
		return
	}
	text := C.CString(value)
	defer freeString(text)
	o.check(key, C.machnet_options_set_str(o.handle, C.uint32_t(key), text))
}

func (o *options) setTime(key uint32, value time.Duration) {
	if value < 0 {
		o.check(key, C.MACHNET_EINVAL)
		return
	}
	o.setUint(key, uint64(value))
}

func (o *options) setExtra(key uint32, value any) {
	switch value := value.(type) {
	case string:
		o.setText(key, value)
	case uint64:
		o.check(key, C.machnet_options_set_u64(o.handle, C.uint32_t(key), C.uint64_t(value)))
	case int:
		if value >= 0 {
			o.check(key, C.machnet_options_set_u64(o.handle, C.uint32_t(key), C.uint64_t(value)))
		} else {
			o.check(key, C.MACHNET_EINVAL)
		}
	default:
		o.check(key, C.MACHNET_EINVAL)
	}
}

// toC makes a machnet_options that the caller frees; nil if there are none.
func (from *Options) toC(ctx context.Context, op string) (*C.machnet_options, error) {
	if err := ctx.Err(); err != nil || from == nil {
		return nil, err
	}
	made := options{op: op}
	if status := C.machnet_options_new(&made.handle); status < 0 {
		return nil, statusError(op, status)
	}
	made.setAll(from)
	if made.failure != nil {
		C.machnet_options_free(made.handle)
		return nil, made.failure
	}
	return made.handle, nil
}

func (o *options) setAll(from *Options) {
	o.setString(C.MACHNET_OPTION_SOCKET_PATH, from.SocketPath)
	o.setString(C.MACHNET_OPTION_NAME, from.Name)
	o.setUint(C.MACHNET_OPTION_SEND_BYTES, from.SendBytes)
	o.setUint(C.MACHNET_OPTION_RECEIVE_BYTES, from.ReceiveBytes)
	o.setTime(C.MACHNET_OPTION_SPIN_NS, from.Spin)
	o.setTime(C.MACHNET_OPTION_OPEN_TIMEOUT_NS, from.OpenTimeout)
	switch from.Poll {
	case PollDefault:
	case PollAdaptive: // 0 in C
		o.setExtra(C.MACHNET_OPTION_POLL, uint64(C.MACHNET_POLL_ADAPTIVE))
	case PollSpin:
		o.setUint(C.MACHNET_OPTION_POLL, C.MACHNET_POLL_SPIN)
	case PollSleep:
		o.setUint(C.MACHNET_OPTION_POLL, C.MACHNET_POLL_SLEEP)
	default:
		o.check(C.MACHNET_OPTION_POLL, C.MACHNET_EINVAL)
	}
	for key, value := range from.Extra {
		o.setExtra(key, value)
	}
}

const defaultSpin = 50 * time.Microsecond

// spin is how long a call looks again before it parks; negative: for ever.
func (from *Options) spin() time.Duration {
	switch {
	case from == nil || from.Poll == PollDefault || from.Poll == PollSleep:
		return 0
	case from.Poll == PollSpin:
		return -1
	case from.Spin == 0:
		return defaultSpin
	}
	return from.Spin
}

// split is what Attach gives to the context, and what to the channel.
func (from *Options) split() (forContext, forChannel *Options) {
	if from == nil {
		return nil, nil
	}
	rest := *from
	rest.SocketPath = ""
	return &Options{SocketPath: from.SocketPath}, &rest
}
