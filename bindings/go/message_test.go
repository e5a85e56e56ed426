// SPDX-License-Identifier: MIT

package machnet

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
)

func checkMessage(t *testing.T, got Message, seed, length int, tag uint64) {
	t.Helper()
	if got.Tag != tag || !bytes.Equal(got.Data, pattern(seed, length)) {
		t.Fatalf("message %d came as tag %d with %d bytes, not tag %d with %d", seed, got.Tag, len(got.Data), tag, length)
	}
}

func TestSizesComeBackAsSent(t *testing.T) {
	opened, accepted := pair(t, Options{})
	go echo(accepted)
	for i, length := range []int{0, 1, 63, 64, 1400, 4095, 4096, 4097, 65536, 65537, 1 << 20, MessageMax} {
		must(t, opened.Send(soon(t), pattern(i, length), ^uint64(i)))
		message, err := opened.Receive(soon(t))
		must(t, err)
		checkMessage(t, message, i, length, ^uint64(i))
		if message.Flow != opened {
			t.Fatal("another flow")
		}
	}
	mustBe(t, opened.Send(soon(t), make([]byte, MessageMax+1), 0), ErrMessageSize)
}

func TestManyMessagesWhileTheWindowIsFull(t *testing.T) {
	opened, accepted := pair(t, Options{})
	go echo(accepted)
	const count = 5000
	go func() {
		for i := 0; i < count; i++ {
			if opened.Send(soon(t), pattern(i, i%1500), uint64(i)) != nil {
				return
			}
		}
	}()
	for i := 0; i < count; i++ {
		message, err := opened.Receive(soon(t))
		must(t, err)
		checkMessage(t, message, i, i%1500, uint64(i))
	}
}

func TestReceiveIntoLeavesWhatDoesNotFit(t *testing.T) {
	opened, accepted := pair(t, Options{})
	must(t, opened.Send(soon(t), pattern(1, 100), 1))
	buffer := make([]byte, 100)
	for _, wait := range []bool{true, false} {
		_, err := accepted.ReceiveInto(soon(t), buffer[:99])
		mustBe(t, err, ErrMessageSize)
		var failure *Error
		if !errors.As(err, &failure) || failure.Length != 100 {
			t.Fatalf("the length is not told: %v", err)
		}
		if wait { // once more with the message on the Go side
			takeForFlow(t, accepted, 1)
		}
	}
	message, err := accepted.ReceiveInto(soon(t), buffer)
	must(t, err)
	checkMessage(t, message, 1, 100, 1)
	_, err = accepted.TryReceiveInto(buffer)
	mustBe(t, err, ErrAgain)
}

func TestBatchesOfSeveralFlows(t *testing.T) {
	from, to := attach(t, one, Options{}), attach(t, two, Options{})
	a, _ := connect(t, from, to, two)
	b, _ := connect(t, from, to, two)
	batch := from.NewBatch(32, 4096)
	for i := 0; i < 32; i++ {
		must(t, batch.Append([]*Flow{a, b}[i%2], pattern(i, i), uint64(i)))
	}
	mustBe(t, batch.Append(a, nil, 0), ErrBatchFull)
	n, err := from.SendBatch(soon(t), batch)
	must(t, err)
	if n != 32 {
		t.Fatalf("%d went out", n)
	}
	back := to.NewBatch(7, 4096)
	for received := 0; received < 32; { // what came goes back as it is
		must(t, to.ReceiveBatch(soon(t), back))
		received += back.Len()
		n, err := to.SendBatch(soon(t), back)
		must(t, err)
		if n != back.Len() {
			t.Fatalf("%d of %d went back", n, back.Len())
		}
	}
	next := map[*Flow]int{a: 0, b: 1}
	incoming := from.NewBatch(32, 4096)
	for next[a] < 32 || next[b] < 33 {
		must(t, from.ReceiveBatch(soon(t), incoming))
		for i := 0; i < incoming.Len(); i++ {
			flow := incoming.Flow(i)
			checkMessage(t, Message{flow, incoming.Tag(i), incoming.Data(i)}, next[flow], next[flow], uint64(next[flow]))
			next[flow] += 2
		}
	}
	mustBe(t, batch.Append(&Flow{channel: to}, nil, 0), ErrBadToken)
	_, err = to.SendBatch(soon(t), batch)
	mustBe(t, err, ErrBadToken)
	must(t, a.Close())
	_, err = from.TrySendBatch(batch)
	mustBe(t, err, errClosed)
}

