// SPDX-License-Identifier: MIT

package machnet

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// engine is a machnetd of its own.
type engine struct {
	ip, socket string
	process    *exec.Cmd
}

// network is 127.x.y of this test process.
var network = fmt.Sprintf("127.%d.%d.", 1+os.Getpid()%250, 1+os.Getpid()/250%250)

func build() string {
	if path := os.Getenv("MACHNET_BUILD"); path != "" {
		return path
	}
	return "../../build/release"
}

func startEngine(directory, name, ip string, flags ...string) (*engine, error) {
	e := &engine{ip: ip, socket: filepath.Join(directory, name)}
	e.process = exec.Command(filepath.Join(build(), "bin", "machnetd"), append([]string{"--socket", e.socket, "--ip", ip}, flags...)...)
	e.process.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	log, err := e.process.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := e.process.Start(); err != nil {
		return nil, err
	}
	var said bytes.Buffer
	lines := bufio.NewScanner(log)
	for lines.Scan() {
		fmt.Fprintln(&said, lines.Text())
		if strings.Contains(lines.Text(), "ready") {
			go io.Copy(io.Discard, log)
			return e, nil
		}
	}
	e.process.Wait()
	return nil, errors.New(said.String())
}

func (e *engine) stop() {
	e.process.Process.Kill()
	e.process.Wait()
}

// pause stops all its threads, until SIGCONT.
func (e *engine) pause(t *testing.T) {
	t.Helper()
	must(t, e.process.Process.Signal(syscall.SIGSTOP))
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", e.process.Process.Pid))
	must(t, err)
	for _, thread := range threads {
		eventually(t, "a thread that stops", func() bool {
			stat, err := os.ReadFile(thread)
			return err == nil && bytes.Contains(stat, []byte(") T "))
		})
	}
}

func (e *engine) address(port int) Address {
	if strings.Contains(e.ip, ":") {
		return MustParseAddress(fmt.Sprintf("[%s]:%d", e.ip, port))
	}
	return MustParseAddress(fmt.Sprintf("%s:%d", e.ip, port))
}

// errClosed is what use after close answers.
var errClosed = net.ErrClosed

// one and two are engines that all tests share.
var one, two *engine

func TestMain(m *testing.M) {
	os.Exit(func() int {
		directory, err := os.MkdirTemp("", "machnet-go-")
		if err != nil {
			panic(err)
		}
		defer os.RemoveAll(directory)
		if one, err = startEngine(directory, "one", network+"2"); err != nil {
			panic(err)
		}
		defer one.stop()
		if two, err = startEngine(directory, "two", network+"3"); err != nil {
			panic(err)
		}
		defer two.stop()
		return m.Run()
	}())
}

// soon is a context that ends a test which hangs.
func soon(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// patient is for flows that must open, also where others have all processors.
var patient = &FlowOptions{Options: Options{OpenTimeout: 20 * time.Second}}

func within(t testing.TB, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func mustBe(t testing.TB, err, wanted error) {
	t.Helper()
	if !errors.Is(err, wanted) {
		t.Fatalf("the error is %v, not %v", err, wanted)
	}
}

func attach(t testing.TB, e *engine, opts Options) *Channel {
	t.Helper()
	opts.SocketPath = e.socket
	channel, err := Attach(soon(t), &opts)
	must(t, err)
	t.Cleanup(func() { channel.Close() })
	return channel
}

// pair is a flow from a channel on one to a channel on two.
func pair(t testing.TB, opts Options) (opened, accepted *Flow) {
	t.Helper()
	return connect(t, attach(t, one, opts), attach(t, two, opts), two)
}

func connect(t testing.TB, from, to *Channel, there *engine) (opened, accepted *Flow) {
	t.Helper()
	listener, err := to.Listen(soon(t), there.address(0), nil)
	must(t, err)
	opened, err = from.OpenFlow(soon(t), listener.Address(), patient)
	must(t, err)
	accepted, err = listener.Accept(soon(t))
	must(t, err)
	return opened, accepted
}

func pattern(seed, length int) []byte {
	data := make([]byte, length)
	for i := range data {
		data[i] = byte(seed + i*7 + i>>8)
	}
	return data
}

func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !condition(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not in time: %s", what)
		}
	}
}

// echo sends back all that comes, until the flow ends.
func echo(flow *Flow) {
	for {
		message, err := flow.Receive(context.Background())
		if err != nil || flow.Send(context.Background(), message.Data, message.Tag) != nil {
			return
		}
	}
}
