// SPDX-License-Identifier: MIT

package machnet

import (
	"context"
	"errors"
	"math/rand"
	"net"
	"runtime"
	"syscall"
	"testing"
	"time"
)

func TestTimeIsOver(t *testing.T) {
	opened, accepted := pair(t, Options{})
	batch := accepted.channel.NewBatch(1, 1)
	waits := map[string]func(context.Context) error{
		"receive":  func(ctx context.Context) error { _, err := opened.Receive(ctx); return err },
		"into":     func(ctx context.Context) error { _, err := opened.ReceiveInto(ctx, nil); return err },
		"any":      func(ctx context.Context) error { _, err := opened.channel.Receive(ctx); return err },
		"borrow":   func(ctx context.Context) error { _, err := opened.Borrow(ctx); return err },
		"batch":    func(ctx context.Context) error { return accepted.channel.ReceiveBatch(ctx, batch) },
		"accept":   func(ctx context.Context) error { _, err := opened.channel.Accept(ctx); return err },
		"listener": func(ctx context.Context) error { _, err := accepted.Listener().Accept(ctx); return err },
		"end":      opened.WaitClosed,
	}
	for name, wait := range waits {
		start := time.Now()
		if err := wait(within(t, 30*time.Millisecond)); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) < 29*time.Millisecond {
			t.Errorf("%s: %v after %v", name, err, time.Since(start))
		}
		ended, cancel := context.WithCancel(context.Background())
		cancel()
		if err := wait(ended); err != context.Canceled {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, err := range map[string]error{
		"receive": func() error { _, err := opened.TryReceive(); return err }(),
		"borrow":  func() error { _, err := opened.TryBorrow(); return err }(),
		"batch":   accepted.TryReceiveBatch(batch),
		"event":   func() error { accepted.channel.TryEvent(); _, err := accepted.channel.TryEvent(); return err }(),
	} {
		if err != ErrAgain || !errors.Is(err, syscall.EAGAIN) {
			t.Errorf("%s without waiting: %v", name, err)
		}
	}
}

func TestCancelledWaitsLoseNothing(t *testing.T) {
	opened, accepted := pair(t, Options{})
	const count = 500
	go func() {
		for i := 0; i < count; i++ {
			time.Sleep(time.Duration(rand.Intn(200)) * time.Microsecond)
			if opened.Send(context.Background(), pattern(i, 10), uint64(i)) != nil {
				return
			}
		}
	}()
	next, cancelled := 0, 0
	for end := time.Now().Add(40 * time.Second); next < count || cancelled < 1000; {
		if time.Now().After(end) {
			t.Fatalf("%d messages, %d waits", next, cancelled)
		}
		ctx, cancel := context.WithCancel(context.Background())
		timer := time.AfterFunc(time.Duration(rand.Intn(200))*time.Microsecond, cancel)
		message, err := accepted.Receive(ctx)
		timer.Stop()
		cancel()
		if err == nil {
			checkMessage(t, message, next, 10, uint64(next))
			next++
		} else if err == context.Canceled {
			cancelled++
		} else {
			t.Fatal(err)
		}
	}
}

func TestIdleWaitsCostNothing(t *testing.T) {
	opened, _ := pair(t, Options{})
	for i := 0; i < 100; i++ {
		go opened.Receive(soon(t))
	}
	c := opened.channel
	eventually(t, "a hundred who wait", func() bool { c.receiveSide.Lock(); defer c.receiveSide.Unlock(); return c.waiting == 100 })
	var used []time.Duration
	for try := 0; try < 5; try++ { // what earlier tests have left to do ends some time
		var before, after syscall.Rusage
		syscall.Getrusage(syscall.RUSAGE_SELF, &before)
		time.Sleep(300 * time.Millisecond)
		syscall.Getrusage(syscall.RUSAGE_SELF, &after)
		used = append(used, time.Duration(after.Utime.Nano()+after.Stime.Nano()-before.Utime.Nano()-before.Stime.Nano()))
		if used[try] < 30*time.Millisecond {
			return
		}
	}
	t.Fatalf("100 goroutines that wait used %v in 300 ms each", used)
}

func TestManyGoroutinesReceiveOnOneFlow(t *testing.T) {
	opened, accepted := pair(t, Options{})
	const count = 400
	got := make(chan uint64, count)
	for i := 0; i < 20; i++ {
		go func() {
			for {
				message, err := accepted.Receive(soon(t))
				if err != nil {
					return
				}
				got <- message.Tag
			}
		}()
	}
	for i := 0; i < count; i++ {
		must(t, opened.Send(soon(t), nil, uint64(i)))
		if i%50 == 0 {
			time.Sleep(time.Millisecond)
		}
	}
	seen := map[uint64]bool{}
	for len(seen) < count {
		select {
		case tag := <-got:
			if seen[tag] {
				t.Fatalf("message %d came twice", tag)
			}
			seen[tag] = true
		case <-soon(t).Done():
			t.Fatalf("only %d came", len(seen))
		}
	}
}

func TestWhoIsWokenWakesTheNext(t *testing.T) {
	opened, accepted := pair(t, Options{})
	c := accepted.channel
	for i := 0; i < 20; i++ {
		got := make(chan error, 3)
		for n := 0; n < cap(got); n++ {
			go func() { _, err := c.Receive(within(t, 10*time.Second)); got <- err }()
		}
		eventually(t, "three who wait", func() bool { c.receiveSide.Lock(); defer c.receiveSide.Unlock(); return c.waiting == cap(got) })
		c.receiveSide.Lock() // all three come before the first of them is looked at
		for n := 0; n < cap(got); n++ {
			must(t, opened.Send(soon(t), nil, 0))
		}
		time.Sleep(5 * time.Millisecond)
		c.receiveSide.Unlock()
		for n := 0; n < cap(got); n++ {
			must(t, <-got)
		}
	}
}

func TestBothAnyAndOneFlowAreServed(t *testing.T) {
	from, to := attach(t, one, Options{}), attach(t, two, Options{})
	a, a2 := connect(t, from, to, two)
	b, b2 := connect(t, from, to, two)
	anyFlow, oneFlow := make(chan Message, 10), make(chan Message, 10)
	go func() {
		message, err := b2.Receive(soon(t))
		if err == nil {
			oneFlow <- message
		}
	}()
	time.Sleep(20 * time.Millisecond)
	go func() {
		message, err := to.Receive(soon(t))
		if err == nil {
			anyFlow <- message
		}
	}()
	time.Sleep(20 * time.Millisecond)
	must(t, a.Send(soon(t), nil, 1))
	if message := <-anyFlow; message.Flow != a2 {
		t.Fatal("not of flow a")
	}
	must(t, b.Send(soon(t), nil, 2))
	select {
	case message := <-oneFlow:
		if message.Tag != 2 {
			t.Fatal("another message")
		}
	case <-soon(t).Done():
		t.Fatal("the goroutine of flow b sleeps")
	}
}

func TestBackpressureUntilThereIsSpace(t *testing.T) {
	opened, accepted := pair(t, Options{})
	data := pattern(1, 60000)
	sent := 0
	for ; opened.Send(within(t, 2*time.Second), data, uint64(sent)) == nil; sent++ { // memory on its way is space, too
		if sent > 10000 {
			t.Fatal("no backpressure")
		}
	}
	mustBe(t, opened.TrySend(data, 0), ErrAgain)
	waited := make(chan error, 3)
	go func() { waited <- opened.Send(soon(t), data, uint64(sent)) }()
	mustBe(t, opened.WaitSendSpace(within(t, 50*time.Millisecond)), context.DeadlineExceeded)
	mustBe(t, opened.Send(within(t, 50*time.Millisecond), data, 0), context.DeadlineExceeded)
	select {
	case err := <-waited:
		t.Fatalf("a send without space ended: %v", err)
	default:
	}
	for i := 0; i <= sent; i++ {
		message, err := accepted.Receive(soon(t))
		must(t, err)
		if message.Tag != uint64(i) || len(message.Data) != len(data) {
			t.Fatalf("message %d has tag %d", i, message.Tag)
		}
	}
	must(t, <-waited)
	must(t, opened.WaitSendSpace(soon(t)))
}

func TestCloseWaitsForAnEngineThatIsBehind(t *testing.T) {
	e, err := startEngine(t.TempDir(), "behind", network+"5")
	must(t, err)
	defer e.stop()
	from, to := attach(t, e, Options{}), attach(t, two, Options{})
	opened, accepted := connect(t, from, to, two)
	filler, _ := connect(t, from, to, two)
	e.pause(t)
	for err = nil; err == nil; { // until the ring to the engine is full
		err = filler.TrySend(nil, 0)
	}
	mustBe(t, err, ErrAgain)
	_, err = from.StartFlow(within(t, 20*time.Millisecond), two.address(1), nil)
	mustBe(t, err, context.DeadlineExceeded)
	waiting := make(chan error, 1)
	go func() { _, err := opened.Receive(soon(t)); waiting <- err }()
	time.Sleep(20 * time.Millisecond)
	must(t, opened.Close())
	mustBe(t, <-waiting, net.ErrClosed)
	mustBe(t, opened.TrySend(nil, 0), net.ErrClosed)
	mustBe(t, opened.WaitClosed(within(t, 20*time.Millisecond)), context.DeadlineExceeded)
	must(t, e.process.Process.Signal(syscall.SIGCONT))
	must(t, opened.WaitClosed(soon(t)))
	mustBe(t, accepted.WaitClosed(soon(t)), ErrPeerClosed)
}

func TestCancelledListenLeavesNoListener(t *testing.T) {
	e, err := startEngine(t.TempDir(), "slow", network+"6")
	must(t, err)
	defer e.stop()
	channel := attach(t, e, Options{})
	e.pause(t)
	_, err = channel.Listen(within(t, 20*time.Millisecond), e.address(7000), nil)
	mustBe(t, err, context.DeadlineExceeded)
	_, err = OpenContext(within(t, 20*time.Millisecond), &Options{SocketPath: e.socket})
	mustBe(t, err, context.DeadlineExceeded)
	must(t, e.process.Process.Signal(syscall.SIGCONT))
	other := attach(t, e, Options{})
	eventually(t, "the port", func() bool { _, err := other.Listen(soon(t), e.address(7000), nil); return err == nil })
}

func TestAReaderThatLooksNowAndThenStillLimitsTheSender(t *testing.T) {
	opened, accepted := pair(t, Options{})
	waiting := accepted.channel
	go waiting.Receive(soon(t)) // somebody waits, so messages are taken on behalf of flows
	_, other := connect(t, opened.channel, waiting, two)
	go other.Receive(soon(t))
	data := pattern(1, 60000)
	sent := 0
	for ; opened.Send(within(t, 500*time.Millisecond), data, 0) == nil; sent++ {
		if sent > 10000 {
			t.Fatal("no backpressure")
		}
	}
	info, err := accepted.Info()
	must(t, err)
	if info.MessagesQueued == 0 || info.MessagesReceived > 1 {
		t.Fatalf("%+v", info)
	}
}

func TestEventsTellEachThingOnce(t *testing.T) {
	from, to := attach(t, one, Options{}), attach(t, two, Options{})
	listener, err := to.Listen(soon(t), two.address(0), nil)
	must(t, err)
	flow, err := from.StartFlow(soon(t), listener.Address(), nil)
	must(t, err)
	event, err := from.Event(soon(t))
	must(t, err)
	if event.Type != Established || event.Flow != flow {
		t.Fatalf("%+v", event)
	}
	event, err = to.Event(soon(t))
	must(t, err)
	accepted := event.Flow
	if event.Type != Accepted || event.Listener != listener {
		t.Fatalf("%+v", event)
	}
	must(t, flow.Close())
	event, err = from.Event(soon(t))
	must(t, err)
	if event.Type != Closed || event.Flow != flow || event.Status != 0 {
		t.Fatalf("%+v", event)
	}
	mustBe(t, accepted.WaitClosed(soon(t)), ErrPeerClosed)
	_, err = to.TryEvent() // WaitClosed has told it
	mustBe(t, err, ErrAgain)
	must(t, accepted.Close())
}

func TestReceiveStalledIsTold(t *testing.T) {
	opened, accepted := pair(t, Options{ReceiveBytes: 16 << 20})
	var held []*BorrowedMessage
	go func() {
		for i := 0; i < 5; i++ {
			if opened.Send(soon(t), make([]byte, 7<<20), 0) != nil {
				return
			}
		}
	}()
	for {
		event, err := accepted.channel.Event(within(t, 300*time.Millisecond))
		if err == nil && event.Type == ReceiveStalled {
			if event.Flow != accepted || event.Value != 7<<20 { // one is held, and there is no room for another beside it
				t.Fatalf("%+v", event)
			}
			break
		}
		if message, err := accepted.TryBorrow(); err == nil {
			held = append(held, message)
		}
		if len(held) == 5 {
			t.Fatal("35 MiB are borrowed of 16")
		}
	}
	for len(held) < 5 {
		if len(held) > 0 {
			held[len(held)-1].Release()
		}
		message, err := accepted.Borrow(soon(t))
		must(t, err)
		held = append(held, message)
	}
}

func TestSpinning(t *testing.T) {
	for _, poll := range []Poll{PollSpin, PollAdaptive} {
		opened, accepted := pair(t, Options{Poll: poll, Spin: 20 * time.Millisecond})
		go echo(accepted)
		for i := 0; i < 20; i++ {
			must(t, opened.Send(soon(t), nil, uint64(i)))
			message, err := opened.Receive(soon(t))
			must(t, err)
			checkMessage(t, message, 0, 0, uint64(i))
		}
		_, err := opened.Receive(within(t, 30*time.Millisecond))
		mustBe(t, err, context.DeadlineExceeded)
		opened.channel.Close()
		accepted.channel.Close()
		runtime.Gosched()
	}
}
