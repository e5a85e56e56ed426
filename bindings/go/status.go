// SPDX-License-Identifier: MIT

package machnet

// #include "bridge.h"
import "C"

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"syscall"
)

// Status is one of the statuses of libmachnet, as an error. errors.Is finds it in every error of this package that has one.
type Status int32

// The statuses. What errors.Is finds beside the status itself stands in brackets.
const (
	ErrAgain         Status = C.MACHNET_EAGAIN         // nothing there, or no space now: only from calls named Try… [syscall.EAGAIN]
	ErrInvalid       Status = C.MACHNET_EINVAL         // an argument is out of range [fs.ErrInvalid, syscall.EINVAL]
	ErrNoMemory      Status = C.MACHNET_ENOMEM         // memory, descriptors or address space are exhausted [syscall.ENOMEM]
	ErrNotSupported  Status = C.MACHNET_ENOTSUP        // the library does not know the option, or the call has no use for it [syscall.ENOTSUP]
	ErrVersion       Status = C.MACHNET_EVERSION       // two of binding, library and engines have no version in common
	ErrForked        Status = C.MACHNET_EFORKED        // the object belongs to the parent of this process
	ErrInterrupted   Status = C.MACHNET_EINTR          // a signal was handled during a wait; this package never returns it [syscall.EINTR]
	ErrTimedOut      Status = C.MACHNET_ETIMEDOUT      // no answer of the engine in time [os.ErrDeadlineExceeded, context.DeadlineExceeded, syscall.ETIMEDOUT]
	ErrNoEngine      Status = C.MACHNET_ENOENGINE      // no engine answers on the socket
	ErrEngineGone    Status = C.MACHNET_EENGINEGONE    // the engine ended while we were attached, or gave the channel up
	ErrAccess        Status = C.MACHNET_EACCES         // the engine's socket may not be used by this user [fs.ErrPermission, syscall.EACCES]
	ErrQuota         Status = C.MACHNET_EQUOTA         // a limit of the engine for this user is reached
	ErrShutdown      Status = C.MACHNET_ESHUTDOWN      // the channel was shut down by this program [net.ErrClosed]
	ErrProtocol      Status = C.MACHNET_EPROTOCOL      // the engine broke the rules of the shared memory: the channel is gone [syscall.EPROTO]
	ErrBadToken      Status = C.MACHNET_EBADTOKEN      // the object is of another channel, or of none any more
	ErrMessageSize   Status = C.MACHNET_EMSGSIZE       // the message is longer than the buffer, or than any may be [syscall.EMSGSIZE]
	ErrAddressInUse  Status = C.MACHNET_EADDRINUSE     // another listener has this address [syscall.EADDRINUSE]
	ErrAddress       Status = C.MACHNET_EADDRNOTAVAIL  // the engine does not own this address [syscall.EADDRNOTAVAIL]
	ErrRefused       Status = C.MACHNET_EREFUSED       // nothing listens there, or it will not take the flow [syscall.ECONNREFUSED]
	ErrUnreachable   Status = C.MACHNET_EUNREACHABLE   // no answer from the peer's engine within the time for opening [syscall.EHOSTUNREACH]
	ErrPeerClosed    Status = C.MACHNET_ECLOSED        // the peer closed the flow, after its last message [io.EOF]
	ErrReset         Status = C.MACHNET_ERESET         // the flow was aborted, or the peer's program died [syscall.ECONNRESET]
	ErrPeerDead      Status = C.MACHNET_EPEERDEAD      // the peer's engine was not heard for the dead-peer time [syscall.ETIMEDOUT]
	ErrPeerRestarted Status = C.MACHNET_EPEERRESTARTED // the peer's engine has restarted and forgotten the flow [syscall.ECONNRESET]
	ErrSystem        Status = C.MACHNET_ESYSTEM        // a system call failed; Error.Errno says how
	ErrPeerProtocol  Status = C.MACHNET_EPEERPROTOCOL  // the peer's engine broke the rules of the wire: the flow is ended [syscall.EPROTO]
	ErrLowMemory     Status = C.MACHNET_ELOWMEMORY     // no memory to note a new flow; nothing is lost: free some, call again [syscall.ENOMEM]
	ErrPeerSize      Status = C.MACHNET_EPEERMSGSIZE   // a message that was sent is longer than the peer can ever take: the flow is ended
)

