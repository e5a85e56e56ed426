// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"encoding/json"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"machnet.invalid/machnet"
)

type op func(*agent, *request) (answer, error)

var ops map[string]op

func init() {
	ops = map[string]op{
		"hello": hello, "reset": (*agent).reset, "lose": (*agent).lose, "collect": func(*agent, *request) (answer, error) { collect(); return nil, nil },
		"open_context": openContext, "status": status, "close_context": closeContext,
		"open_channel": openChannel, "shutdown": shutdown, "close_channel": closeChannel, "stats": stats,
		"wake": noWait, "wait": noWait,
		"listen": listen, "accept": accept, "close_listener": closeListener,
		"open_flow": openFlow, "start_flow": openFlow, "wait_open": watch, "wait_closed": watch, "wait_send_space": watch,
		"wait_stalled": waitStalled, "events": events, "addresses": addresses, "info": info, "close_flow": closeFlow,
		"send": send, "send_batch": sendBatch, "send_stream": sendStream, "fill": fill,
		"receive": receive, "receive_batch": receiveBatch, "receive_stream": receiveStream,
		"borrow": borrow, "check": check, "release": release, "reserve": reserve, "commit": commit, "abandon": abandon, "echo": echo,
		"exchange": exchange, "cancel_waits": cancelWaits, "gc_stress": gcStress, "handle_signal": handleSignal,
		"fork": func(*agent, *request) (answer, error) {
			return nil, lacking("Go's run-time does not survive a fork without exec")
		},
		"raw": func(*agent, *request) (answer, error) { return nil, lacking("Go has no tokens to forge") },
	}
}

func noWait(*agent, *request) (answer, error) {
	return nil, lacking("Go waits for each thing by its own call, and ends waits by contexts")
}

func hello(*agent, *request) (answer, error) {
	return answer{"language": "go", "library": machnet.LibraryVersion()}, nil
}

// forget takes the names away.
func (a *agent) forget(name string) {
	switch value := a.objects[name].value.(type) {
	case *machnet.Flow:
		delete(a.names, value)
	case *machnet.Channel:
		delete(a.events, value)
	}
	delete(a.objects, name)
}

func (a *agent) reset(r *request) (answer, error) {
	kept := map[string]bool{}
	for _, name := range r.Keep {
		for ; name != ""; name = a.objects[name].parent {
			kept[name] = true
		}
	}
	for name := range a.objects {
		if !kept[name] {
			a.giveUp(name)
		}
	}
	collect()
	return nil, nil
}

func (a *agent) giveUp(name string) {
	switch value := a.objects[name].value.(type) {
	case *machnet.BorrowedMessage:
		value.Release()
	case *machnet.ReservedMessage:
		value.Release()
	case interface{ Close() error }:
		value.Close()
	}
	a.forget(name)
}

func (a *agent) lose(r *request) (answer, error) {
	lost := map[string]bool{}
	for _, name := range r.Names {
		lost[name] = true
	}
	for _, name := range r.Names {
		switch a.objects[name].value.(type) {
		case *machnet.Flow, *machnet.Listener:
			if !lost[a.objects[name].parent] {
				return nil, lacking("flows and listeners that are forgotten live as long as their channel")
			}
		}
	}
	for name := range lost {
		a.forget(name)
	}
	collect()
	return nil, nil
}

func openContext(a *agent, r *request) (answer, error) {
	ctx, cancel := r.within(5000)
	defer cancel()
	opened, err := machnet.OpenContext(ctx, &machnet.Options{SocketPath: r.Socket})
	if err == nil {
		a.objects[r.Context] = object{opened, ""}
	}
	return nil, err
}

func status(a *agent, r *request) (answer, error) {
	ctx, cancel := r.within(5000)
	defer cancel()
	text, err := get[*machnet.Context](a, r.Context).Status(ctx)
	if err != nil {
		return nil, err
	}
	var parsed json.RawMessage
	if err := json.Unmarshal(text, &parsed); err != nil {
		panic(err)
	}
	return answer{"status": parsed}, nil
}

func closeContext(a *agent, r *request) (answer, error) {
	return nil, get[*machnet.Context](a, r.Context).Close()
}

func openChannel(a *agent, r *request) (answer, error) {
	ctx, cancel := r.within(5000)
	defer cancel()
	polls := map[string]machnet.Poll{"adaptive": machnet.PollAdaptive, "spin": machnet.PollSpin, "sleep": machnet.PollSleep}
	opts := &machnet.Options{Name: r.Name, SendBytes: r.SendBytes, ReceiveBytes: r.ReceiveBytes, Poll: polls[r.Poll], Spin: time.Duration(r.SpinNs)}
	if r.Option != nil {
		opts.Extra = map[uint32]any{*r.Option: 1}
	}
	opened, err := get[*machnet.Context](a, r.Context).OpenChannel(ctx, opts)
	if err == nil {
		a.objects[r.Channel] = object{opened, r.Context}
	}
	return nil, err
}

func shutdown(a *agent, r *request) (answer, error) {
	return nil, get[*machnet.Channel](a, r.Channel).Shutdown()
}

func closeChannel(a *agent, r *request) (answer, error) {
	return nil, get[*machnet.Channel](a, r.Channel).Close()
}

