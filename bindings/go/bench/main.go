// SPDX-License-Identifier: MIT

// What a message of 64 bytes costs in Go, against an echo of the channel's rings in this process, or, with --remote, through engines (remote.go).
// Usage: bench LIBMACHNET_ECHO [--remote ADDRESS]. Prints one line of JSON.
package main

/*
#cgo LDFLAGS: -ldl
#include <dlfcn.h>
#include <stdint.h>
#include <stdlib.h>

static int32_t (*start)(char *, uint64_t);
static uint64_t (*turn)(void);
static void (*stop)(void);

static const char *load(const char *path)
{
    void *library = dlopen(path, RTLD_NOW);
    if (library == NULL)
        return dlerror();
    start = (int32_t (*)(char *, uint64_t))dlsym(library, "machnet_echo_start");
    turn = (uint64_t (*)(void))dlsym(library, "machnet_echo_turn");
    stop = (void (*)(void))dlsym(library, "machnet_echo_stop");
    return start != NULL && turn != NULL && stop != NULL ? NULL : "a function is missing";
}

static int32_t echo_start(char *path, uint64_t capacity) { return start(path, capacity); }
static uint64_t echo_turn(void) { return turn(); }
static int32_t echo_stop(void) { stop(); return 0; }
*/
import "C"

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"sort"
	"time"

	"machnet.invalid/machnet"
)

const (
	length  = 64
	batch   = 32
	singles = 256
	chunk   = 64 // runs for one figure
	warmUp  = 50 * time.Millisecond
	measure = 300 * time.Millisecond
)

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func expect(got, wanted int, what string) {
	if got != wanted {
		check(fmt.Errorf("%s: %d, not %d", what, got, wanted))
	}
}

type bench struct {
	ctx                context.Context
	channel            *machnet.Channel
	flow               *machnet.Flow
	outgoing, incoming *machnet.Batch
	data               []byte
}

func newBench(library string) *bench {
	var path [108]C.char
	if problem := C.load(C.CString(library)); problem != nil {
		check(fmt.Errorf("%s", C.GoString(problem)))
	}
	expect(int(C.echo_start(&path[0], 108)), 0, "start")
	b := &bench{ctx: context.Background(), data: make([]byte, length)}
	var err error
	b.channel, err = machnet.Attach(b.ctx, &machnet.Options{SocketPath: C.GoString(&path[0])})
	check(err)
	b.flow, err = b.channel.StartFlow(b.ctx, machnet.MustParseAddress("127.0.0.1:7000"), nil)
	check(err)
	C.echo_turn()
	check(b.flow.WaitOpen(b.ctx))
	b.fill()
	return b
}

func (b *bench) fill() {
	b.outgoing, b.incoming = b.channel.NewBatch(batch, batch*length), b.channel.NewBatch(batch, batch*length)
	for i := 0; i < batch; i++ {
		check(b.outgoing.Append(b.flow, b.data, uint64(i)))
	}
}

// runBatch and runSingles give the time that sending and receiving took, and how many messages that were.
func (b *bench) runBatch() (time.Duration, int) {
	start := time.Now()
	n, err := b.channel.SendBatch(b.ctx, b.outgoing)
	sent := time.Since(start)
	check(err)
	expect(n, batch, "send")
	expect(int(C.echo_turn()), batch, "echo")
	start = time.Now()
	err = b.flow.ReceiveBatch(b.ctx, b.incoming)
	received := time.Since(start)
	check(err)
	expect(b.incoming.Len(), batch, "receive")
	return sent + received, batch
}

func (b *bench) runSingles() (time.Duration, int) {
	start := time.Now()
	for i := 0; i < singles; i++ {
		check(b.flow.Send(b.ctx, b.data, uint64(i)))
	}
	sent := time.Since(start)
	expect(int(C.echo_turn()), singles, "echo")
	start = time.Now()
	for i := 0; i < singles; i++ {
		message, err := b.flow.Receive(b.ctx)
		check(err)
		expect(int(message.Tag), i, "tag")
	}
	return sent + time.Since(start), singles
}

// median gives ns for each message.
func median(run func() (time.Duration, int)) float64 {
	var figures []float64
	for begin := time.Now(); len(figures) == 0 || time.Since(begin) < warmUp+measure; {
		var taken time.Duration
		messages := 0
		for i := 0; i < chunk; i++ {
			more, count := run()
			taken, messages = taken+more, messages+count
		}
		if time.Since(begin) > warmUp {
			figures = append(figures, float64(taken)/float64(messages))
		}
	}
	sort.Float64s(figures)
	return figures[len(figures)/2]
}

func (b *bench) report(batch, single func() (time.Duration, int)) {
	fmt.Printf("{\"language\": \"go\", \"batch_ns\": %.1f, \"single_ns\": %.1f}\n", median(batch), median(single))
	check(b.channel.Close())
}

func main() {
	switch {
	case len(os.Args) == 2:
		runtime.LockOSThread() // the echo takes its turn on the thread that sends
		b := newBench(os.Args[1])
		b.report(b.runBatch, b.runSingles)
		C.echo_stop()
	case len(os.Args) == 4 && os.Args[2] == "--remote":
		b := newRemote(os.Args[3])
		b.report(b.runRemoteBatch, b.runRoundTrip)
	default:
		fmt.Fprintln(os.Stderr, "usage: bench LIBMACHNET_ECHO [--remote ADDRESS]")
		os.Exit(2)
	}
}