var statusMeans = map[Status][]error{
	ErrAgain:         {syscall.EAGAIN},
	ErrInvalid:       {fs.ErrInvalid, syscall.EINVAL},
	ErrNoMemory:      {syscall.ENOMEM},
	ErrNotSupported:  {syscall.ENOTSUP},
	ErrInterrupted:   {syscall.EINTR},
	ErrTimedOut:      {os.ErrDeadlineExceeded, context.DeadlineExceeded, syscall.ETIMEDOUT},
	ErrAccess:        {fs.ErrPermission, syscall.EACCES},
	ErrShutdown:      {net.ErrClosed},
	ErrProtocol:      {syscall.EPROTO},
	ErrMessageSize:   {syscall.EMSGSIZE},
	ErrAddressInUse:  {syscall.EADDRINUSE},
	ErrAddress:       {syscall.EADDRNOTAVAIL},
	ErrRefused:       {syscall.ECONNREFUSED},
	ErrUnreachable:   {syscall.EHOSTUNREACH},
	ErrPeerClosed:    {io.EOF},
	ErrReset:         {syscall.ECONNRESET},
	ErrPeerDead:      {syscall.ETIMEDOUT},
	ErrPeerRestarted: {syscall.ECONNRESET},
	ErrPeerProtocol:  {syscall.EPROTO},
	ErrLowMemory:     {syscall.ENOMEM},
}

// Error is one sentence for people.
func (s Status) Error() string { return C.GoString(C.machnet_status_text(C.int32_t(s))) }

// Name is the name of the status in C, such as "MACHNET_EREFUSED".
func (s Status) Name() string { return C.GoString(C.machnet_status_name(C.int32_t(s))) }

// Is says whether target is what the standard library calls the same.
func (s Status) Is(target error) bool {
	for _, meant := range statusMeans[s] {
		if target == meant {
			return true
		}
	}
	return false
}

// Timeout says whether time was over; with Temporary it makes a net.Error.
func (s Status) Timeout() bool { return s == ErrTimedOut }

// Temporary is true if the same call may succeed later.
func (s Status) Temporary() bool { return s == ErrAgain || s == ErrLowMemory || s == ErrTimedOut }

// errAgain is ErrAgain, made once: it is compared and returned where nothing may be allocated.
var errAgain error = ErrAgain

// Error is what went wrong: the call, and its cause, which errors.Is and errors.As find.
type Error struct {
	Op     string        // what was tried: "send", "open flow", ...
	Err    error         // a Status, or net.ErrClosed: the object was closed before
	Text   string        // what libmachnet says of it: one or two sentences; or ""
	Errno  syscall.Errno // of the system call that failed, or 0
	Option uint32        // the number of the option that the call has no use for, or 0
	Length uint64        // ErrMessageSize of a receive: bytes of the message, which stays; else 0
}

func (e *Error) Error() string {
	text := e.Text
	if text == "" {
		text = e.Err.Error()
	}
	return "machnet: " + e.Op + ": " + text
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// Is finds the errno of a system call that failed.
func (e *Error) Is(target error) bool { return e.Errno != 0 && target == error(e.Errno) }

// Timeout says whether time was over; with Temporary it makes a net.Error.
func (e *Error) Timeout() bool { s, _ := e.Err.(Status); return s.Timeout() }

// Temporary is true if the same call may succeed later.
func (e *Error) Temporary() bool { s, _ := e.Err.(Status); return s.Temporary() }

// StatusOf returns the status that err carries, and whether it carries one.
func StatusOf(err error) (Status, bool) {
	var status Status
	ok := errors.As(err, &status)
	return status, ok
}

// statusError makes an error of a negative status; ErrAgain is not wrapped.
func statusError(op string, status C.int32_t) error {
	if status == C.MACHNET_EAGAIN {
		return errAgain
	}
	return &Error{Op: op, Err: Status(status)}
}

// controlError makes an error of what a control call has filled in.
func controlError(op string, status C.int32_t, failure *C.machnet_error) error {
	return &Error{Op: op, Err: Status(status), Text: C.GoString(&failure.message[0]),
		Errno: syscall.Errno(failure.os_error), Option: uint32(failure.option)}
}

// closedError says that an object was closed before the call, or during its wait.
func closedError(op string) error { return &Error{Op: op, Err: net.ErrClosed} }
