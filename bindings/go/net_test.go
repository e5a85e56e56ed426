// SPDX-License-Identifier: MIT

package machnet

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"
)

// What golang.org/x/net/nettest asks of a net.Conn, written here.

func pipe(t *testing.T) (net.Conn, net.Conn) {
	t.Helper()
	from, to := attach(t, one, Options{}), attach(t, two, Options{})
	machnetListener, err := to.Listen(soon(t), two.address(0), nil)
	must(t, err)
	listener := machnetListener.NetListener()
	a, err := from.DialContext(soon(t), "machnet", listener.Addr().String())
	must(t, err)
	b, err := listener.Accept()
	must(t, err)
	t.Cleanup(func() { a.Close(); b.Close() })
	return a, b
}

func TestConnCarriesAStreamBothWays(t *testing.T) {
	a, b := pipe(t)
	sent := pattern(5, 8<<20)
	go func() {
		a.Write(sent)
		a.Write(nil)
		a.Close()
	}()
	var got bytes.Buffer
	buffer := make([]byte, 1000) // shorter than the messages
	for {
		n, err := b.Read(buffer)
		got.Write(buffer[:n])
		if err == io.EOF {
			break
		}
		must(t, err)
		if n == 0 {
			t.Fatal("a Read of nothing")
		}
	}
	if !bytes.Equal(got.Bytes(), sent) {
		t.Fatalf("%d bytes came of %d, or others", got.Len(), len(sent))
	}
	if _, err := b.Write([]byte{1}); err == nil {
		t.Fatal("a Write to a peer that has closed")
	}
}

func TestConnKeepsBoundariesWhereReadsHaveRoom(t *testing.T) {
	a, b := pipe(t)
	for _, text := range []string{"one", "two", "three"} {
		a.Write([]byte(text))
	}
	buffer := make([]byte, 4)
	for _, wanted := range []string{"one", "two", "thre", "e"} {
		n, err := b.Read(buffer)
		if err != nil || string(buffer[:n]) != wanted {
			t.Fatalf("%q, %v", buffer[:n], err)
		}
	}
}

func checkTimeout(t *testing.T, err error) {
	t.Helper()
	var timeout net.Error
	if !errors.As(err, &timeout) || !timeout.Timeout() || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("no timeout: %v", err)
	}
}

func TestConnDeadlines(t *testing.T) {
	a, b := pipe(t)
	buffer := make([]byte, 100)
	a.SetDeadline(time.Unix(1, 0)) // past
	_, err := a.Read(buffer)
	checkTimeout(t, err)
	_, err = a.Write(buffer)
	checkTimeout(t, err)
	a.SetDeadline(time.Time{})
	_, err = a.Write([]byte("x"))
	must(t, err)
	b.SetReadDeadline(time.Now().Add(time.Hour))
	n, err := b.Read(buffer)
	must(t, err)
	if n != 1 {
		t.Fatal(n)
	}
	start := time.Now()
	b.SetReadDeadline(start.Add(50 * time.Millisecond)) // future
	_, err = b.Read(buffer)
	checkTimeout(t, err)
	if time.Since(start) < 49*time.Millisecond {
		t.Error("too early")
	}
	b.SetReadDeadline(time.Time{})
	time.AfterFunc(30*time.Millisecond, func() { b.SetReadDeadline(time.Unix(1, 0)) }) // present
	_, err = b.Read(buffer)
	checkTimeout(t, err)
	a.SetWriteDeadline(time.Now().Add(300 * time.Millisecond))
	for err = nil; err == nil; { // until nothing fits any more
		_, err = a.Write(make([]byte, 1<<20))
	}
	checkTimeout(t, err)
	if _, err = a.Write(buffer); err == nil {
		t.Error("a Write after the deadline")
	}
	a.SetWriteDeadline(time.Time{})
	b.SetReadDeadline(time.Time{})
	go io.Copy(io.Discard, b)
	_, err = a.Write(buffer)
	must(t, err)
}

func TestADeadlineThatIsMovedDoesNotStrike(t *testing.T) {
	var d deadline
	for i := 0; i < 20000; i++ {
		d.set(time.Now().Add(time.Duration(i%100) * 100 * time.Nanosecond))
		d.set(time.Now().Add(time.Hour))
		runtime.Gosched()
		must(t, d.Err())
	}
	d.set(time.Time{})
}

func TestConnCloseEndsReadsAndWrites(t *testing.T) {
	a, b := pipe(t)
	ended := make(chan error, 2)
	go func() { _, err := a.Read(make([]byte, 1)); ended <- err }()
	go func() { _, err := io.Copy(a, zeros{}); ended <- err }()
	time.Sleep(100 * time.Millisecond)
	must(t, a.Close())
	mustBe(t, <-ended, net.ErrClosed)
	mustBe(t, <-ended, net.ErrClosed)
	mustBe(t, a.Close(), net.ErrClosed)
	b.Close()
}

// zeros are without end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

func TestConnMethodsAtOnce(t *testing.T) {
	a, b := pipe(t)
	go io.Copy(b, b)
	var all sync.WaitGroup
	for i := 0; i < 20; i++ {
		for _, use := range []func(){
			func() { a.Read(make([]byte, 1024)) }, func() { a.Write(make([]byte, 1024)) },
			func() { a.SetDeadline(time.Now().Add(10 * time.Millisecond)) }, func() { a.SetReadDeadline(time.Now().Add(10 * time.Millisecond)) },
			func() { a.SetWriteDeadline(time.Now().Add(10 * time.Millisecond)) }, func() { _ = a.LocalAddr().String() + a.RemoteAddr().Network() },
		} {
			all.Add(1)
			go func(use func()) { defer all.Done(); use() }(use)
		}
	}
	time.AfterFunc(50*time.Millisecond, func() { a.SetDeadline(time.Unix(1, 0)) })
	all.Wait()
}
