// SPDX-License-Identifier: MIT

package machnet

import (
	"os"
	"sync/atomic"
	"syscall"
)

// poller is a goroutine that waits for the channel's descriptor in Go's poller and runs Channel.dispatch whenever it has become
// readable. While nobody waits it holds no reference to the Channel, so that a forgotten one can be collected.
type poller struct {
	file  *os.File // a duplicate: os.File closes what it is given, and polls only what is non-blocking
	ended chan struct{}
	owner atomic.Pointer[Channel] // whose goroutines wait, or nil
}

func newPoller(fd int) (*poller, error) {
	duplicate, _, errno := syscall.Syscall(syscall.SYS_FCNTL, uintptr(fd), syscall.F_DUPFD_CLOEXEC, 0)
	if errno != 0 {
		return nil, systemError("duplicate the channel's descriptor", errno)
	}
	if err := syscall.SetNonblock(int(duplicate), true); err != nil {
		syscall.Close(int(duplicate))
		return nil, systemError("make the channel's descriptor non-blocking", err.(syscall.Errno))
	}
	p := &poller{file: os.NewFile(duplicate, "machnet channel"), ended: make(chan struct{})}
	raw, err := p.file.SyscallConn()
	if err != nil {
		p.file.Close()
		return nil, err
	}
	go p.run(raw)
	return p, nil
}

func systemError(op string, errno syscall.Errno) error {
	return &Error{Op: op, Err: ErrSystem, Errno: errno, Text: errno.Error()}
}

// run looks after each edge of the descriptor, until it is closed. An edge while there is no owner is passed over: who comes to wait makes
// itself known first, then looks.
func (p *poller) run(raw syscall.RawConn) {
	defer close(p.ended)
	raw.Read(func(uintptr) bool {
		if c := p.owner.Load(); c != nil {
			c.dispatch()
		}
		return false
	})
}

// close ends the goroutine and waits for it. It must not be called with the receive side locked.
func (p *poller) close() {
	p.file.Close()
	<-p.ended
}
