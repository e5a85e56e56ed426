// SPDX-License-Identifier: MIT

package machnet

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

func descriptors(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	must(t, err)
	return len(list)
}

func mappings(t *testing.T) int {
	t.Helper()
	maps, err := os.ReadFile("/proc/self/maps")
	must(t, err)
	return strings.Count(string(maps), "memfd:machnet")
}

func TestBothOrdersOfClose(t *testing.T) {
	for _, first := range []int{0, 1} {
		opened, accepted := pair(t, Options{})
		sides := []*Flow{opened, accepted}
		a, b := sides[first], sides[1-first]
		must(t, a.Send(soon(t), []byte("last"), 0))
		must(t, a.Close())
		must(t, a.WaitClosed(soon(t)))
		mustBe(t, b.WaitClosed(soon(t)), io.EOF)
		message, err := b.Receive(soon(t))
		must(t, err)
		if string(message.Data) != "last" {
			t.Fatal("another message")
		}
		_, err = b.Receive(soon(t))
		mustBe(t, err, io.EOF)
		mustBe(t, b.Send(soon(t), nil, 0), ErrPeerClosed)
		must(t, b.Close())
	}
}

func TestAbortIsAReset(t *testing.T) {
	opened, accepted := pair(t, Options{})
	must(t, opened.Abort())
	_, err := accepted.Receive(soon(t))
	mustBe(t, err, ErrReset)
	mustBe(t, err, syscall.ECONNRESET)
}

// uses are all calls that must be refused after a close.
func uses(flow *Flow) map[string]error {
	ctx := context.Background()
	batch := flow.channel.NewBatch(1, 100)
	batch.Append(flow, nil, 0)
	uses := map[string]error{
		"Send": flow.Send(ctx, nil, 0), "TrySend": flow.TrySend(nil, 0), "WaitSendSpace": flow.WaitSendSpace(ctx), "WaitOpen": flow.WaitOpen(ctx),
		"Close": flow.Close(), "Abort": flow.Abort(), "TryReceiveBatch": flow.TryReceiveBatch(flow.channel.NewBatch(1, 1)),
	}
	_, uses["Receive"] = flow.Receive(ctx)
	_, uses["ReceiveInto"] = flow.ReceiveInto(ctx, nil)
	_, uses["TryReceive"] = flow.TryReceive()
	_, uses["Borrow"] = flow.Borrow(ctx)
	_, uses["Reserve"] = flow.Reserve(ctx, 10)
	_, uses["Info"] = flow.Info()
	_, _, uses["Addresses"] = flow.Addresses()
	_, uses["SendBatch"] = flow.channel.SendBatch(ctx, batch)
	_, uses["Conn"] = flow.Conn()
	return uses
}