func TestBatchThatWasReceivedCanBeAppendedTo(t *testing.T) {
	opened, accepted := pair(t, Options{})
	must(t, opened.Send(soon(t), []byte("one"), 1))
	batch := accepted.channel.NewBatch(3, 24)
	eventually(t, "the message", func() bool { return accepted.TryReceiveBatch(batch) == nil })
	must(t, batch.Append(accepted, []byte("two"), 2))
	must(t, batch.Append(accepted, []byte("12345678"), 3))
	mustBe(t, batch.Append(accepted, nil, 4), ErrBatchFull)
	for i, wanted := range []string{"one", "two", "12345678"} {
		if string(batch.Data(i)) != wanted || batch.Tag(i) != uint64(i+1) {
			t.Errorf("message %d is %q with tag %d", i, batch.Data(i), batch.Tag(i))
		}
	}
}

// takeForFlow takes messages off the library on behalf of the flow, as is done while others wait, until there are so many.
func takeForFlow(t *testing.T, flow *Flow, count int) {
	t.Helper()
	eventually(t, "messages", func() bool {
		flow.channel.receiveSide.Lock()
		defer flow.channel.receiveSide.Unlock()
		flow.channel.takeMessages()
		return flow.arrived != nil && len(flow.arrived.left()) == count
	})
}

func TestWhatWasTakenForAFlowIsGivenBack(t *testing.T) {
	opened, accepted := pair(t, Options{})
	for i := 0; i < 6; i++ {
		must(t, opened.Send(soon(t), pattern(i, 100), uint64(i)))
	}
	takeForFlow(t, accepted, 6)
	borrowed := func(wanted uint64) {
		t.Helper()
		if stats, err := accepted.channel.Stats(); err != nil || stats["buffers_borrowed_now"] != wanted {
			t.Fatalf("%d are borrowed, not %d: %v", stats["buffers_borrowed_now"], wanted, err)
		}
	}
	borrowed(6)
	message, err := accepted.TryReceive()
	must(t, err)
	checkMessage(t, message, 0, 100, 0)
	borrowed(5)
	message, err = accepted.TryReceiveInto(make([]byte, 100))
	must(t, err)
	checkMessage(t, message, 1, 100, 1)
	borrowed(4)
	batch := accepted.channel.NewBatch(2, 1000)
	must(t, accepted.TryReceiveBatch(batch))
	if batch.Len() != 2 || batch.Tag(1) != 3 || !bytes.Equal(batch.Data(1), pattern(3, 100)) {
		t.Fatalf("%d messages, the last with tag %d", batch.Len(), batch.Tag(1))
	}
	borrowed(2)
	must(t, accepted.Close())
	borrowed(0)
}

func TestBatchTooSmall(t *testing.T) {
	opened, accepted := pair(t, Options{})
	must(t, opened.Send(soon(t), pattern(1, 100), 1))
	batch := accepted.channel.NewBatch(2, 64)
	err := accepted.ReceiveBatch(soon(t), batch)
	mustBe(t, err, ErrMessageSize)
	var failure *Error
	if !errors.As(err, &failure) || failure.Length != 100 {
		t.Fatalf("the length is not told: %v", err)
	}
	message, err := accepted.TryReceive()
	must(t, err)
	checkMessage(t, message, 1, 100, 1)
}

func TestZeroCopyBothWays(t *testing.T) {
	opened, accepted := pair(t, Options{})
	for i, length := range []int{0, 64, 100000} {
		room, err := opened.Reserve(soon(t), length+10)
		must(t, err)
		copy(room.Bytes(), pattern(i, length))
		mustBe(t, room.Commit(soon(t), length+11, 0), ErrInvalid)
		must(t, room.Commit(soon(t), length, uint64(i)))
		if room.Bytes() != nil {
			t.Fatal("a room that was sent has bytes")
		}
		mustBe(t, room.Commit(soon(t), length, 0), errClosed)
		mustBe(t, room.Release(), errClosed)
		message, err := accepted.Borrow(soon(t))
		must(t, err)
		checkMessage(t, Message{Tag: message.Tag(), Data: message.Bytes()}, i, length, uint64(i))
		must(t, message.Release())
		mustBe(t, message.Release(), errClosed)
		if message.Bytes() != nil || message.Len() != length {
			t.Fatal("a message that was released has bytes")
		}
	}
	abandoned, err := opened.TryReserve(100)
	must(t, err)
	must(t, abandoned.Release())
}

func TestBorrowedMessageOutlivesItsChannel(t *testing.T) {
	opened, accepted := pair(t, Options{})
	must(t, opened.Send(soon(t), pattern(3, 5000), 3))
	message, err := accepted.Borrow(soon(t))
	must(t, err)
	must(t, accepted.Close())
	must(t, accepted.channel.Close())
	must(t, opened.channel.Close())
	runtime.GC()
	stale := message.Bytes()
	checkMessage(t, Message{Tag: 3, Data: stale}, 3, 5000, 3)
	must(t, message.Release())
	runtime.GC()
	_ = append([]byte(nil), stale...) // a mistake, which does no harm
	runtime.KeepAlive(message)
}

