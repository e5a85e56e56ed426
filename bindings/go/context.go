// SPDX-License-Identifier: MIT

package machnet

// #include "bridge.h"
import "C"

import (
	"context"
	"encoding/json"
	"fmt"
	"runtime"
	"sync"
)

// Context is the tie to an engine, from which channels are opened.
type Context struct {
	mu     sync.RWMutex
	handle *C.machnet_context // nil: closed
}

// LibraryVersion is the version of the libmachnet that is loaded, such as "0.1.0".
func LibraryVersion() string { return C.GoString(C.machnet_version_string()) }

// ABIVersions gives the versions of the ABI, major<<16 | minor: of the header this program was built with, and of the library that is loaded.
func ABIVersions() (header, library uint32) {
	return C.MACHNET_ABI_VERSION, uint32(C.machnet_abi_version())
}

// HasFeature says whether the library has a feature: "packed", "zero-copy", "ipv6", ...
func HasFeature(name string) bool {
	text := C.CString(name)
	defer freeString(text)
	return C.machnet_has_feature(text) == 1
}

// checkVersions is the rule for which libraries a header fits: the same major and no lower minor; before 1.0 the same minor.
func checkVersions(header, library uint32) error {
	major, minor, hasMajor, hasMinor := header>>16, header&0xffff, library>>16, library&0xffff
	if major == hasMajor && (minor == hasMinor || major > 0 && minor < hasMinor) {
		return nil
	}
	return &Error{Op: "open context", Err: ErrVersion, Text: fmt.Sprintf(
		"this program was built for version %d.%d of the machnet ABI, but the libmachnet it runs with has %d.%d. Rebuild it, or install the libmachnet it was built with",
		major, minor, hasMajor, hasMinor)}
}

// control runs a call that may block for a round trip to the engine. When ctx ends first, undo is run after the call, if it succeeded.
func control(ctx context.Context, call func() error, undo func()) error {
	if ctx.Done() == nil {
		return call()
	}
	result := make(chan error, 1)
	go func() { result <- call() }()
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
		go func() {
			if <-result == nil && undo != nil {
				undo()
			}
		}()
		return ctx.Err()
	}
}

// OpenContext finds the engine and agrees on versions with it. Errors: ErrNoEngine, ErrAccess, ErrVersion, ErrNotSupported (an option), ErrQuota, ErrNoMemory,
// ErrEngineGone, ErrProtocol, ErrSystem.
func OpenContext(ctx context.Context, opts *Options) (*Context, error) {
	const op = "open context"
	header, library := ABIVersions()
	if err := checkVersions(header, library); err != nil {
		return nil, err
	}
	handle, err := opts.toC(ctx, op)
	if err != nil {
		return nil, err
	}
	made := &Context{}
	err = control(ctx, func() error {
		defer C.machnet_options_free(handle)
		var failure C.machnet_error
		if status := C.machnet_context_open(C.MACHNET_ABI_VERSION, handle, &made.handle, &failure); status < 0 {
			return controlError(op, status, &failure)
		}
		runtime.SetFinalizer(made, (*Context).Close)
		return nil
	}, func() { made.Close() })
	if err != nil {
		return nil, err
	}
	return made, nil
}

// Attach opens a context and one channel of it. Errors: those of OpenContext and OpenChannel.
func Attach(ctx context.Context, opts *Options) (*Channel, error) {
	forContext, forChannel := opts.split()
	c, err := OpenContext(ctx, forContext)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	return c.OpenChannel(ctx, forChannel)
}

// Status is what the engine says of itself, as `machnet status --json` prints it. Errors: as of OpenContext.
func (c *Context) Status(ctx context.Context) (json.RawMessage, error) {
	const op = "ask for the status"
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var text []byte
	err := control(ctx, func() error {
		c.mu.RLock()
		defer c.mu.RUnlock()
		if c.handle == nil {
			return closedError(op)
		}
		var failure C.machnet_error
		for size := 64 << 10; ; {
			var length C.uint64_t
			buffer := make([]byte, size)
			status := C.machnet_context_status(c.handle, (*C.char)(bytesPointer(buffer)), C.uint64_t(size), &length, &failure)
			switch {
			case status >= 0:
				text = buffer[:length]
				return nil
			case status != C.MACHNET_EMSGSIZE:
				return controlError(op, status, &failure)
			}
			size = int(length)*2 + 1
		}
	}, nil)
	if err != nil {
		return nil, err
	}
	return text, nil
}

// Close gives the context back; its channels live on. A second Close is net.ErrClosed.
func (c *Context) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.handle == nil {
		return closedError("close context")
	}
	C.machnet_context_unref(c.handle)
	c.handle = nil
	runtime.SetFinalizer(c, nil)
	return nil
}