func TestUseAfterCloseOfTheFlow(t *testing.T) {
	opened, accepted := pair(t, Options{})
	room, err := opened.Reserve(soon(t), 10)
	must(t, err)
	must(t, opened.Close())
	for name, err := range uses(opened) {
		if !errors.Is(err, net.ErrClosed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	mustBe(t, room.Commit(soon(t), 1, 0), net.ErrClosed)
	must(t, room.Release())
	must(t, accepted.Close()) // the channel lives on
	flow, _ := connect(t, opened.channel, accepted.channel, two)
	must(t, flow.Send(soon(t), nil, 0))
}

func TestUseAfterCloseOfTheChannel(t *testing.T) {
	opened, accepted := pair(t, Options{})
	channel, listener := accepted.channel, accepted.Listener()
	message := func() *BorrowedMessage {
		must(t, opened.Send(soon(t), nil, 0))
		message, err := accepted.Borrow(soon(t))
		must(t, err)
		return message
	}()
	must(t, channel.Close())
	uses := uses(accepted)
	ctx := context.Background()
	uses["Channel.Close"] = channel.Close()
	uses["Shutdown"] = channel.Shutdown()
	uses["Listener.Close"] = listener.Close()
	uses["WaitClosed"] = accepted.WaitClosed(ctx)
	_, uses["Stats"] = channel.Stats()
	_, uses["Listener.Accept"] = listener.Accept(ctx)
	_, uses["Channel.Accept"] = channel.Accept(ctx)
	_, uses["Channel.Receive"] = channel.Receive(ctx)
	_, uses["Event"] = channel.Event(ctx)
	_, uses["OpenFlow"] = channel.OpenFlow(ctx, one.address(1), nil)
	_, uses["Listen"] = channel.Listen(ctx, two.address(0), nil)
	for name, err := range uses {
		if !errors.Is(err, net.ErrClosed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	must(t, message.Release())
	c, err := OpenContext(ctx, &Options{SocketPath: one.socket})
	must(t, err)
	must(t, c.Close())
	mustBe(t, c.Close(), net.ErrClosed)
	_, err = c.Status(ctx)
	mustBe(t, err, net.ErrClosed)
	_, err = c.OpenChannel(ctx, nil)
	mustBe(t, err, net.ErrClosed)
}

func TestCloseEndsWaits(t *testing.T) {
	for name, end := range map[string]func(*Flow) error{
		"flow": (*Flow).Close, "channel": func(f *Flow) error { return f.channel.Close() }, "shutdown": func(f *Flow) error { return f.channel.Shutdown() },
	} {
		opened, _ := pair(t, Options{})
		ended := make(chan error, 4)
		go func() { _, err := opened.Receive(soon(t)); ended <- err }()
		go func() { _, err := opened.Borrow(soon(t)); ended <- err }()
		if name != "flow" {
			go func() { _, err := opened.channel.Accept(soon(t)); ended <- err }()
			go func() { _, err := opened.channel.Event(soon(t)); ended <- err }()
		} else {
			ended <- net.ErrClosed
			ended <- net.ErrClosed
		}
		time.Sleep(20 * time.Millisecond)
		must(t, end(opened))
		for i := 0; i < 4; i++ {
			if err := <-ended; !errors.Is(err, net.ErrClosed) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

func TestListenerClose(t *testing.T) {
	from, to := attach(t, one, Options{}), attach(t, two, Options{})
	_, accepted := connect(t, from, to, two)
	listener := accepted.Listener()
	waiting, err := from.OpenFlow(soon(t), listener.Address(), nil) // nobody accepts it
	must(t, err)
	ended := make(chan error, 1)
	other, err := to.Listen(soon(t), two.address(0), nil)
	must(t, err)
	go func() { _, err := other.Accept(soon(t)); ended <- err }()
	_, err = to.Listen(soon(t), other.Address(), nil)
	mustBe(t, err, syscall.EADDRINUSE)
	time.Sleep(20 * time.Millisecond)
	must(t, other.Close())
	mustBe(t, <-ended, net.ErrClosed)
	must(t, listener.Close())
	mustBe(t, listener.Close(), net.ErrClosed)
	mustBe(t, waiting.WaitClosed(soon(t)), ErrReset)
	must(t, accepted.Send(soon(t), nil, 0)) // it lives on
	_, err = from.OpenFlow(soon(t), listener.Address(), nil)
	mustBe(t, err, syscall.ECONNREFUSED)
}

func TestWhatCannotBeOpened(t *testing.T) {
	channel := attach(t, one, Options{Name: "go test"})
	for name, test := range map[string]struct {
		err    error
		wanted error
	}{
		"refused": {func() error { _, err := channel.OpenFlow(soon(t), two.address(1), nil); return err }(), ErrRefused},
		"unreachable": {func() error {
			_, err := channel.OpenFlow(soon(t), MustParseAddress(network+"99:1"), &FlowOptions{Options: Options{OpenTimeout: 50 * time.Millisecond}})
			return err
		}(), ErrUnreachable},
		"cancelled": {func() error {
			_, err := channel.OpenFlow(within(t, 30*time.Millisecond), MustParseAddress(network+"99:1"), nil)
			return err
		}(), context.DeadlineExceeded},
		"no port": {func() error { _, err := channel.OpenFlow(soon(t), Address{}, nil); return err }(), ErrInvalid},
		"wrong option": {func() error {
			_, err := channel.OpenFlow(soon(t), two.address(1), &FlowOptions{Options: Options{Name: "x"}})
			return err
		}(), ErrNotSupported},
		"foreign local": {func() error {
			_, err := channel.OpenFlow(soon(t), two.address(1), &FlowOptions{Local: two.address(0)})
			return err
		}(), ErrAddress},
		"no engine": {func() error { _, err := Attach(soon(t), &Options{SocketPath: "/nowhere/machnet.sock"}); return err }(), ErrNoEngine},
		"unknown option": {func() error {
			_, err := Attach(soon(t), &Options{SocketPath: one.socket, Extra: map[uint32]any{999: 1}})
			return err
		}(), ErrNotSupported},
		"wrong type": {func() error {
			_, err := Attach(soon(t), &Options{SocketPath: one.socket, Extra: map[uint32]any{2: 1.5}})
			return err
		}(), ErrInvalid},
		"long name": {func() error {
			_, err := Attach(soon(t), &Options{SocketPath: one.socket, Name: strings.Repeat("x", 32)})
			return err
		}(), ErrInvalid},
		"NUL":        {func() error { _, err := Attach(soon(t), &Options{SocketPath: one.socket, Name: "a\x00b"}); return err }(), ErrInvalid},
		"foreign IP": {func() error { _, err := channel.Listen(soon(t), two.address(0), nil); return err }(), ErrAddress},
	} {
		if !errors.Is(test.err, test.wanted) {
			t.Errorf("%s: %v, not %v", name, test.err, test.wanted)
		}
	}
	eventually(t, "the end of all that was begun", func() bool {
		channel.TryEvent()
		channel.receiveSide.Lock()
		defer channel.receiveSide.Unlock()
		return len(channel.flows) == 0
	})
}

func TestErrorsSayWhatToDoNext(t *testing.T) {
	channel := attach(t, one, Options{})
	listener, err := channel.Listen(soon(t), one.address(0), nil)
	must(t, err)
	open := func(options Options) error {
		options.SocketPath = one.socket
		_, err := Attach(soon(t), &options)
		return err
	}
	for text, err := range map[string]error{
		"Start machnetd":           func() error { _, err := Attach(soon(t), &Options{SocketPath: "/nowhere/machnet.sock"}); return err }(),
		"at most 31 bytes":         open(Options{Name: strings.Repeat("x", 32)}),
		"Name is a text":           open(Options{Extra: map[uint32]any{2: "a\x00b"}}),
		"1 ms to 1 hour":           open(Options{OpenTimeout: 1}),
		"does not know option 999": open(Options{Extra: map[uint32]any{999: 1}}),
		"is not like 10.0.0.2:":    func() error { _, err := ParseAddress("10.0.0.2"); return err }(),
		"Choose another port":      func() error { _, err := channel.Listen(soon(t), listener.Address(), nil); return err }(),
		"to " + two.ip + ":1: ":    func() error { _, err := channel.OpenFlow(soon(t), two.address(1), nil); return err }(),
		"Start the program that":   func() error { _, err := channel.DialContext(soon(t), "machnet", two.address(1).String()); return err }(),
	} {
		if err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%q is not in: %v", text, err)
		}
	}
}

func TestEngineGoneIsTold(t *testing.T) {
	e, err := startEngine(t.TempDir(), "gone", network+"4")
	must(t, err)
	defer e.stop()
	opened, accepted := connect(t, attach(t, e, Options{}), attach(t, e, Options{}), e)
	must(t, opened.Send(soon(t), []byte("left"), 0))
	eventually(t, "the message", func() bool { info, _ := opened.Info(); return info.MessagesAcknowledged == 1 })
	ended := make(chan error, 2)
	go func() { _, err := opened.Receive(soon(t)); ended <- err }()
	go func() { ended <- opened.WaitClosed(soon(t)) }()
	time.Sleep(20 * time.Millisecond)
	e.stop()
	mustBe(t, <-ended, ErrEngineGone)
	mustBe(t, <-ended, ErrEngineGone)
	message, err := accepted.Receive(soon(t)) // what was delivered is there still
	must(t, err)
	if string(message.Data) != "left" {
		t.Fatal("another message")
	}
	_, err = accepted.Receive(soon(t))
	mustBe(t, err, ErrEngineGone)
	mustBe(t, accepted.Send(soon(t), nil, 0), ErrEngineGone)
	must(t, accepted.Close())
}

func TestContextTellsTheStatus(t *testing.T) {
	c, err := OpenContext(soon(t), &Options{SocketPath: one.socket})
	must(t, err)
	status, err := c.Status(soon(t))
	must(t, err)
	if !strings.HasPrefix(string(status), "{") || !strings.Contains(string(status), one.ip) {
		t.Fatalf("%s", status)
	}
	must(t, c.Close())
}

func TestNothingIsLeft(t *testing.T) {
	open := func() {
		opened, accepted := pair(t, Options{})
		must(t, opened.Send(soon(t), nil, 0))
		_, err := accepted.Receive(soon(t))
		must(t, err)
		must(t, opened.channel.Close())
		must(t, accepted.channel.Close())
	}
	open() // what the run-time opens once
	fds, maps, goroutines := descriptors(t), mappings(t), runtime.NumGoroutine()
	for i := 0; i < 10; i++ {
		open()
	}
	eventually(t, "as few descriptors, mappings and goroutines as before", func() bool { // a goroutine that has done its work still has to end
		return descriptors(t) <= fds && mappings(t) <= maps && runtime.NumGoroutine() <= goroutines
	})
}

// forget uses a channel and leaves everything open.
func forget(t *testing.T) {
	options := &Options{SocketPath: one.socket}
	from, err := Attach(context.Background(), options)
	must(t, err)
	to, err := Attach(context.Background(), options)
	must(t, err)
	opened, accepted := connect(t, from, to, one)
	for i := 0; i < 20; i++ {
		must(t, opened.Send(soon(t), pattern(i, 100), 0))
		message, err := accepted.Borrow(soon(t))
		must(t, err)
		message.Bytes()
	}
	_, err = opened.Reserve(soon(t), 10)
	must(t, err)
	must(t, opened.Send(soon(t), nil, 0))
	takeForFlow(t, accepted, 1)
	conn, err := accepted.Conn()
	must(t, err)
	must(t, opened.Send(soon(t), pattern(1, 100), 0))
	_, err = conn.Read(make([]byte, 1)) // the rest stays with the Conn
	must(t, err)
}

func TestForgottenObjectsAreCollected(t *testing.T) {
	fds, maps, goroutines := descriptors(t), mappings(t), runtime.NumGoroutine()
	for i := 0; i < 5; i++ {
		forget(t)
	}
	eventually(t, "the collection", func() bool {
		runtime.GC()
		return descriptors(t) <= fds && mappings(t) <= maps && runtime.NumGoroutine() <= goroutines
	})
}

func TestForgottenMessagesGiveTheirSpaceBack(t *testing.T) {
	opened, accepted := pair(t, Options{ReceiveBytes: 16 << 20})
	go func() {
		for i := 0; i < 64; i++ {
			if opened.Send(soon(t), pattern(i, 1<<20), uint64(i)) != nil {
				return
			}
		}
	}()
	for i := 0; i < 64; i++ { // four times what can be borrowed
		if i%4 == 3 {
			runtime.GC()
		}
		message, err := accepted.Borrow(soon(t))
		must(t, err)
		if message.Tag() != uint64(i) || message.Bytes()[1] != pattern(i, 2)[1] {
			t.Fatalf("message %d is wrong", i)
		}
		runtime.KeepAlive(message)
	}
}

func TestProgramsThatAreStartedInheritNothing(t *testing.T) {
	opened, _ := pair(t, Options{})
	list, err := exec.Command("ls", "-l", "/proc/self/fd").Output()
	must(t, err)
	if text := string(list); strings.Contains(text, "eventpoll") || strings.Contains(text, "memfd") || strings.Contains(text, "eventfd") {
		t.Fatal(text)
	}
	must(t, opened.Close())
}