func TestThreeGoroutinesOnOneFlow(t *testing.T) {
	opened, accepted := pair(t, Options{})
	go echo(accepted)
	borrowed := make(chan *BorrowedMessage, 16)
	var all sync.WaitGroup
	all.Add(2)
	go func() {
		defer all.Done()
		for i := 0; i < 2000; i++ {
			if err := opened.Send(soon(t), pattern(i, 200), uint64(i)); err != nil {
				t.Error(err)
				return
			}
		}
	}()
	go func() {
		defer all.Done()
		i := 0
		for message := range borrowed {
			if message.Tag() != uint64(i) || !bytes.Equal(message.Bytes(), pattern(i, 200)) {
				t.Errorf("message %d is wrong", i)
			}
			i++
			if err := message.Release(); err != nil {
				t.Error(err)
			}
		}
	}()
	for i := 0; i < 2000; i++ {
		message, err := opened.Borrow(soon(t))
		must(t, err)
		borrowed <- message
	}
	close(borrowed)
	all.Wait()
	if stats, err := opened.channel.Stats(); err != nil || stats["buffers_borrowed_now"] != 0 || stats["messages_sent"] != 2000 {
		t.Fatalf("%v, %v", stats, err)
	}
}

func TestManyFlowsWithAGoroutineEach(t *testing.T) {
	const flows, messages = 200, 20
	from, to := attach(t, one, Options{}), attach(t, two, Options{})
	listener, err := to.Listen(soon(t), two.address(0), nil)
	must(t, err)
	go func() {
		for {
			flow, err := listener.Accept(soon(t))
			if err != nil {
				return
			}
			go echo(flow)
		}
	}()
	failed := make(chan error, flows)
	for n := 0; n < flows; n++ {
		go func(n int) {
			failed <- func() error {
				flow, err := from.OpenFlow(soon(t), listener.Address(), nil)
				if err != nil {
					return err
				}
				for i := 0; i < messages; i++ {
					if err := flow.Send(soon(t), pattern(n, n), uint64(i)); err != nil {
						return err
					}
					message, err := flow.Receive(soon(t))
					if err != nil {
						return err
					}
					if message.Tag != uint64(i) || !bytes.Equal(message.Data, pattern(n, n)) {
						return fmt.Errorf("flow %d: message %d is wrong", n, i)
					}
				}
				flow.Close()
				return flow.WaitClosed(soon(t))
			}()
		}(n)
	}
	for n := 0; n < flows; n++ {
		must(t, <-failed)
	}
	from.receiveSide.Lock()
	defer from.receiveSide.Unlock()
	if len(from.flows) != 0 {
		t.Fatalf("%d flows are left", len(from.flows))
	}
}

func TestIPv6(t *testing.T) {
	port := fmt.Sprint(20000 + os.Getpid()%20000)
	e, err := startEngine(t.TempDir(), "six", "::1", "--udp-port", port)
	must(t, err)
	defer e.stop()
	opened, accepted := connect(t, attach(t, e, Options{}), attach(t, e, Options{}), e)
	must(t, opened.Send(soon(t), pattern(6, 6), 6))
	message, err := accepted.Receive(soon(t))
	must(t, err)
	checkMessage(t, message, 6, 6, 6)
	local, remote, err := accepted.Addresses()
	must(t, err)
	if !local.IP.Is6() || remote.IP.String() != "::1" {
		t.Fatalf("%v, %v", local, remote)
	}
}

func TestSampleHello(t *testing.T) {
	directory := os.Getenv("MACHNET_GO_HELLO")
	if directory == "" {
		t.Skip("test.sh builds it")
	}
	programs, err := filepath.Glob(filepath.Join(directory, "hello*"))
	must(t, err)
	for n, path := range programs {
		address := two.address(7100 + n).String()
		server := exec.Command(path, "listen", address)
		server.Env = append(os.Environ(), "MACHNET_SOCKET="+two.socket, "LD_LIBRARY_PATH="+filepath.Join(build(), "lib"))
		var heard bytes.Buffer
		server.Stdout = &heard
		must(t, server.Start())
		t.Cleanup(func() { server.Process.Kill() })
		var said []byte
		eventually(t, "an answer to "+path, func() bool { // it may not listen yet
			client := exec.Command(path, address)
			client.Env = append(os.Environ(), "MACHNET_SOCKET="+one.socket, "LD_LIBRARY_PATH="+filepath.Join(build(), "lib"))
			said, err = client.CombinedOutput()
			return err == nil
		})
		if string(said) != "received: hello, too\n" {
			t.Fatalf("%s: %s", path, said)
		}
		must(t, server.Wait())
		if heard.String() != "received: hello, world\n" {
			t.Fatalf("%s: %s", path, heard.String())
		}
	}
}