func stats(a *agent, r *request) (answer, error) {
	stats, err := get[*machnet.Channel](a, r.Channel).Stats()
	return answer{"stats": stats}, err
}

func listen(a *agent, r *request) (answer, error) {
	ctx, cancel := r.within(5000)
	defer cancel()
	address, err := machnet.ParseAddress(r.Address)
	if err != nil {
		return nil, err
	}
	opened, err := get[*machnet.Channel](a, r.Channel).Listen(ctx, address, nil)
	if err != nil {
		return nil, err
	}
	a.objects[r.Listener] = object{opened, r.Channel}
	return answer{"address": opened.Address().String()}, nil
}

func (a *agent) keepFlow(r *request, flow *machnet.Flow, parent string) {
	a.objects[r.Flow] = object{flow, parent}
	a.names[flow] = r.Flow
}

func accept(a *agent, r *request) (answer, error) {
	ctx, cancel := r.within(5000)
	defer cancel()
	flow, err := get[*machnet.Listener](a, r.Listener).Accept(ctx)
	if err == nil {
		a.keepFlow(r, flow, a.objects[r.Listener].parent)
	}
	return nil, err
}

func closeListener(a *agent, r *request) (answer, error) {
	return nil, get[*machnet.Listener](a, r.Listener).Close()
}

func openFlow(a *agent, r *request) (flowAnswer answer, err error) {
	ctx, cancel := r.within(5000)
	defer cancel()
	channel := get[*machnet.Channel](a, r.Channel)
	opts := &machnet.FlowOptions{Options: machnet.Options{OpenTimeout: time.Duration(r.OpenTimeoutMs) * time.Millisecond}}
	remote, err := machnet.ParseAddress(r.Remote)
	if err == nil && r.Local != "" {
		opts.Local, err = machnet.ParseAddress(r.Local)
	}
	if err != nil {
		return nil, err
	}
	var flow *machnet.Flow
	if r.Op == "start_flow" {
		flow, err = channel.StartFlow(context.Background(), remote, opts)
	} else {
		flow, err = channel.OpenFlow(ctx, remote, opts)
	}
	if err == nil {
		a.keepFlow(r, flow, r.Channel)
	}
	return nil, err
}

func watch(a *agent, r *request) (answer, error) {
	ctx, cancel := r.within(5000)
	defer cancel()
	flow := get[*machnet.Flow](a, r.Flow)
	switch r.Op {
	case "wait_open":
		return nil, flow.WaitOpen(ctx)
	case "wait_send_space":
		return nil, flow.WaitSendSpace(ctx)
	}
	err := flow.WaitClosed(ctx)
	if err == nil {
		return answer{"status": "MACHNET_OK"}, nil
	}
	if status, ok := machnet.StatusOf(err); ok && status != machnet.ErrShutdown && status != machnet.ErrEngineGone && status != machnet.ErrProtocol {
		return answer{"status": status.Name()}, nil
	}
	return nil, err
}

func waitStalled(a *agent, r *request) (answer, error) {
	ctx, cancel := r.within(5000)
	defer cancel()
	channel := get[*machnet.Channel](a, r.Channel)
	for {
		event, err := channel.Event(ctx)
		if err != nil {
			return nil, err
		}
		if event.Type == machnet.ReceiveStalled {
			return answer{"flow": a.name(event.Flow), "value": event.Value}, nil
		}
		a.events[channel] = append(a.events[channel], event)
	}
}

func events(a *agent, r *request) (answer, error) {
	channel := get[*machnet.Channel](a, r.Channel)
	list := []answer{}
	taken := a.events[channel]
	delete(a.events, channel)
	event, err := channel.TryEvent()
	for ; err == nil; event, err = channel.TryEvent() {
		taken = append(taken, event)
	}
	if err != machnet.ErrAgain && len(taken) == 0 {
		return nil, err
	}
	for _, event := range taken {
		name := map[machnet.EventType]string{machnet.SendSpace: "SEND_SPACE", machnet.ReceiveStalled: "RECEIVE_STALLED"}[event.Type]
		if name == "" {
			name = strings.ToUpper(event.Type.String())
		}
		list = append(list, answer{"type": name, "flow": a.name(event.Flow), "status": event.Status.Name()})
	}
	return answer{"events": list}, nil
}

func addresses(a *agent, r *request) (answer, error) {
	local, remote, err := get[*machnet.Flow](a, r.Flow).Addresses()
	return answer{"local": local.String(), "remote": remote.String()}, err
}

func info(a *agent, r *request) (answer, error) {
	info, err := get[*machnet.Flow](a, r.Flow).Info()
	return answer{"state": info.State.String(), "status": info.Status.Name(), "messages_sent": info.MessagesSent,
		"messages_acknowledged": info.MessagesAcknowledged, "messages_received": info.MessagesReceived,
		"messages_queued": info.MessagesQueued, "bytes_unacknowledged": info.BytesUnacknowledged}, err
}

func closeFlow(a *agent, r *request) (answer, error) {
	if r.Abort {
		return nil, get[*machnet.Flow](a, r.Flow).Abort()
	}
	return nil, get[*machnet.Flow](a, r.Flow).Close()
}

func handleSignal(*agent, *request) (answer, error) {
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, syscall.SIGUSR1)
	go func() {
		for range signals {
		}
	}()
	return nil, nil
}
