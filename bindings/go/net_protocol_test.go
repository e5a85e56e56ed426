// SPDX-License-Identifier: MIT

package machnet

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// A protocol of the standard library over Conns: lines and dot-encoded texts, pipelined as in SMTP and NNTP. (net_http_test.go has HTTP, which
// is long to compile.)

// serve answers commands of one connection until it ends, or was quiet for too long after one.
func serve(conn net.Conn, quiet time.Duration) error {
	text := textproto.NewConn(conn)
	defer text.Close()
	for {
		command, err := text.ReadLine()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			text.PrintfLine("421 you were quiet")
		}
		if err != nil {
			return err
		}
		conn.SetReadDeadline(time.Time{})
		body, err := text.ReadDotBytes()
		if err != nil {
			return err
		}
		text.PrintfLine("250 %s", command)
		answer := text.DotWriter()
		answer.Write(body)
		if err := answer.Close(); err != nil {
			return err
		}
		conn.SetReadDeadline(time.Now().Add(quiet))
	}
}

// startServer serves all who come, until the listener is closed; `served` has one error for each of them, then that of the listener.
func startServer(t *testing.T, quiet time.Duration) (dial func() *textproto.Conn, listener net.Listener, served chan error) {
	t.Helper()
	from, to := attach(t, one, Options{}), attach(t, two, Options{})
	opened, err := to.Listen(soon(t), two.address(0), nil)
	must(t, err)
	listener, served = opened.NetListener(), make(chan error, 100)
	go func() {
		var all sync.WaitGroup
		for {
			conn, err := listener.Accept()
			if err != nil {
				all.Wait()
				served <- err
				return
			}
			all.Add(1)
			go func() { defer all.Done(); served <- serve(conn, quiet) }()
		}
	}()
	return func() *textproto.Conn {
		conn, err := from.DialContext(soon(t), "machnet", listener.Addr().String())
		must(t, err)
		return textproto.NewConn(conn)
	}, listener, served
}

// body is a text of about `length` bytes, with lines that begin with dots.
func body(seed, length int) string {
	var text strings.Builder
	for line := 0; text.Len() < length; line++ {
		fmt.Fprintf(&text, "%s%d.%d\n", strings.Repeat(".", line%3), seed, line)
	}
	return text.String()
}

// ask sends one command and takes its answer, while others do so on the same connection.
func ask(conn *textproto.Conn, seed, length int) error {
	id, wanted := conn.Next(), body(seed, length)
	conn.StartRequest(id)
	conn.PrintfLine("ECHO %d", seed)
	writer := conn.DotWriter()
	io.WriteString(writer, wanted)
	err := writer.Close()
	conn.EndRequest(id)
	if err != nil {
		return err
	}
	conn.StartResponse(id)
	defer conn.EndResponse(id)
	_, line, err := conn.ReadCodeLine(250)
	if err != nil {
		return err
	}
	got, err := conn.ReadDotBytes()
	if err != nil {
		return err
	}
	if line != fmt.Sprintf("ECHO %d", seed) || string(got) != wanted {
		return fmt.Errorf("%q has %d bytes, or others; asked for %d with %d", line, len(got), seed, len(wanted))
	}
	return nil
}

func TestProtocolWithManyRequestsAtOnce(t *testing.T) {
	const connections, requests = 5, 8
	dial, listener, served := startServer(t, time.Minute)
	var connected []*textproto.Conn
	answered := make(chan error, connections*requests)
	for n := 0; n < connections; n++ {
		conn := dial()
		connected = append(connected, conn)
		for i := 0; i < requests; i++ {
			go func(seed int) { answered <- ask(conn, seed, 1+seed*7919%200000) }(n*requests + i)
		}
	}
	for i := 0; i < connections*requests; i++ {
		must(t, <-answered)
	}
	must(t, listener.Close())
	must(t, ask(connected[0], 1, 1000)) // what was accepted lives on
	for _, conn := range connected {
		must(t, conn.Close())
		mustBe(t, <-served, io.EOF)
	}
	mustBe(t, <-served, net.ErrClosed)
}

func TestProtocolWithDeadlines(t *testing.T) {
	const quiet = 100 * time.Millisecond
	dial, listener, served := startServer(t, quiet)
	conn := dial()
	begin := time.Now()
	must(t, ask(conn, 1, 100000))
	_, _, err := conn.ReadCodeLine(250) // the server speaks up, and goes
	var said *textproto.Error
	if !errors.As(err, &said) || said.Code != 421 || time.Since(begin) < quiet {
		t.Fatalf("%v after %v", err, time.Since(begin))
	}
	_, err = conn.ReadLine()
	mustBe(t, err, io.EOF)
	mustBe(t, <-served, os.ErrDeadlineExceeded)
	must(t, listener.Close())
	mustBe(t, <-served, net.ErrClosed)
}

// What net/http does while a handler works: it reads on, and takes that read back to have the connection for another use.
func TestAReadThatIsTakenBackLosesNothing(t *testing.T) {
	a, b := pipe(t)
	in, back := bufio.NewReader(b), make(chan error, 1)
	for i := 0; i < 100; i++ {
		go func() { _, err := in.Peek(1); back <- err }()
		time.Sleep(time.Duration(i%5) * 100 * time.Microsecond)
		if i%2 == 0 {
			fmt.Fprintf(a, "line %d\n", i)
		}
		b.SetReadDeadline(time.Unix(1, 0))
		if err := <-back; err != nil {
			mustBe(t, err, os.ErrDeadlineExceeded)
		}
		b.SetReadDeadline(time.Time{})
		if i%2 == 0 {
			line, err := in.ReadString('\n')
			if must(t, err); line != fmt.Sprintf("line %d\n", i) {
				t.Fatalf("%d: %q", i, line)
			}
		}
	}
}
