// SPDX-License-Identifier: MIT

package machnet

// #include "bridge.h"
import "C"

import (
	"runtime"
	"sync"
	"unsafe"
)

// bytesPointer is where the bytes are, for the length of one call. Go's memory stays Go's: C keeps none of it.
func bytesPointer(bytes []byte) unsafe.Pointer {
	if len(bytes) == 0 {
		return nil
	}
	return unsafe.Pointer(&bytes[0])
}

func freeString(text *C.char) { C.free(unsafe.Pointer(text)) }

// handle owns a machnet_channel. Nothing that it points to points back at it, so that its finaliser runs when nobody has the Channel, one of
// its Flows or a message of it any more.
type handle struct {
	channel  *C.machnet_channel
	receiver *C.struct_bridge_receiver
	poller   *poller
	arrived  map[*arrivals]struct{} // those of flows that were not dropped; receive side

	mu    sync.RWMutex // shared: calls that any thread may make; exclusive: giving the reference back
	given bool         // under mu: the reference was given back
}

func newHandle(channel *C.machnet_channel) (*handle, error) {
	h := &handle{channel: channel, arrived: map[*arrivals]struct{}{}}
	fd := C.machnet_channel_fd(channel)
	if fd < 0 {
		C.machnet_channel_unref(channel)
		return nil, statusError("open channel", fd)
	}
	var err error
	if h.poller, err = newPoller(int(fd)); err != nil {
		C.machnet_channel_unref(channel)
		return nil, err
	}
	h.receiver = (*C.struct_bridge_receiver)(C.malloc(C.sizeof_struct_bridge_receiver)) // never nil
	runtime.SetFinalizer(h, (*handle).giveBack)
	return h, nil
}

// shutdown detaches from the engine; the memory stays.
func (h *handle) shutdown() {
	h.mu.RLock()
	defer h.mu.RUnlock()
	if !h.given {
		C.machnet_channel_shutdown(h.channel)
	}
}

// giveBack unmaps the memory and closes all descriptors. No call of either side may be under way.
func (h *handle) giveBack() {
	runtime.SetFinalizer(h, nil)
	h.poller.close()
	for left := range h.arrived {
		h.releaseArrivals(left)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.given {
		h.given = true
		C.machnet_channel_unref(h.channel)
		C.free(unsafe.Pointer(h.receiver))
	}
}

// releaseArrivals gives back what was taken on behalf of a flow. Receive side.
func (h *handle) releaseArrivals(a *arrivals) {
	if a == nil {
		return
	}
	for _, left := range a.left() {
		h.release(left.view.buffer)
	}
	delete(h.arrived, a)
}

// release gives a buffer back; it works also after giveBack, for each buffer once. Any goroutine.
func (h *handle) release(buffer C.uint64_t) C.int32_t {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return C.machnet_buffer_release(h.channel, buffer)
}
